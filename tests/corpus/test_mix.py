"""How often each document is seen."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fonderie.core.document import Document, read_documents, shard_path, shard_paths, write_documents
from fonderie.core.errors import StepError, UsageError
from fonderie.core.ledger import read_ledger
from fonderie.core.machine import Machine
from fonderie.core.manifest import Manifest, files_digest, list_files
from fonderie.core.step import Artifact, Inputs, Output
from fonderie.corpus.mix import MixParameters, mix, plan, seen, size_bytes

SIZES = {"books": 1_000, "laws": 3_000, "web": 16_000}


def params(**given: object) -> MixParameters:
    return MixParameters.model_validate({"phase": "main", **given})


def test_sizes_are_read_as_people_write_them() -> None:
    assert [size_bytes(text) for text in ("12 B", "800MB", "2.5 GB")] == [12, 800_000_000, 2_500_000_000]
    for wrong in ("2.5", "GB", "0 B", "-1 GB", "1 GiB"):
        with pytest.raises(ValueError, match="is not a size"):
            size_bytes(wrong)


def test_without_a_word_every_document_is_seen_once() -> None:
    assert {entry.epochs for entry in plan(SIZES, params()).values()} == {1}


def test_weights_and_a_total_give_epochs() -> None:
    found = plan(SIZES, params(weights={"books": 1, "web": 3}, total="8 kB"))
    assert [found[name].epochs for name in SIZES] == pytest.approx([2, 0, 0.375])


def test_temperature_evens_shares_out() -> None:
    as_they_are = plan(SIZES, params(temperature=1, total="10 kB"))
    evened = plan(SIZES, params(temperature=2, total="10 kB", cap=10))
    assert [entry.epochs for entry in as_they_are.values()] == pytest.approx([0.5] * 3)
    assert evened["books"].epochs > 0.5 > evened["web"].epochs


def test_what_a_cap_holds_back_goes_to_the_others_and_is_said() -> None:
    found = plan(SIZES, params(weights={"books": 1, "laws": 1, "web": 1}, total="15 kB", cap=4, caps={"laws": 1}))
    assert (found["books"].epochs, found["laws"].epochs) == (4, 1)
    assert [found[name].capped for name in SIZES] == [True, True, False]
    assert sum(entry.taken_bytes for entry in found.values()) == pytest.approx(15_000)


def test_a_total_that_caps_forbid_is_an_error_and_no_smaller_mix() -> None:
    with pytest.raises(StepError, match="cannot be made"):
        plan(SIZES, params(weights={"books": 1}, total="5 kB"))


def test_a_mix_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="the mix is empty"):
        plan(SIZES, params(epochs=dict.fromkeys(SIZES, 0)))
    assert plan(SIZES, params(epochs={"web": 0}))["books"].epochs == 1


def test_a_source_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="novels"):
        plan(SIZES, params(epochs={"novels": 2}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": {"a": 1}, "weights": {"a": 1}, "total": "1 kB"},
        {"weights": {"a": 1}},
        {"total": "1 kB"},
        {"weights": {"a": 1}, "temperature": 2, "total": "1 kB"},
        {"weights": {"a": 0}, "total": "1 kB"},
        {"epochs": {"a": 5}},
        {"epochs": {"a": -1}},
    ],
)
def test_contradictions_are_refused_when_the_recipe_is_read(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        params(**wrong)


@given(st.text(), st.floats(0, 8), st.floats(0, 8))
def test_more_epochs_never_take_a_document_away(name: str, some: float, more: float) -> None:
    low, high = sorted((some, more))
    assert seen(name, "main", low) <= seen(name, "main", high)
    assert int(some) <= seen(name, "main", some) <= int(some) + 1


def artifact(folder: Path, source: str, count: int) -> Artifact:
    folder.mkdir(parents=True)
    for index in range(2):
        texts = [f"Le {source} numéro {number} de la part {index}." for number in range(count)]
        documents = [Document(text, source=source, origin=text, licence="CC0-1.0") for text in texts]
        write_documents(shard_path(folder, index), documents)
    manifest = Manifest(key="", digest="", step="", version=1, parameters={}, inputs={}, sources={}, files=[])
    return Artifact(folder, manifest)


def run(folder: Path, inputs: Inputs, machine: Machine, **given: object) -> Output:
    out = Output(folder / "out", folder / "state")
    out.path.mkdir(parents=True)
    mix(inputs, params(**given), out, machine)
    return out


def test_the_plan_says_what_the_shards_hold_whatever_the_workers(tmp_path: Path) -> None:
    inputs = Inputs({"documents": (artifact(tmp_path / "a", "livre", 200), artifact(tmp_path / "b", "code", 200))})
    epochs = {"livre": 2.25, "code": 0.5}
    out = run(tmp_path / "one", inputs, Machine(), epochs=epochs)
    rows = pq.read_table(out.path / "plan.parquet").to_pylist()
    planned = {row["id"]: row["seen"] for row in rows if row["seen"]}
    found: dict[str, int] = {}
    for path in shard_paths(out.path):
        ids = [document.id for document in read_documents(path)]
        assert len(set(ids)) == len(ids), "two copies of a document in one shard"
        for name in ids:
            found[name] = found.get(name, 0) + 1
    assert found == planned
    assert len(rows) == 800
    account = json.loads((out.path / "plan.json").read_bytes())["sources"]
    assert account == out.statistics["mix"]
    assert account["livre"]["taken_bytes"] / account["livre"]["size_bytes"] == pytest.approx(2.25, abs=0.05)
    assert account["code"]["taken_bytes"] / account["code"]["size_bytes"] == pytest.approx(0.5, abs=0.07)
    fates = [(entry.fate, entry.reason) for entry in read_ledger(out.path)]
    assert len(fates) == 800
    assert fates.count(("dropped", "not drawn for main")) == 800 - len(planned)
    two = run(tmp_path / "two", inputs, Machine(workers=2), epochs=epochs)
    assert files_digest(list_files(two.path)) == files_digest(list_files(out.path))


def test_phases_draw_different_documents() -> None:
    names = [str(number) for number in range(1000)]
    main = {name for name in names if seen(name, "main", 0.5)}
    annealing = {name for name in names if seen(name, "annealing", 0.5)}
    assert 150 < len(main & annealing) < 350
