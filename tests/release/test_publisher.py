import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from tests.release.publishing import FILLED

from fonderie.core.errors import ReleaseError
from fonderie.release.law import publisher as module
from fonderie.release.law.publisher import (
    COPYRIGHT,
    DOCUMENTS,
    FORM,
    SUMMARY,
    Crawler,
    Gap,
    Owed,
    PublishedSource,
    Publisher,
    Representative,
    Words,
    gaps,
    parse_publisher,
    refuse_strangers,
    source_gaps,
)

EXAMPLE = Path(__file__).parents[2] / "recipes" / "publisher.example.toml"
LETTERS = {"S": SUMMARY, "F": FORM, "C": COPYRIGHT}


def models(kind: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every table of the file by its place; a source's name is written *."""
    yield prefix, kind
    for name, info in kind.model_fields.items():
        waiting = [info.annotation]
        for annotation in waiting:
            if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation is not Words:
                here = f"{prefix}{name}.*." if name == "sources" else f"{prefix}{name}."
                yield from models(annotation, here)
            waiting.extend(get_args(annotation))


TABLES = dict(models(Publisher))
MANDATORY = {
    f"{prefix}{name}": owed.documents
    for prefix, kind in TABLES.items()
    for name, info in kind.model_fields.items()
    for owed in info.metadata
    if isinstance(owed, Owed)
}


def uncommented() -> str:
    """The example with its optional tables and fields switched on."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    field = re.compile(r"^# (?=\[[a-z_.]+\]$|[a-z_0-9]+ = )")
    head = next(number for number, line in enumerate(lines) if line.startswith("# ── "))
    return "\n".join(field.sub("", line) for line in lines[head:])


def test_every_field_says_what_it_is() -> None:
    for kind in (*TABLES.values(), Words):
        silent = [name for name, info in kind.model_fields.items() if not info.description]
        assert not silent, f"{kind.__name__}: {silent}"


def test_the_example_names_every_field_and_no_other() -> None:
    read = tomllib.loads(uncommented())
    read["sources"] = {"*": read["sources"]["novels"]}
    for prefix, kind in TABLES.items():
        table: Any = read
        for part in filter(None, prefix.split(".")):
            table = table[part]
        assert set(table) == set(kind.model_fields), prefix


def test_the_example_names_the_documents_that_need_each_field() -> None:
    place, found = "", {}
    for line in uncommented().splitlines():
        if table := re.fullmatch(r"\[([a-z_.]+)\]", line):
            place = table.group(1).replace("novels", "*") + "."
        elif field := re.match(r"([a-z_0-9]+) = .*?#\s+((?:[SFC] )*[SFC]|optional|)(?:\s|:|$)", line):
            letters = field.group(2).replace("optional", "").split()
            found[place + field.group(1)] = tuple(LETTERS[letter] for letter in letters)
    conditional = {"data.user_data": (SUMMARY,), "sources.*.url": (SUMMARY, FORM)}
    assert {field: documents for field, documents in found.items() if documents} == MANDATORY | conditional


def test_the_example_is_read_as_a_draft_in_which_nothing_is_filled_in() -> None:
    found = gaps(parse_publisher(EXAMPLE.read_text(encoding="utf-8"), "example"))
    inside = {re.sub(r"\.(en|fr)$", "", gap.field) for gap in found}
    shown = {field for field in MANDATORY if not field.startswith(("sources.", "authorised_representative."))}
    assert inside == shown


def test_nothing_is_missing_from_a_file_that_is_filled_in() -> None:
    assert gaps(parse_publisher(FILLED, "publisher.toml")) == []


def leaves(table: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def changed(field: str, value: Any) -> Publisher:
    """The file that is filled in, with one field replaced, or taken out if the value is None."""
    read: dict[str, Any] = tomllib.loads(FILLED)
    table = read
    *path, name = field.split(".")
    for part in path:
        table = table[part]
    if value is None:
        del table[name]
    else:
        table[name] = value
    return Publisher.model_validate(read)


FILLED_FIELDS = list(leaves(tomllib.loads(FILLED)))


def mandatory(field: str) -> bool:
    return re.sub(r"\.(en|fr)$", "", field.replace("sources.letters.", "sources.*.")) in MANDATORY


@pytest.mark.parametrize("field", FILLED_FIELDS)
def test_each_mandatory_field_taken_out_is_named_and_no_optional_one(field: str) -> None:
    found = [gap.field for gap in gaps(changed(field, None))]
    expected = mandatory(field) or field == "sources.letters.url"  # mandatory for what is public
    assert found == ([field] if expected else [])


@pytest.mark.parametrize("field", FILLED_FIELDS)
def test_a_placeholder_in_any_field_is_named(field: str) -> None:
    value: Any = ["TODO"] if field == "market.channels" else "TODO"
    (gap,) = gaps(changed(field, value))
    assert gap.field == field
    text = field not in ("document.last_update", "sources.letters.category") and "date" not in field
    yes_no = field in (
        "provider.established_in_union",
        "code_of_practice.signatory",
        "data.model_interactions",
        "data.other_services",
    )
    assert gap.problem == ("placeholder" if text and not yes_no else "missing")


def test_the_filled_in_file_answers_every_mandatory_field() -> None:
    answered = {
        re.sub(r"\.(en|fr)$", "", field.replace("sources.letters.", "sources.*.")) for field in FILLED_FIELDS
    }
    absent = {field for field in MANDATORY if field not in answered}
    assert absent == {
        *(f"authorised_representative.{name}" for name in Representative.model_fields),
        *(f"sources.*.crawler.{name}" for name in Crawler.model_fields),
    }


@pytest.mark.parametrize(
    ("field", "value", "gap"),
    [
        ("provider.established_in_union", False, "authorised_representative"),
        ("data.model_interactions", True, "data.user_data"),
        ("data.other_services", True, "data.user_data"),
        ("sources.letters.category", "crawled", "sources.letters.crawler"),
    ],
)
def test_some_fields_are_mandatory_because_of_others(field: str, value: Any, gap: str) -> None:
    assert [item.field for item in gaps(changed(field, value))] == [gap]


def test_a_representative_and_a_crawler_are_asked_for_in_full() -> None:
    abroad = changed("authorised_representative", {"name": "Someone"})
    assert gaps(abroad) == [Gap("authorised_representative.contact", "missing", (SUMMARY,))]
    crawled = changed("sources.letters.crawler", {"names": ["ours"]})
    assert [gap.field for gap in gaps(crawled)] == [
        "sources.letters.crawler.purposes",
        "sources.letters.crawler.behaviour",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[provider]\nnames = 'x'", "publisher.toml: provider.names: there is no such field"),
        ("[nobody]\n", "publisher.toml: nobody: there is no such field"),
        ("[market]\nunion_date = 'yesterday'", "market.union_date: "),
        ("[code_of_practice]\nsignatory = 'perhaps'", "code_of_practice.signatory: "),
        ("[sources.a]\ncategory = 'free'", "sources.a.category: "),
        ("[use]\nintended = 'in one language'", "use.intended: "),
        ("[use", "publisher.toml is not TOML"),
    ],
)
def test_what_cannot_be_understood_is_named(text: str, message: str) -> None:
    with pytest.raises(ReleaseError, match=re.escape(message)) as error:
        parse_publisher(text, "publisher.toml")
    assert "publisher.example.toml" in error.value.hint


def test_sources_are_described_each_and_no_other() -> None:
    publisher = parse_publisher(FILLED, "publisher.toml")
    assert [gap.field for gap in source_gaps(publisher, ["letters", "laws"])] == ["sources.laws"]
    with pytest.raises(ReleaseError, match="describes the source 'letters'"):
        refuse_strangers(publisher, ["laws"], "publisher.toml")


def test_the_documents_are_those_of_the_letters() -> None:
    assert set(LETTERS.values()) == set(DOCUMENTS)
    assert PublishedSource().category is None
    assert module.FILE == "publisher.toml"
