from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evaluate.small import Build

from fonderie.core.document import Document, read_documents, shard_path, shard_paths, write_documents
from fonderie.core.machine import Machine
from fonderie.release.survey import SURVEY, survey, survey_shards, web_domain


def document(text: str, **fields: str | None) -> Document:
    form = fields.pop("form", None)
    given = {"source": "web", "origin": "file", "licence": "CC0-1.0", **fields}
    return Document(text=text, metadata={"form": form} if form else {}, **given)  # type: ignore[arg-type]


def test_documents_are_counted_as_they_are(small: Build) -> None:
    found = {item.source: item for item in SURVEY.validate_json((small.release / "survey.json").read_bytes())}
    documents = [
        item for path in shard_paths(small.result.artifacts["training"].path) for item in read_documents(path)
    ]
    for source in ("toy", "letters"):
        mine = [item for item in documents if item.source == source]
        assert found[source].documents == len(mine)
        assert found[source].size_bytes == sum(len(item.text.encode()) for item in mine)
        talks = sum(item.metadata.get("form") == "conversation" for item in mine)
        assert found[source].forms.get("conversation", 0) == talks
    assert found["toy"].languages == {"fr": found["toy"].size_bytes}
    assert found["letters"].languages == {"": found["letters"].size_bytes}
    assert sum(item.documents for item in found.values()) == len(documents)


def test_domains_languages_and_dates_of_several_shards(tmp_path: Path) -> None:
    rows = [
        [
            document("été", origin="https://a.fr/x#1", language="fr", created="1901"),
            document("abc", origin="http://b.fr", language="fr", form="conversation"),
        ],
        [document("abcd", origin="https://b.fr/y", language="br", created="1850-02"), document("e", source="mine")],
    ]
    paths = [shard_path(tmp_path, number) for number in range(2)]
    for path, shard in zip(paths, rows, strict=True):
        write_documents(path, shard)
    mine, web = survey_shards(paths, Machine())
    assert (web.documents, web.size_bytes) == (3, 12)
    assert web.languages == {"fr": 8, "br": 4}
    assert list(web.domains.items()) == [("b.fr", 7), ("a.fr", 5)]
    assert web.created == ("1850-02", "1901")
    assert web.forms == {"text": 2, "conversation": 1}
    assert (mine.source, mine.created, mine.domains) == ("mine", None, {})
    assert survey_shards(paths, Machine(workers=2)) == [mine, web]


def test_nothing_packed_is_nothing_surveyed(small: Build) -> None:
    assert survey([small.result.artifacts["letters"]], Machine()) == []


@pytest.mark.parametrize(
    ("origin", "domain"),
    [
        ("https://www.Gallica.fr/ark:/1#p2", "www.gallica.fr"),
        ("http://user@a.fr:80/x", "a.fr"),
        ("romans/a.xml", ""),
        ("toy/3", ""),
        ("https://[broken", ""),
        ("https:///x", ""),
        ("ftp://a.fr/x", ""),
    ],
)
def test_what_a_web_address_is(origin: str, domain: str) -> None:
    assert web_domain(origin) == domain


@given(st.text())
def test_any_origin_has_an_answer(text: str) -> None:
    assert isinstance(web_domain(f"https://{text}"), str)
