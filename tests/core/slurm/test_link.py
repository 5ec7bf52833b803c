"""One job of a chain, without Slurm: how each of its ends is told, and what it leaves to the next."""

import json
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from fonderie.core.slurm.link import Link, _last_event

# What stands for `fonderie run`: it says in its log how it ended, and waits for the signal where it is told to.
PROGRAM = """
import json, signal, sys, time
status, event = int(sys.argv[1]), sys.argv[2]
open(sys.argv[3] + ".begun", "w").close()
if event == "run_interrupted":
    asked = []
    signal.signal(signal.SIGUSR1, lambda *_: asked.append(1))
    while not asked:
        time.sleep(0.01)
open(sys.argv[3], "a").write(json.dumps({"event": event}) + "\\n")
sys.exit(status)
"""


class Bench:
    def __init__(self, folder: Path, *ends: tuple[int, str], attempts: int = 2, after: str | None = None) -> None:
        self.folder, self.said, self.asked = folder, [], []
        program, events = folder / "program.py", folder / "events.jsonl"
        program.write_text(PROGRAM)
        commands = [[sys.executable, str(program), str(status), event, str(events)] for status, event in ends]
        chain = {
            "commands": commands,
            "folder": str(folder),
            "events": str(events),
            "attempts": attempts,
            "after": after,
        }
        (folder / "training.chain").write_text(json.dumps(chain))

    def slurm(self, command: Sequence[str]) -> None:
        self.asked.append(list(command))

    def link(self) -> Link:
        return Link(self.folder, "training", slurm=self.slurm, say=self.said.append)


@pytest.fixture(autouse=True)
def numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fonderie.core.slurm.link.LOOK_SECONDS", 0.02)
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")


END_OF_CHAIN = ["scancel", "--state=PENDING", "7"]


def test_a_chain_that_ends_well_needs_no_more_links(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (0, "run_finished"), (0, "run_finished"))
    assert bench.link().run() == 0
    assert bench.asked == [END_OF_CHAIN]
    assert bench.link().run() == 0
    assert bench.said == ["finished", "an earlier link finished; nothing is left to do"]


def test_warned_it_pauses_and_is_queued_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (1, "run_interrupted"))
    (tmp_path / "training.failures").write_text("1")
    link = bench.link()

    # The warning comes while the program starts, before it has said what it does with the signal.
    def warn() -> None:
        while not (tmp_path / "events.jsonl.begun").exists():
            time.sleep(0.001)
        link.warn()

    threading.Thread(target=warn).start()
    assert link.run() == 0
    assert bench.asked == [["scontrol", "requeue", "7_2"]]
    assert not (tmp_path / "training.failures").exists()
    assert bench.said[-1] == "paused, with all that is done kept; this job is queued again"


def test_warned_between_two_commands_it_is_queued_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (0, "run_finished"), (0, "run_finished"))

    class WarnedAfter(Link):
        def _call(self, command: Sequence[str], folder: Path) -> int:
            status = super()._call(command, folder)
            self.warn()
            return status

    link = WarnedAfter(tmp_path, "training", slurm=bench.slurm, say=bench.said.append)
    assert link.run() == 0
    assert bench.asked == [["scontrol", "requeue", "7_2"]]
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) == 1


def test_warned_before_anything_began_it_is_not_queued_again_for_ever(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (0, "run_finished"))
    (tmp_path / "events.jsonl").write_text('{"event": "run_interrupted"}\n')
    for status, asked in ((1, []), (1, [END_OF_CHAIN])):
        link = bench.link()
        link.warn()
        assert link.run() == status
        assert bench.asked == asked
    assert "is set-up slow, or warn_seconds too many?" in bench.said[1]


def test_half_a_line_of_events_is_no_event(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text('{"event": "run_failed"}\n{"event": "run_inter')
    assert _last_event(tmp_path / "events.jsonl") == "run_failed"


def test_failures_leave_the_next_link_to_try_and_then_end_the_chain(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (1, "run_failed"))
    assert bench.link().run() == 1
    assert bench.asked == []
    assert bench.link().run() == 1
    assert bench.asked == [END_OF_CHAIN]
    assert bench.said == [
        "failed; the next link tries again (1 of 2 attempts)",
        "failed 2 times in a row: the chain ends",
    ]


def test_a_wrong_request_ends_the_chain_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (2, "run_failed"))
    assert bench.link().run() == 2
    assert bench.asked == [END_OF_CHAIN]


def test_the_switch_ends_it_before_it_begins(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (1, "run_interrupted"))
    (tmp_path / "stop").touch()
    assert bench.link().run() == 0
    assert bench.asked == [END_OF_CHAIN]
    assert "remove it and submit again" in bench.said[0]


def test_the_switch_ends_what_is_running_with_a_checkpoint(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (1, "run_interrupted"))
    threading.Timer(0.1, (tmp_path / "stop").touch).start()
    assert bench.link().run() == 0
    assert bench.asked == [END_OF_CHAIN]
    assert "a checkpoint is asked for" in bench.said[0]
    assert "remove it and submit again" in bench.said[1]


def test_it_does_not_begin_before_what_it_needs(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (0, "run_finished"), after="preparation")
    assert bench.link().run() == 1
    assert bench.said == ["the jobs before this one (preparation) did not finish"]
    (tmp_path / "preparation.finished").touch()
    assert bench.link().run() == 0
