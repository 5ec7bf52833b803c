"""Sourcing forms: complete, in agreement with the recipe, and never a way around the gate."""

from pathlib import Path

import pytest

from fonderie.core.errors import InputError, LicenceError
from fonderie.core.machine import Machine
from fonderie.core.recipe import load_recipe
from fonderie.core.run import run_recipe
from fonderie.core.step import Policy
from fonderie.core.steps import find_step
from fonderie.core.store import Store
from fonderie.corpus.sourcing import check_form, read_form

FORM = """
custodian = "Bibliothèque d'une ville"
contact = "archives, rue Haute"
origin = "fonds numérisé, lot 3"
collected = { first = 2024-01-05, last = 2024-02-10 }
licence = "CC-BY-4.0"
collection_licence = "etalab-2.0"
personal_data = ["names of authors"]
legal_basis = "public task"

[[evidence]]
url = "https://bibliotheque.ville.fr/licence"
retrieved = 2024-03-01
states = "every work of the lot is under CC BY 4.0"
"""


def form(folder: Path, **changes: str) -> Path:
    text = FORM
    for before, after in changes.items():
        line = next(line for line in text.splitlines() if line.startswith(f"{before} ="))
        text = text.replace(line, after)
    path = folder / "form.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_complete_form_is_read(tmp_path: Path) -> None:
    found = read_form(form(tmp_path))
    assert (found.licence, found.collected.last.isoformat()) == ("CC-BY-4.0", "2024-02-10")
    kept = check_form(found, "CC-BY-4.0", "etalab-2.0", Policy(), "form")
    assert kept["evidence"][0]["retrieved"] == "2024-03-01"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"custodian": 'custodian = "TODO"'}, "custodian"),
        ({"contact": ""}, "contact"),
        ({"collected": "collected = { first = 2024-02-10, last = 2024-01-05 }"}, "collected"),
        ({"legal_basis": ""}, "no legal_basis"),
        ({"licence": 'licence = "CC-BY-4.0"\nlicense = "MIT"'}, "license"),
        ({"origin": "origin = "}, "no TOML"),
    ],
)
def test_what_is_missing_or_wrong_is_named(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_form(form(tmp_path, **changes))


def test_all_faults_are_said_at_once_and_in_words(tmp_path: Path) -> None:
    path = form(
        tmp_path,
        contact="",
        origin='origine = "fonds"',
        collected="collected = 2024",
        personal_data='personal_data = "names"',
        retrieved='retrieved = "hier"',
    )
    with pytest.raises(InputError) as caught:
        read_form(path)
    said = str(caught.value)
    for fault in (
        "contact is missing",
        "there is no field origine",
        "collected is 2024, and should be a table, such as { first = 2024-01-01, last = 2024-06-30 }",
        "personal_data is 'names', and should be a list in brackets",
        "evidence.0.retrieved is 'hier', and should be a day, written 2024-06-30 without quotes",
    ):
        assert fault in said
    assert "Value error" not in said
    assert "Input should" not in said


@pytest.mark.parametrize(
    "changes",
    [
        {"collected": "collected = { first = 2024-01-05, last = 2924-01-05 }"},
        {"retrieved": "retrieved = 2924-03-01"},
    ],
)
def test_a_day_to_come_is_refused(tmp_path: Path, changes: dict[str, str]) -> None:
    with pytest.raises(InputError, match="is still to come"):
        read_form(form(tmp_path, **changes))


def test_a_licence_needs_evidence(tmp_path: Path) -> None:
    path = tmp_path / "form.toml"
    path.write_text(FORM.partition("[[evidence]]")[0])
    with pytest.raises(InputError, match="without evidence"):
        read_form(path)


def test_form_and_recipe_must_agree(tmp_path: Path) -> None:
    found = read_form(form(tmp_path))
    with pytest.raises(LicenceError, match=r"recipe declares CC0-1\.0"):
        check_form(found, "CC0-1.0", None, Policy(), "form.toml")
    with pytest.raises(LicenceError, match="collection_licence"):
        check_form(found, None, "MIT", Policy(), "form.toml")
    # Documents and the release's first page say what the recipe says: a form alone would be heard by nobody.
    with pytest.raises(LicenceError, match=r"collection_licence etalab-2\.0, but the recipe declares none"):
        check_form(found, None, None, Policy(), "form.toml")


def test_unknown_is_never_a_pass(tmp_path: Path) -> None:
    found = read_form(form(tmp_path, licence='licence = "unknown"'))
    with pytest.raises(LicenceError, match="unknown"):
        check_form(found, None, "etalab-2.0", Policy(), "form.toml")
    allowed = Policy(also_allow=("unknown",))
    assert check_form(found, None, "etalab-2.0", allowed, "form.toml")["licence"] == "unknown"


RECIPE = """
[novels]
step = "corpus.read"
path = "novels.jsonl"
format = "jsonl"
licence = "CC-BY-4.0"
collection_licence = "etalab-2.0"
sourcing = "form.toml"
"""


def test_the_form_travels_in_the_manifest_and_changes_the_request(tmp_path: Path) -> None:
    (tmp_path / "novels.jsonl").write_text('{"text": "Il était une fois."}\n')
    recipe = tmp_path / "r.toml"
    recipe.write_text(RECIPE)
    form(tmp_path)
    store = Store(tmp_path / "store")
    first = run_recipe(load_recipe(recipe, [], find_step), store, Machine()).artifacts["novels"]
    assert first.manifest.statistics["sourcing"]["novels"]["custodian"] == "Bibliothèque d'une ville"
    assert [entry.path for entry in first.manifest.sources["sourcing"]] == ["form.toml"]
    form(tmp_path, contact='contact = "archives, rue Basse"')
    second = run_recipe(load_recipe(recipe, [], find_step), store, Machine()).artifacts["novels"]
    assert second.key != first.key
    assert second.digest == first.digest


def test_a_form_that_disagrees_stops_the_build_before_it_starts(tmp_path: Path) -> None:
    (tmp_path / "novels.jsonl").write_text('{"text": "Il était une fois."}\n')
    recipe = tmp_path / "r.toml"
    recipe.write_text(RECIPE)
    form(tmp_path, licence='licence = "CC0-1.0"')
    store = Store(tmp_path / "store")
    with pytest.raises(LicenceError, match=r"form\.toml"):
        run_recipe(load_recipe(recipe, [], find_step), store, Machine())
    assert not list((store.root / "artifacts").iterdir())
