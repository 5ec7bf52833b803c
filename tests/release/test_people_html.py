"""Documents for people as pages: whoever wrote a word of them, they run nothing, and anyone can read them."""

import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import lxml.html
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from tests.evaluate.small import Build
from tests.release.publishing import FILLED, dossier, final_dossier, headings

from fonderie.release.law.people import PEOPLE, write_for_people
from fonderie.release.law.shared import Dossier
from fonderie.release.writing.document import paragraphs


@pytest.fixture(scope="module")
def draft(small: Build) -> Dossier:
    return dossier(small.release)


@pytest.fixture(scope="module")
def filled(small: Build) -> Dossier:
    return final_dossier(small.release)


# ── Whoever writes, it stays text ───────────────────────────────────────────────────────────────────────────────

HOSTILE = (
    "<script>alert(1)</script> [click](javascript:alert(2)) ![x](http://x.fr/a.png) | a | b | **bold** `code`",
    "# A heading",
    "1. a list",
    "--- a rule",
    "<img src=x onerror=alert(3)>",
    "[ref]: http://evil.fr",
    "~~~ fence",
)


def test_a_hostile_publisher_changes_no_structure_and_runs_nothing(small: Build, filled: Dossier) -> None:
    evil = "\\n\\n".join(HOSTILE)
    text = FILLED.replace("Letters between members.", evil).replace(
        'legal_name = "', f'legal_name = "{HOSTILE[0]} '
    )
    texts = write_for_people(dossier(small.release, text), [])
    honest = write_for_people(replace(filled, facts=dossier(small.release).facts), [])
    for name in PEOPLE:
        if name.endswith(".md"):
            assert len(headings(texts[name])) == len(headings(honest[name]))
            continue
        tree, other = lxml.html.document_fromstring(texts[name]), lxml.html.document_fromstring(honest[name])
        tags = Counter(element.tag for element in tree.iter())
        assert not tags.keys() & {"script", "img", "iframe", "object", "form", "input"}
        assert tags["table"] == Counter(element.tag for element in other.iter())["table"]
        for element in tree.iter():
            assert not any(attribute.startswith("on") for attribute in element.attrib)
            target = element.get("href", "")
            assert not target.startswith("javascript")
    shown = lxml.html.document_fromstring(texts["documents/public-summary.en.html"]).text_content()
    for line in HOSTILE:
        for word in ("<script>alert(1)</script>", "# A heading", "1. a list", "onerror=alert(3)"):
            if word in line:
                assert word in shown


@given(st.text(max_size=200))
def test_any_text_is_paragraphs_of_text_and_addresses(text: str) -> None:
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    kinds = {"paragraph_open", "inline", "paragraph_close"}
    inside = {"text", "link_open", "link_close", "text_special", "softbreak"}
    for part in paragraphs(text):
        for token in reader.parse(part):
            assert token.type in kinds, (part, token.type)
            for child in token.children or ():
                assert child.type in inside, (part, child.type)


def test_addresses_become_links_and_end_where_they_end() -> None:
    (part,) = paragraphs("Voir https://a.fr/b_c?d=1&e, ou écrire à x.y@b.fr.")
    assert part == "Voir <https://a.fr/b_c?d=1&e>, ou écrire à <x.y@b.fr>."


# ── HTML ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("state", ["draft", "filled"])
def test_html_stands_alone_and_can_be_read_by_anyone(state: str, request: pytest.FixtureRequest) -> None:
    for name, text in write_for_people(request.getfixturevalue(state), ["README.md"]).items():
        if not name.endswith(".html"):
            continue
        tree = lxml.html.document_fromstring(text)
        assert text.startswith("<!doctype html>")
        assert tree.get("lang") == name.split(".")[-2]
        assert tree.findtext(".//title")
        assert "default-src 'none'" in tree.xpath("//meta[@http-equiv]")[0].get("content")
        assert not tree.xpath("//script|//link|//img|//*[@src]|//*[@style]")
        assert "url(" not in text
        assert "@import" not in text
        levels = [int(element.tag[1]) for element in tree.iter("h1", "h2", "h3", "h4", "h5", "h6")]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        for head in tree.iter("th"):
            assert head.get("scope") == ("col" if head.getparent().getparent().tag == "thead" else "row")
        for row in tree.xpath("//tbody/tr"):
            assert row[0].tag == "th"
        assert tree.xpath("//a[@href='#content']")
        assert tree.xpath("//main[@id='content']")


def test_the_inks_can_be_read_on_their_papers(filled: Dossier) -> None:
    text = write_for_people(filled, [])["documents/index.en.html"]
    themes = [
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{([^}]*)\}", text)
    ]
    assert len(themes) >= 2
    for theme in themes[:2]:
        for ink, paper in (("ink", "paper"), ("soft", "paper"), ("accent", "paper"), ("ink", "tint"), ("alert", "paper"), ("alert", "alert-tint"), ("ink", "alert-tint")):  # fmt: skip
            assert contrast(theme[ink], theme[paper]) >= 4.5, (ink, paper)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, "contrast ratio"."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_links_between_documents_lead_to_files_of_the_release(filled: Dossier) -> None:
    held = {"README.md", "README.fr.md", "report.md", *filled.facts.files, "release.json", *PEOPLE}
    for name, text in write_for_people(filled, held).items():
        if name.endswith(".html"):
            for target in lxml.html.document_fromstring(text).xpath("//a/@href"):
                if "://" in target or target.startswith(("#", "mailto:")):
                    continue
                path = (Path("documents") / target).as_posix()
                assert path.replace("documents/../", "") in held, target
