"""How a run finds the tombstone lists and obeys them; what the lists mean is tested with the corpus."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.core import toy_steps
from tests.core.helpers import Bench, Said

from fonderie.core import steps
from fonderie.core.digest import digest_bytes, digest_file
from fonderie.core.errors import InputError, RecipeError, StoreError
from fonderie.core.machine import Machine
from fonderie.core.manifest import manifest_key
from fonderie.core.run import check_recipe, run_recipe
from fonderie.core.step import TOMBSTONES, Inputs, Output, Parameters, Source, step
from fonderie.core.store import Store
from fonderie.core.tombstones import lists_in_force, lists_of_store, read_list

RECIPE = """
[texts]
step = "toy.gate"

[loud]
step = "toy.upper"
inputs = { texts = "texts" }
"""
LIST = b'{"words": ["trois"]}'


class GateParameters(Parameters):
    pass


def refuse_early(params: GateParameters, sources: Mapping[str, tuple[Source, ...]]) -> None:
    for source in sources.get(TOMBSTONES, ()):
        json.loads(read_list(source))


@step(
    "toy.gate",
    version=1,
    parameters=GateParameters,
    produces="texts",
    preflight=refuse_early,
    obeys_tombstones=True,
)
def gate(inputs: Inputs, params: GateParameters, out: Output, machine: Machine) -> None:
    """Three lines, but for those on the lists."""
    barred = {word for source in inputs.tombstones for word in json.loads(read_list(source))["words"]}
    lines = [word for word in ("un", "deux", "trois") if word not in barred]
    (out.path / "lines.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@pytest.fixture
def gated(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setitem(toy_steps.STEPS, "toy.gate", gate)
    return bench.write(RECIPE)


def record(store: Path, reference: str, data: bytes | None = LIST) -> Path:
    """An erasure in a store, as `fonderie erase` leaves it."""
    folder = store / "erasures" / reference
    folder.mkdir(parents=True)
    files = {} if data is None else {"tombstones.json": digest_bytes(data)}
    (folder / "decision.json").write_text(json.dumps({"files": files}))
    if data is not None:
        (folder / "tombstones.json").write_bytes(data)
    return folder / "tombstones.json"


def lines(bench: Bench, *overrides: str) -> list[str]:
    return (bench.run(*overrides).artifacts["loud"].path / "000.txt").read_text(encoding="utf-8").split()


def test_without_lists_the_request_is_what_it_was(gated: Bench) -> None:
    before = gated.run()
    (gated.store_path / "erasures").mkdir()
    (gated.store_path / "erasures" / ".writing-x").mkdir()
    record(gated.store_path, "refused", None)
    assert gated.run().made == []
    assert TOMBSTONES not in before.artifacts["texts"].manifest.parameters


def test_a_list_of_the_store_is_obeyed_and_is_part_of_the_request(gated: Bench) -> None:
    assert lines(gated) == ["UN", "DEUX", "TROIS"]
    path = record(gated.store_path, "2026-1")
    assert lines(gated) == ["UN", "DEUX"]
    manifest = gated.run().artifacts["texts"].manifest
    assert manifest.parameters[TOMBSTONES] == {"2026-1.json": digest_file(path)}
    assert manifest_key(manifest) == manifest.key
    assert manifest.sources == {}


def test_a_list_that_changes_nothing_rebuilds_nothing_after_the_gate(gated: Bench) -> None:
    gated.run()
    record(gated.store_path, "2026-1", b'{"words": ["quatre"]}')
    second = gated.run()
    assert (second.made, second.reused) == (["texts"], ["loud"])


def test_a_list_that_travels_with_the_recipe_is_obeyed_wherever_it_lies(gated: Bench, tmp_path: Path) -> None:
    (gated.folder / "lists").mkdir()
    (gated.folder / "lists" / "2026-1.json").write_bytes(LIST)
    gated.write('[policy]\ntombstones = "lists/*.json"\n' + RECIPE)
    assert lines(gated) == ["UN", "DEUX"]
    key = gated.run().artifacts["texts"].key
    (gated.folder / "lists").rename(tmp_path / "elsewhere")
    moved = gated.run(f"policy.tombstones={tmp_path}/elsewhere/2026-1.json")
    assert (moved.made, moved.artifacts["texts"].key) == ([], key)
    # The same list in the store is the same request, and is not obeyed twice.
    gated.write(RECIPE)
    record(gated.store_path, "2026-1")
    assert gated.run().artifacts["texts"].key == key


def test_several_places_and_two_lists_of_one_name(gated: Bench) -> None:
    for folder, word in (("a", "un"), ("b", "deux")):
        (gated.folder / folder).mkdir()
        (gated.folder / folder / "1.json").write_text(json.dumps({"words": [word]}))
    gated.write('[policy]\ntombstones = ["a/1.json", "b/*.json"]\n' + RECIPE)
    assert lines(gated) == ["TROIS"]
    names = [source.name for source in lists_in_force(gated.load(), gated.store_path)]
    assert len(set(names)) == 2
    assert all(name.startswith("1-") for name in names)


def test_the_run_says_which_lists_it_obeys(gated: Bench) -> None:
    record(gated.store_path, "2026-1")
    said = Said()
    run_recipe(gated.load(), Store(gated.store_path), Machine(reporter=said))
    assert said.lines[0] == "Obeys 1 list of erased documents: 2026-1.json"
    events = (gated.store_path / "runs/toy/events.jsonl").read_text(encoding="utf-8")
    assert '"event": "tombstones", "lists": {"2026-1.json": "sha256:' in events


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_bytes(b"{}"), "not the list that"),
        (lambda path: (path.parent / "decision.json").unlink(), "cannot be read"),
        (lambda path: (path.parent / "decision.json").write_text("{"), "not the record of an erasure"),
        (lambda path: (path.parent / "decision.json").write_text("[]"), "not the record of an erasure"),
        (lambda path: (path.parent / "decision.json").write_text('{"files": {}}'), "names no such list"),
    ],
)
def test_an_erasure_that_cannot_be_read_stops_the_build(gated: Bench, spoil: Any, message: str) -> None:
    path = record(gated.store_path, "2026-1")
    spoil(path)
    with pytest.raises(StoreError, match=message):
        gated.run()
    assert not (gated.store_path / "runs/toy/lock.json").exists()


def test_a_list_that_is_no_list_stops_the_build_before_any_step(gated: Bench) -> None:
    record(gated.store_path, "2026-1", b"not JSON")
    with pytest.raises(ValueError, match="Expecting value"):
        gated.run()
    assert list((gated.store_path / "artifacts").iterdir()) == []


def test_a_list_of_the_recipe_that_is_not_there_stops_the_build(gated: Bench) -> None:
    gated.write('[policy]\ntombstones = "lists/*.json"\n' + RECIPE)
    with pytest.raises(RecipeError, match=r"policy\.tombstones: no file matches"):
        gated.run()


def test_a_list_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    record(tmp_path, "1")
    (source,) = lists_of_store(tmp_path)
    source.path.write_bytes(b"{}")
    with pytest.raises(InputError, match="changed while it was being read"):
        read_list(source)


def test_a_check_reads_the_lists_too(gated: Bench) -> None:
    record(gated.store_path, "2026-1", b"not JSON")
    recipe = gated.load()
    tombstones = lists_in_force(recipe, gated.store_path)
    assert check_recipe(recipe, ["loud", "texts"]) == {"loud": {}, "texts": {}}
    with pytest.raises(ValueError, match="Expecting value"):
        check_recipe(recipe, ["texts"], tombstones)


def test_every_step_that_lets_documents_in_obeys() -> None:
    """A step without inputs that makes documents, and does not, would be a way round every erasure."""
    gates = [steps.find_step(name) for name in steps.STEPS]
    gates = [one for one in gates if one.produces == "documents" and not one.inputs]
    assert gates
    assert [one.name for one in gates if not one.obeys_tombstones] == []
    assert steps.find_step("release.bundle").obeys_tombstones


def test_the_policy_of_a_manifest_does_not_say_where_lists_lie(gated: Bench) -> None:
    (gated.folder / "1.json").write_bytes(LIST)
    gated.write('[policy]\ntombstones = "1.json"\n' + RECIPE)
    gated.run()
    lock = json.loads((gated.store_path / "runs/toy/lock.json").read_text())
    assert lock["policy"] == {"also_allow": []}
