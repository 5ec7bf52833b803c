"""Crawls and pages: WARC, WET, HTML."""

import gzip
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.corpus.builders import all_documents, ledger, texts
from tests.corpus.crawls import archive, page, record, response
from tests.corpus.reading import read_path

from fonderie.core.errors import InputError, LicenceError
from fonderie.core.step import Policy
from fonderie.corpus.readers.pages import page as read_page

TEXT = "Le loup\n\nIl était une fois un loup qui avait très faim, et qui courait par les bois."


@pytest.mark.parametrize("packed", [True, False])
def test_captured_pages_become_text_with_what_the_server_and_the_page_said(tmp_path: Path, packed: bool) -> None:
    headers = (
        "Content-Type: text/html\r\nX-Robots-Tag: noai\r\nX-Robots-Tag: bot: none\r\ntdm-policy: https://a.fr/p"
    )
    records = [record("warcinfo", b"a: b"), response(page().encode(), headers=headers)]
    (tmp_path / "a.warc.gz").write_bytes(archive(*records)) if packed else (tmp_path / "a.warc").write_bytes(
        archive(*records, packed=False)
    )
    artifact, _ = read_path(tmp_path, "a.warc*", format="warc")
    (found,) = all_documents(artifact)
    assert found.text == TEXT
    assert (found.language, found.metadata["title"]) == ("fr", "Le loup")
    assert found.metadata["url"] == "https://exemple.fr/loup"
    assert found.metadata["fetched"] == "2024-05-01T12:00:00Z"
    assert json.loads(found.metadata["http_headers"]) == {
        "content-type": "text/html",
        "x-robots-tag": "noai, bot: none",
        "tdm-policy": "https://a.fr/p",
    }
    assert json.loads(found.metadata["html_meta"]) == {"robots": "noai, noimageai", "tdm-reservation": "1"}
    assert found.origin == f"a.warc{'.gz' * packed}#record-{len(records[0])}"


def test_what_is_no_page_is_left_out_each_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "a.warc.gz").write_bytes(
        archive(
            response(b"", status="404 Not Found"),
            response(b"\x89PNG", headers="Content-Type: image/png"),
            record("revisit", b""),
            record("request", b"GET / HTTP/1.1\r\n\r\n"),
            response(b"pas gzip", headers="Content-Type: text/plain\r\nContent-Encoding: gzip"),
            response("déjà".encode(), headers="Content-Type: text/plain"),
            record("resource", page().encode(), content_type="text/html"),
        )
    )
    artifact, out = read_path(tmp_path, "a.warc.gz", format="warc")
    assert texts(artifact) == ["déjà", TEXT]
    assert [(entry.reason, entry.detail) for entry in ledger(artifact)][:3] == [
        ("HTTP status is not 200", "404"),
        ("record is not text", "image/png"),
        ("record holds no page", "revisit"),
    ]
    assert out.statistics["sources"]["here"]["dropped"]["HTTP answer cannot be decoded"] == 1


def test_chunked_and_compressed_answers_are_decoded(tmp_path: Path) -> None:
    packed = gzip.compress(page().encode("cp1252"))
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed)
    headers = (
        "Content-Type: text/html; charset=windows-1252\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip"
    )
    (tmp_path / "a.warc").write_bytes(archive(response(body, headers=headers), packed=False))
    artifact, _ = read_path(tmp_path, "a.warc", format="warc")
    assert texts(artifact) == [TEXT]


def test_menus_are_read_when_the_recipe_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(page(foot="Mentions"))
    artifact, _ = read_path(tmp_path, "a.html", format="html", page_text="all")
    assert "Accueil" in texts(artifact)[0]
    assert "Mentions" in texts(artifact)[0]


def test_wet_text_keeps_its_language(tmp_path: Path) -> None:
    rows = [("fra", "Bonjour."), ("fra,eng", "Salut. Hello.")]
    (tmp_path / "a.wet.gz").write_bytes(
        archive(
            record("warcinfo", b"x"),
            *(
                record("conversion", text.encode(), more=f"WARC-Identified-Content-Language: {code}\r\n")
                for code, text in rows
            ),
        )
    )
    artifact, _ = read_path(tmp_path, "a.wet.gz", format="wet")
    assert [(found.text, found.language) for found in all_documents(artifact)] == [
        ("Bonjour.", "fr"),
        ("Salut. Hello.", None),
    ]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("lost", [8, 60, 400])
def test_a_cut_archive_names_the_file_and_the_offset(tmp_path: Path, packed: bool, lost: int) -> None:
    name = "a.warc.gz" if packed else "a.warc"
    whole = archive(*[response(page().encode(), url=f"https://a.fr/{i}") for i in range(3)], packed=packed)
    (tmp_path / name).write_bytes(whole[:-lost])
    with pytest.raises(InputError, match=rf"{name}.*(truncated|half a record).*\d"):
        read_path(tmp_path, name, format="warc")


def test_an_altered_record_does_not_have_its_digest(tmp_path: Path) -> None:
    whole = archive(response(page().encode()), packed=False)
    (tmp_path / "a.warc").write_bytes(whole.replace(b"faim", b"soif"))
    with pytest.raises(InputError, match=r"a\.warc, record at offset 0: corrupt.*sha1:"):
        read_path(tmp_path, "a.warc", format="warc")


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "is empty"), (b"<html>" * 50, "is not WARC"), (b"WARC/1.0\r\nWARC-Ty", "half a record")],
)
def test_what_is_no_archive_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.warc").write_bytes(data)
    with pytest.raises(InputError, match=rf"a\.warc {message}|a\.warc.*{message}"):
        read_path(tmp_path, "a.warc", format="warc")


