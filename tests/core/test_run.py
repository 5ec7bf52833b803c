import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.core import toy_steps
from tests.core.helpers import Bench, Said, wait_for
from tests.core.test_store import _file_size_limit

from fonderie.core import run as run_module
from fonderie.core.errors import FonderieError, InputError, LicenceError, StepError, StoreError
from fonderie.core.machine import Machine
from fonderie.core.manifest import manifest_key
from fonderie.core.run import EventLog, run_recipe
from fonderie.core.store import Store

CHAIN = """
[read]
step = "toy.read"
path = "data/*.txt"

[loud]
step = "toy.upper"
inputs = { texts = "read" }

[total]
step = "toy.count"
inputs = { texts = "loud" }
"""

RELEASE = (
    CHAIN
    + """
[bundle]
step = "toy.bundle"
inputs = { texts = "loud" }
"""
)

HOLD = """
[plain]
step = "toy.write"

[slow]
step = "toy.hold"
inputs = { texts = "plain" }
"""


@pytest.fixture
def chain(bench: Bench) -> Bench:
    (bench.folder / "data").mkdir()
    for index in range(5):
        (bench.folder / "data" / f"{index}.txt").write_text(f"# comment\nune ligne {index}\n")
    return bench.write(CHAIN)


def _events(bench: Bench) -> list[dict[str, Any]]:
    lines = (bench.store_path / "runs" / "toy" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _staged(bench: Bench) -> list[Path]:
    return list((bench.store_path / "staging").iterdir())


def _keys(bench: Bench, *overrides: str) -> dict[str, str]:
    return {name: artifact.key for name, artifact in bench.run(*overrides).artifacts.items()}


# Keys, reuse, early cut-off


def test_a_second_run_makes_nothing(chain: Bench) -> None:
    first, second = chain.run(), chain.run()
    assert (first.made, first.reused) == (["read", "loud", "total"], [])
    assert (second.made, second.reused) == ([], ["read", "loud", "total"])
    assert {n: a.digest for n, a in first.artifacts.items()} == {n: a.digest for n, a in second.artifacts.items()}


def test_until_makes_a_call_and_what_it_needs(chain: Bench) -> None:
    assert chain.run(until="loud").made == ["read", "loud"]
    assert chain.run().made == ["total"]


def test_a_changed_parameter_makes_its_call_and_what_follows_anew(chain: Bench) -> None:
    chain.run()
    assert chain.run("loud.mark=>").made == ["loud", "total"]
    assert chain.run().made == []


def test_a_changed_version_makes_its_call_anew(chain: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    chain.run()
    monkeypatch.setitem(toy_steps.STEPS, "toy.upper", replace(toy_steps.upper, version=2))
    result = chain.run()
    assert (result.made, result.reused) == (["loud"], ["read", "total"])


def test_a_changed_byte_or_name_of_a_source_is_another_request(chain: Bench) -> None:
    first = _keys(chain)["read"]
    (chain.folder / "data" / "0.txt").rename(chain.folder / "data" / "9.txt")
    second = _keys(chain)["read"]
    (chain.folder / "data" / "9.txt").write_text("# comment\nune ligne 1\n")
    third = _keys(chain)["read"]
    assert len({first, second, third}) == 3


def test_a_source_folder_that_moves_is_the_same_request(chain: Bench) -> None:
    first = _keys(chain)
    (chain.folder / "data").rename(chain.folder / "[moved] elsewhere")
    assert _keys(chain, f"read.path={chain.folder}/[moved] elsewhere/*.txt") == first


def test_equal_bytes_cut_the_rebuild_short_and_the_lineage_is_this_runs(chain: Bench) -> None:
    chain.write(RELEASE)
    first = chain.run()
    (chain.folder / "data" / "0.txt").write_text("# another comment\nune ligne 0\n")
    second = chain.run()
    # The comment is left out by loud: the same bytes. A release holds the lock, so it is made anew.
    assert (second.made, second.reused) == (["read", "loud", "bundle"], ["total"])
    assert second.artifacts["total"].key == first.artifacts["total"].key
    lineage = [artifact.key for artifact in second.artifacts["total"].lineage()]
    assert lineage == [second.artifacts[name].key for name in ("read", "loud", "total")]
    # Whoever opens the store later walks the same way, even if what the first run made is gone.
    shutil.rmtree(first.artifacts["read"].path.parent)
    shutil.rmtree(first.artifacts["loud"].path.parent)
    again = Store(chain.store_path).get(second.artifacts["total"].key)
    assert again is not None
    assert [artifact.key for artifact in again.lineage()] == lineage
    assert manifest_key(again.manifest) == again.key


def test_the_same_bytes_with_one_two_or_four_workers(chain: Bench, tmp_path: Path) -> None:
    digests = []
    for workers in (1, 2, 4):
        shutil.rmtree(chain.store_path, ignore_errors=True)
        result = chain.run(workers=workers)
        digests.append({name: artifact.digest for name, artifact in result.artifacts.items()})
    assert digests[0] == digests[1] == digests[2]


def test_an_empty_optional_input_is_no_input(chain: Bench) -> None:
    first = _keys(chain)
    chain.write(CHAIN.replace('texts = "read"', 'texts = "read", aside = []'))
    assert _keys(chain) == first


# What is written down


def test_the_lock_says_what_each_call_came_to(chain: Bench) -> None:
    result = chain.run("loud.mark=!", "policy.also_allow=['X']")
    lock = Store(chain.store_path).read_lock("toy")
    assert lock is not None
    assert lock["overrides"] == ["loud.mark=!", "policy.also_allow=['X']"]
    assert lock["policy"] == {"also_allow": ["X"]}
    assert lock["calls"]["loud"] == {
        "step": "toy.upper",
        "version": 1,
        "key": result.artifacts["loud"].key,
        "digest": result.artifacts["loud"].digest,
    }


def test_the_manifest_states_the_request(chain: Bench) -> None:
    manifest = chain.run().artifacts["read"].manifest
    assert manifest.parameters == {"licence": "CC0-1.0", "source": "read", "policy": {"also_allow": []}}
    assert [entry.path for entry in manifest.sources["path"]] == [f"{index}.txt" for index in range(5)]
    assert manifest_key(manifest) == manifest.key
    assert set(manifest.energy) == {"joules", "method", "country"}
    assert manifest.environment["python"] == sys.version.split()[0]


def test_a_release_takes_its_recipe_and_lock_along_and_is_linked(chain: Bench) -> None:
    result = chain.write(RELEASE).run("loud.mark=!")
    (link,) = result.releases
    assert link == chain.store_path.resolve() / "releases" / "toy"
    assert (link / "recipe.toml").read_text() == RELEASE
    lock = json.loads((link / "lock.json").read_text())
    assert list(lock["calls"]) == ["read", "loud"]
    assert (link / "lineage.txt").read_text().split() == [entry["key"] for entry in lock["calls"].values()]
    assert chain.run("loud.mark=!").releases == [link]


def test_each_event_is_a_line_that_parses(chain: Bench) -> None:
    chain.run()
    chain.run()
    with pytest.raises(StepError):
        chain.write('[bad]\nstep = "toy.nasty"\nwhat = "fail"').run()
    events = _events(chain)
    assert [event["event"] for event in events] == [
        "run_started",
        *["call_started", "call_finished"] * 3,
        "run_finished",
        "run_started",
        *["call_reused"] * 3,
        "run_finished",
        "run_started",
        "call_started",
        "call_failed",
        "run_failed",
    ]
    assert len({event["run"] for event in events}) == 3
    assert "Traceback" in events[-2]["trace"]
    assert all(event["time"].endswith("+00:00") for event in events)


def test_a_half_written_event_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"event": "whole"}\n{"event": "ha')
    with EventLog(path) as log:
        log.write("next", name=os.fsdecode(b"\xe9"), text="é")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["whole", "next"]
    assert json.loads(lines[1])["name"] == "\udce9"


def test_events_without_room_are_a_store_error_and_leave_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        log.write("first")
        with _file_size_limit(path.stat().st_size + 10), pytest.raises(StoreError, match="cannot be written"):
            log.write("second")
        log.write("third")
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["first", "third"]


def test_what_is_said_is_safe_markup(chain: Bench) -> None:
    said = Said()
    run_recipe(chain.load(), Store(chain.store_path), Machine(reporter=said))
    assert any("[bold]read[/bold]" in line for line in said.lines)


# Refusals and failures


def test_a_missing_source_is_refused_before_anything_is_made(chain: Bench) -> None:
    chain.write(HOLD + CHAIN.replace("data/", "absent/"))
    with pytest.raises(FonderieError, match=r"read\.path: no file matches"):
        chain.run()
    assert list(Store(chain.store_path).artifacts()) == []


def test_a_preflight_refuses_before_anything_is_made_and_policy_relaxes(chain: Bench) -> None:
    chain.write('[plain]\nstep = "toy.write"\n' + CHAIN.replace('.txt"', '.txt"\nlicence = "CC-BY-NC-4.0"'))
    with pytest.raises(LicenceError, match=r"^\[read\] 0\.txt is under CC-BY-NC-4\.0"):
        chain.run()
    assert list(Store(chain.store_path).artifacts()) == []
    assert chain.run('policy.also_allow=["CC-BY-NC-4.0"]').made == ["plain", "read", "loud", "total"]


@pytest.mark.parametrize(
    ("what", "kind", "message"),
    [
        ("fail", StepError, "[bad] toy.nasty failed: ValueError: fail"),
        ("link", StoreError, "link.txt is not a regular file"),
        ("pipe", StoreError, "pipe is not a regular file"),
        ("latin-1 name", StoreError, "is not UTF-8"),
        ("numpy", StepError, "[bad] toy.nasty failed: PydanticSerializationError"),
        ("exit", StepError, "[bad] toy.nasty failed: SystemExit: 0"),
    ],
)
def test_a_step_that_fails_leaves_nothing(bench: Bench, what: str, kind: type[FonderieError], message: str) -> None:
    bench.write(f'[plain]\nstep = "toy.write"\n[bad]\nstep = "toy.nasty"\nwhat = "{what}"')
    with pytest.raises(kind) as caught:
        bench.run()
    assert message in caught.value.message
    assert caught.value.message.startswith("[bad] ")
    assert caught.value.__cause__ is not caught.value
    assert _staged(bench) == []
    assert len(list(Store(bench.store_path).artifacts())) == 1
    with pytest.raises(kind):
        bench.run()
    assert [event["event"] for event in _events(bench)][-3:] == ["call_started", "call_failed", "run_failed"]


def test_odd_names_are_kept_and_empty_folders_are_not(bench: Bench) -> None:
    artifact = bench.write('[odd]\nstep = "toy.nasty"\nwhat = "odd names"').run().artifacts["odd"]
    assert (artifact.path / "line\nbreak").read_text() == "line\nbreak"
    assert Store(bench.store_path).altered(artifact) == []
    artifact = bench.write('[odd]\nstep = "toy.nasty"\nwhat = "empty folder"').run().artifacts["odd"]
    assert [path.name for path in artifact.path.iterdir()] == ["good.txt"]


def test_a_source_that_changes_while_it_is_read_is_noticed(chain: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_and_touch(*arguments: Any) -> None:
        toy_steps.read(*arguments)
        (chain.folder / "data" / "3.txt").write_text("changed")

    monkeypatch.setitem(toy_steps.STEPS, "toy.read", replace(toy_steps.read, function=read_and_touch))
    with pytest.raises(InputError, match=r"\[read\] .*3\.txt changed while it was being read"):
        chain.run()


def test_a_resumable_step_goes_on_from_its_state(bench: Bench) -> None:
    bench.write('[train]\nstep = "toy.resume"')
    with pytest.raises(StepError, match="the power went"):
        bench.run()
    assert len(_staged(bench)) == 1
    artifact = bench.run().artifacts["train"]
    assert artifact.manifest.measured == {"resumed_at": 2}
    assert [entry.path for entry in artifact.manifest.files] == ["steps.txt"]
    assert _staged(bench) == []


def test_a_file_too_large_for_the_disk_is_a_store_error_and_loses_nothing(bench: Bench) -> None:
    """A limit on the size of files stands for the full disk: the system refuses the write with EFBIG."""
    bench.write('[plain]\nstep = "toy.write"\n[large]\nstep = "toy.nasty"\nwhat = "large"')
    with _file_size_limit(1_000_000), pytest.raises(StoreError) as caught:
        bench.run()
    assert caught.value.message.startswith("[large] the disk is full")
    assert "calls that had finished are safe" in caught.value.hint
    assert _staged(bench) == []
    result = bench.run()
    assert (result.made, result.reused) == (["large"], ["plain"])


def test_a_log_that_cannot_be_written_does_not_hide_the_first_error(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = EventLog.write

    def full(log: EventLog, event: str, **fields: Any) -> None:
        if event in ("call_failed", "run_failed"):
            raise StoreError("events.jsonl cannot be written")
        write(log, event, **fields)

    monkeypatch.setattr(run_module.EventLog, "write", full)
    with pytest.raises(StepError, match=r"toy\.nasty failed"):
        bench.write('[bad]\nstep = "toy.nasty"\nwhat = "fail"').run()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_is_really_full(bench: Bench) -> None:
    disk = bench.store_path
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        bench.write('[plain]\nstep = "toy.write"\n[large]\nstep = "toy.nasty"\nwhat = "large"')
        with pytest.raises(StoreError, match=r"\[large\] the disk is full"):
            bench.run()
        assert _staged(bench) == []
        assert len(list(Store(bench.store_path).artifacts())) == 1
        assert _events(bench)[-1]["event"] == "run_failed"
    finally:
        subprocess.run(["umount", str(disk)], check=True)


# Real processes


@pytest.mark.parametrize("pool", [False, True])
def test_killed_in_the_middle_nothing_is_visible_and_the_retry_works(bench: Bench, pool: bool) -> None:
    bench.write(HOLD + ("workers_hold = true\n" if pool else ""))
    process = bench.start("pool" if pool else "")
    wait_for(bench.hold_file)
    process.kill()
    process.wait()
    store = Store(bench.store_path)
    assert [artifact.manifest.step for artifact in store.artifacts()] == ["toy.write"]
    assert len(_staged(bench)) == 1
    bench.hold_file.with_suffix(".skip").touch()
    result = bench.run()
    assert (result.made, result.reused) == (["slow"], ["plain"])
    assert _staged(bench) == []
    assert store.altered(result.artifacts["slow"]) == []
    assert [event["event"] for event in _events(bench)][-2:] == ["call_finished", "run_finished"]


@pytest.mark.parametrize(("pool", "group"), [(False, False), (True, True), (True, False)])
def test_interrupted_nothing_is_visible_and_the_end_is_clean(bench: Bench, pool: bool, group: bool) -> None:
    bench.write(HOLD + ("workers_hold = true\n" if pool else ""))
    process = bench.start("pool" if pool else "")
    wait_for(bench.hold_file)
    (os.killpg if group else os.kill)(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert _staged(bench) == []
    assert [artifact.manifest.step for artifact in Store(bench.store_path).artifacts()] == ["toy.write"]
    assert [event["event"] for event in _events(bench)][-2:] == ["call_failed", "run_interrupted"]
    bench.hold_file.with_suffix(".skip").touch()
    assert bench.run().made == ["slow"]


def test_two_runs_on_one_store_take_turns(bench: Bench) -> None:
    bench.write(HOLD)
    first = bench.start()
    wait_for(bench.hold_file)
    with pytest.raises(StoreError, match=rf"held by process {first.pid} on .* \(fonderie run .*toy\.toml\)"):
        bench.run(wait=False)
    second = bench.start()
    assert second.stdout is not None
    waiting = second.stdout.readline()
    assert waiting.startswith("Waiting: the store")
    assert f"process {first.pid}" in waiting
    assert second.poll() is None
    bench.hold_file.unlink()
    assert "made plain slow" in bench.finish(first)
    assert bench.finish(second).strip().endswith("made")


def test_no_wait_ends_with_the_holders_name(bench: Bench) -> None:
    bench.write(HOLD)
    first = bench.start()
    wait_for(bench.hold_file)
    second = bench.start("no-wait")
    output, _ = second.communicate(timeout=20)
    assert second.returncode == 1
    assert f"StoreError the store {bench.store_path.resolve()} is held by process {first.pid}" in output
    bench.hold_file.unlink()
    bench.finish(first)
