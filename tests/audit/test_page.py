import re
from pathlib import Path

import pytest
from lxml import html
from tests.audit.folders import card, licence_text, look, write

from fonderie.audit.page import render_page, write_page
from fonderie.audit.report import AuditReport


@pytest.fixture
def report(tmp_path: Path) -> AuditReport:
    files = {
        "README.md": card("Acme is a fully open-source model.", license="apache-2.0", datasets=["acme/web"]),
        "LICENSE": licence_text("MIT") + "\nFor non-commercial use only.",
        "pytorch_model.bin": b"\x80\x04",
    }
    return look(write(tmp_path / "acme", files))


def test_the_verdict_comes_first_in_plain_words(report: AuditReport) -> None:
    page = render_page(report)
    tree = html.fromstring(page)
    assert tree.get("lang") == "en"
    words = " ".join(tree.text_content().split())
    assert (
        words.index(report.headline) < words.index("What does not go together") < words.index("pytorch_model.bin")
    )
    for answer in ("May anyone use it for anything?", "For non-commercial use only.", "open-washing", "LICENSE"):
        assert answer in words


def test_nothing_is_asked_of_anyone_and_nothing_runs(report: AuditReport) -> None:
    page = render_page(report)
    tree = html.fromstring(page)
    assert not tree.xpath("//script | //img | //link | //iframe | //object | //form | //*[@src or @href or @style]")
    assert not [name for element in tree.iter() for name in element.attrib if name.startswith("on")]
    (policy,) = tree.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert not re.search(r"url\(|@import|https?://", tree.xpath("string(//style)"))


def test_the_style_is_the_one_that_the_policy_allows(report: AuditReport) -> None:
    import base64
    import hashlib

    tree = html.fromstring(render_page(report))
    (style,) = tree.xpath("//style/text()")
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode()
    assert f"'sha256-{digest}'" in tree.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")[0]


def test_it_can_be_printed_and_read_on_a_phone_and_in_the_dark(report: AuditReport) -> None:
    page = render_page(report)
    assert "width=device-width" in page
    for media in ("prefers-color-scheme: dark", "@media print", "max-width: 30rem"):
        assert media in page


def test_it_is_written_whole(report: AuditReport, tmp_path: Path) -> None:
    write_page(report, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == render_page(report)