HEAD_LICENCE = '<link rel="license" href="https://creativecommons.org/licenses/by-nc/4.0/">'


def test_a_page_is_judged_by_the_licence_in_its_head_not_by_that_of_a_picture(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(page(foot=HEAD_LICENCE.replace("<link", "<a").replace("-nc", "")))
    artifact, _ = read_path(tmp_path, "a.html", format="html", licence=None, policy=Policy(also_allow=("unknown",)))
    (found,) = all_documents(artifact)
    assert found.licence == "unknown"
    assert json.loads(found.metadata["licence_links"]) == ["https://creativecommons.org/licenses/by/4.0/"]
    (tmp_path / "b.html").write_text(page(head=HEAD_LICENCE))
    with pytest.raises(LicenceError, match=r"b\.html is under CC-BY-NC-4\.0"):
        read_path(tmp_path, "b.html", into="o2", format="html", licence=None)


def test_a_page_that_contradicts_the_recipe_stops_or_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(page(head=HEAD_LICENCE))
    with pytest.raises(LicenceError, match="Nothing is relabelled"):
        read_path(tmp_path, "a.html", format="html")
    artifact, _ = read_path(tmp_path, "a.html", into="o2", format="html", restricted_rows="drop")
    assert [entry.reason for entry in ledger(artifact)] == ["licence refused by the policy"]


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300) | st.text(alphabet='<>/ "=amethl&;#\x00é', max_size=300).map(str.encode))
def test_any_bytes_are_a_page(data: bytes) -> None:
    read_page(data, charset=None, text="main").text.encode("utf-8")


@pytest.mark.parametrize("charset", ["utf-8", "windows-1252", "x-unknown", "utf-16"])
def test_any_declared_encoding_gives_text(charset: str) -> None:
    assert "loup" in read_page(page().encode("utf-8"), charset=charset, text="main").text or charset == "utf-16"


@pytest.mark.parametrize("kind", ["request", "metadata", "revisit"])
def test_an_archive_cut_within_a_record_that_is_not_read_is_named(tmp_path: Path, kind: str) -> None:
    read, passed = response(page().encode()), record(kind, b"x" * 500)
    (tmp_path / "a.warc").write_bytes(archive(read, passed, response(b"lost"), packed=False)[: len(read) + 400])
    with pytest.raises(InputError, match=rf"a\.warc, record at offset {len(read)}: truncated, \d+ of 500 bytes"):
        read_path(tmp_path, "a.warc", format="warc")


def test_a_length_that_would_swallow_the_rest_is_named(tmp_path: Path) -> None:
    whole = archive(response(page().encode()), record("conversion", b"Bonjour."), packed=False)
    for format_ in ("warc", "wet"):
        (tmp_path / f"a.{format_}").write_bytes(whole.replace(b"Content-Length: 8", b"Content-Length: 888888888"))
        with pytest.raises(InputError, match=r"truncated, [\d,]+ of 888,888,888 bytes"):
            read_path(tmp_path, f"a.{format_}", into=f"o-{format_}", format=format_)


def test_a_page_that_the_crawler_cut_says_so(tmp_path: Path) -> None:
    cut = record("resource", page().encode(), content_type="text/html", more="WARC-Truncated: length\r\n")
    (tmp_path / "a.warc").write_bytes(archive(cut, packed=False))
    artifact, _ = read_path(tmp_path, "a.warc", format="warc")
    assert all_documents(artifact)[0].metadata["truncated"] == "length"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ('<meta name="robots" content="noai">' * 5_000, "5,000 <meta> of rights"),
        ("".join(f'<a rel="license" href="{i}">' for i in range(5_000)), "5,000 links to licences"),
        ("<div>" * 20_000, r"elements nested 20,\d+ deep"),
    ],
)
def test_a_page_that_would_take_hours_is_left_out(tmp_path: Path, body: str, detail: str) -> None:
    (tmp_path / "a.html").write_text(f"<html><body><p>Un texte.</p>{body}")
    artifact, _ = read_path(tmp_path, "a.html", format="html")
    (row,) = ledger(artifact)
    assert row.reason == "page would take too long"
    assert re.fullmatch(detail, row.detail or "")


def test_a_page_of_many_elements_that_is_not_deep_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<html><body>" + "<p>Un paragraphe de plus.</p>" * 3_000)
    artifact, _ = read_path(tmp_path, "a.html", format="html", page_text="all")
    assert texts(artifact)[0].count("paragraphe") == 3_000


def test_names_of_meta_are_found_whatever_their_case_and_spaces() -> None:
    names = ["ROBOTS", " Googlebot ", "TDM-Policy", "Content-Usage", "noai", "DC.Rights", "licence", "description"]
    head = "".join(f'<meta name="{name}" content="x">' for name in names)
    found = read_page(page(head=head).encode(), charset=None, text="main").metadata["html_meta"]
    kept = {"robots", "googlebot", "tdm-policy", "tdm-reservation", "content-usage", "noai", "dc.rights", "licence"}
    assert set(json.loads(found)) == kept
