"""A whole corpus recipe on every engine: the same bytes, with and without workers that are killed; and a full disk."""

import importlib.util
import json
import os
import random
import resource
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.core.helpers import ROOT, Said
from tests.evaluate.small import story

from fonderie.core.cluster import disconnect
from fonderie.core.document import Document
from fonderie.core.errors import StoreError
from fonderie.core.files import disk_full
from fonderie.core.machine import Machine
from fonderie.core.recipe import load_recipe
from fonderie.core.run import RunResult, run_recipe
from fonderie.core.steps import find_step
from fonderie.core.store import Store
from fonderie.corpus.transform import keep, write_shard

pytestmark = pytest.mark.slow

SOURCES = ("letters", "news", "tales", "notes")

RECIPE = (
    '[recipe]\ntitle = "Every engine"\n'
    + "".join(
        f'[{name}]\nstep = "corpus.read"\npath = "{name}.jsonl"\nformat = "jsonl"\nlicence = "CC0-1.0"\nlanguage = "fr"\n'
        for name in SOURCES
    )
    + f"""
[clean]
step = "corpus.filter"
inputs = {{ documents = {json.dumps(SOURCES)} }}
rules = ["gopher_repetition", "fineweb"]

[safe]
step = "corpus.redact"
inputs = {{ documents = "clean" }}

[distinct]
step = "corpus.dedup"
inputs = {{ documents = "safe" }}
near = 0.8

[training]
step = "corpus.hold_out"
inputs = {{ documents = "distinct" }}
share = 0.2
keep = "training"
"""
)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Four sources, so four shards; texts that are dropped, redacted and near copies are among them."""
    rng = random.Random(3)
    for name in SOURCES:
        with (tmp_path / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for number in range(60):
                text = story(rng, rng.randrange(20, 40))
                if number % 10 == 3:
                    text = "12 34 56 78 90 " * 10
                elif number % 10 == 5:
                    text += f" Écrire à p{number}@exemple.fr."
                elif number % 10 == 7:
                    text = f"{COPIED} {name}."
                file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


COPIED = story(random.Random(9), 60)


def _run(recipe: Path, machine: Machine) -> RunResult:
    name = f"store-{machine.workers}-{machine.on}-{len(list(recipe.parent.glob('store-*')))}"
    return run_recipe(load_recipe(recipe, [], find_step), Store(recipe.parent / name), machine)


def _digests(result: RunResult) -> dict[str, str]:
    return {name: artifact.digest for name, artifact in result.artifacts.items()}


@dataclass(frozen=True)
class _KilledOnce:
    """A step's work whose worker is killed the first time it comes to each shard, after the shard was written."""

    work: Any
    folder: Path

    def __call__(self, item: Any) -> Any:
        result = self.work(item)
        mark = self.folder / repr(item).replace("/", "_")[-120:]
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), 9)
        return result


class _Unlucky(Machine):
    """Every item loses its first worker, where there are workers: one item alone is this process's own work."""

    def map(self, function: Any, items: Any, *, label: str, unit: str = "shards") -> Any:
        if len(items) == 1:
            return super().map(function, items, label=label, unit=unit)
        folder = Path(os.environ["UNLUCKY"]) / label
        folder.mkdir(parents=True, exist_ok=True)
        return super().map(_KilledOnce(function, folder), items, label=label, unit=unit)


def test_one_core_two_processes_and_ray_write_the_same_bytes(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = _run(recipe, Machine())
    expected = _digests(alone)
    counts = alone.artifacts["clean"].manifest.statistics["sources"]["letters"]
    assert counts["dropped"]
    assert alone.artifacts["safe"].manifest.statistics["sources"]["letters"]["edited"]
    assert _digests(_run(recipe, Machine(workers=2))) == expected
    if importlib.util.find_spec("ray") is None:
        pytest.skip("two processes agree with one; Ray is not installed: pip install 'fonderie[cluster]'")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    try:
        assert _digests(_run(recipe, Machine(workers=2, on="ray"))) == expected
    finally:
        disconnect()


def test_killed_workers_do_not_change_the_bytes(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNLUCKY", str(tmp_path / "unlucky"))
    said = Said()
    short = replace_steps(recipe)
    unlucky = _run(short, _Unlucky(workers=2, reporter=said))
    assert _digests(unlucky) == _digests(_run(short, Machine()))
    deaths = [line for line in said.lines if "a worker died" in line]
    assert len(deaths) >= 2 * len(SOURCES)
    store = next(path for path in short.parent.glob("store-2-None-*"))
    events = [json.loads(line) for line in next(store.rglob("events.jsonl")).read_text().splitlines()]
    lost = [event for event in events if event["event"] == "worker_lost"]
    assert len(lost) == len(deaths)
    assert {event["attempt"] for event in lost} == {1}
    assert all(event["item"].endswith(".parquet") for event in lost)


def replace_steps(recipe: Path) -> Path:
    """The same recipe as far as personal data."""
    text = recipe.read_text(encoding="utf-8").partition("[distinct]")[0]
    short = recipe.with_name("short.toml")
    short.write_text(text, encoding="utf-8")
    return short


def _document(index: int) -> Document:
    noise = random.Random(index).randbytes(3_000).hex()
    return Document(text=noise, source="s", origin=f"{index}", licence="CC0-1.0")


def _write_with_little_room(out: Path, index: int) -> Any:
    if index == 2:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    return write_shard(out, index, ((document, keep(document)) for document in map(_document, range(200))))


@pytest.mark.parametrize("workers", [2, 3])
def test_a_disk_that_fills_under_a_worker_is_told_as_such(tmp_path: Path, workers: int) -> None:
    """A limit on the size of files stands for the full disk: the system refuses the write with EFBIG."""
    with pytest.raises(OSError, match="File too large") as caught:
        list(Machine(workers=workers).map(partial(_write_with_little_room, tmp_path), range(3), label="writing"))
    assert disk_full(caught.value)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_is_really_full_stops_a_corpus_cleanly(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with (tmp_path / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for index in range(400):
                file.write(json.dumps({"text": _document(index + 400 * (name == "two")).text}) + "\n")
    path = tmp_path / "recipe.toml"
    path.write_text(
        '[recipe]\ntitle = "Full"\n[one]\nstep = "corpus.read"\npath = "one.jsonl"\nformat = "jsonl"\n'
        'licence = "CC0-1.0"\n[both]\nstep = "corpus.read"\npath = "*.jsonl"\nformat = "jsonl"\nlicence = "CC0-1.0"\n'
        '[clean]\nstep = "corpus.filter"\ninputs = { documents = ["one", "both"] }\nrules = ["words >= 1"]\n'
    )
    disk = tmp_path / "store"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", str(disk)]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        with pytest.raises(StoreError, match=r"\[clean\] the disk is full"):
            run_recipe(load_recipe(path, [], find_step), Store(disk), Machine(workers=2))
        assert len(list(Store(disk).artifacts())) == 2
        assert not [file for file in disk.rglob("*") if "staging" in file.parts and file.is_file()]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
