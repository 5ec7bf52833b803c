import pytest

from fonderie.corpus.dedup.order import ATTRIBUTION, NOT_FREE, OTHER_FREE, PUBLIC_DOMAIN, SHARE_ALIKE, freedom
from fonderie.corpus.dedup.urls import normal_url, url_of


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("CC0-1.0", PUBLIC_DOMAIN),
        ("LicenseRef-public-domain", PUBLIC_DOMAIN),
        ("CC-BY-4.0", ATTRIBUTION),
        ("etalab-2.0", ATTRIBUTION),
        ("Apache-2.0", ATTRIBUTION),
        ("CC-BY-SA-4.0", SHARE_ALIKE),
        ("GPL-3.0-or-later", SHARE_ALIKE),
        ("ODbL-1.0", SHARE_ALIKE),
        ("Artistic-2.0", OTHER_FREE),
        ("CC-BY-NC-4.0", NOT_FREE),
        ("CC-BY-ND-4.0", NOT_FREE),
        ("unknown", NOT_FREE),
        ("", NOT_FREE),
        ("CC-BY-4.0 AND CC0-1.0", ATTRIBUTION),
        ("CC-BY-SA-4.0 OR CC0-1.0", PUBLIC_DOMAIN),
        ("CC-BY-4.0 AND CC-BY-NC-4.0", NOT_FREE),
        ("CC-BY-4.0 OR CC-BY-NC-4.0", ATTRIBUTION),
        ("GPL-2.0-only WITH Classpath-exception-2.0", SHARE_ALIKE),
    ],
)
def test_the_freest_licence_comes_first(licence: str, expected: int) -> None:
    assert freedom(licence) == expected


@pytest.mark.parametrize(
    "same",
    [
        "https://example.org/a/b?x=1&y=2",
        "http://example.org/a/b?y=2&x=1",
        "HTTPS://WWW.Example.ORG:443/a/b/?x=1&y=2#part",
        "http://example.org:80/a/b?utm_source=mail&x=1&y=2&fbclid=abc",
        "https://example.org./%61/b?x=1&y=2",
    ],
)
def test_addresses_of_one_page_are_one(same: str) -> None:
    assert normal_url(same) == "//example.org/a/b?x=1&y=2"


@pytest.mark.parametrize(
    "other",
    [
        "https://example.org/a/b?x=1&y=3",
        "https://example.org/a/B?x=1&y=2",
        "https://example.org:8080/a/b?x=1&y=2",
        "https://fr.example.org/a/b?x=1&y=2",
        "https://example.org/a%2Fb?x=1&y=2",
        "https://example.org/a/b?x=1&y=2#!autre",
        "https://example.org/a/b?x=1&x=1&y=2",
    ],
)
def test_addresses_of_other_pages_stay_others(other: str) -> None:
    assert normal_url(other) not in (None, "//example.org/a/b?x=1&y=2")


def test_escapes_are_those_of_one_spelling() -> None:
    assert normal_url("https://fr.example.org/œuf%c3%a9") == normal_url("https://fr.example.org/%C5%93uf%C3%A9")


@pytest.mark.parametrize(
    "no_page", ["livre.txt", "dump/a.jsonl#3", "ftp://example.org/x", "https://", "http://[::1/"]
)
def test_a_file_has_no_address(no_page: str) -> None:
    assert normal_url(no_page) is None
    assert url_of(no_page, None) is None


def test_metadata_speak_before_the_origin_and_fragments_of_origins_count() -> None:
    assert url_of("crawl.warc#3", "https://example.org/a#x") == "//example.org/a"
    assert url_of("https://example.org/a#2", None) == "//example.org/a#2"
    assert url_of("https://example.org/a", "file:///a") is None


def test_sections_of_a_file_are_not_copies_of_one_page() -> None:
    sections = {url_of(f"notes.md#section-{number}", "https://example.org/a") for number in (1, 2)}
    assert sections == {"//example.org/a#section-1", "//example.org/a#section-2"}
    assert url_of("notes.md#section-1", "no address") is None
