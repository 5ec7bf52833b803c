"""A step in a process of its own: what comes back of it, and that it never outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.core.helpers import ROOT, Bench, Said, wait_for
from tests.core.toy_steps import KERNEL, ApartParameters, apart

from fonderie.core.apart import must_run_apart, run_apart
from fonderie.core.errors import LicenceError, StepError
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output

pytestmark = pytest.mark.slow


def output(folder: Path) -> Output:
    out = Output(folder / "files", folder / "state")
    out.path.mkdir()
    out.state.mkdir()
    return out


def run(folder: Path, machine: Machine | None = None, **params: str) -> tuple[Output, dict[str, object]]:
    out = output(folder)
    found = ApartParameters.model_validate({"kernel": "avx2", **params})
    machine = machine or Machine()
    return out, run_apart(apart, Inputs({}), found, out, machine=machine, variables=found.variables())


def test_it_begins_with_the_variables_and_all_it_says_comes_back(tmp_path: Path) -> None:
    said, notes = Said(), []
    out, environment = run(
        tmp_path, Machine(reporter=said, note=lambda event, **found: notes.append((event, found)))
    )
    assert (out.path / "kernel.txt").read_text() == "avx2\n"
    assert KERNEL not in os.environ
    assert out.statistics == {"files": 1}
    assert out.measured["process"] != os.getpid()
    assert said.lines == [f"process {out.measured['process']}", "at 1", "+2"]
    assert notes == [("toy", {"kernel": "avx2"})]
    assert environment["libraries"]


def test_its_errors_are_the_steps_own(tmp_path: Path) -> None:
    with pytest.raises(LicenceError, match="not free") as caught:
        run(tmp_path, ending="refused")
    assert caught.value.hint == "Ask."


@pytest.mark.parametrize(
    ("ending", "said"), [("stubborn", "StubbornError: ab"), ("killed", "its process was killed by SIGKILL")]
)
def test_what_cannot_travel_and_a_death_are_said(tmp_path: Path, ending: str, said: str) -> None:
    with pytest.raises(StepError, match=said):
        run(tmp_path, ending=ending)


PARENT = """
import sys
from pathlib import Path
from tests.core.test_apart import run
run(Path(sys.argv[1]), ending="never")
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_it_ends_with_its_parent(tmp_path: Path, how: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    wait_for(tmp_path / "state" / "pid")
    time.sleep(0.1)
    child = int((tmp_path / "state" / "pid").read_text())
    parent.send_signal(how)
    parent.wait(20)
    until = time.monotonic() + 10
    while _runs(child):
        assert time.monotonic() < until, "the step's process is still there"
        time.sleep(0.02)


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_run_gives_each_call_the_process_it_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path)
    bench.write('[plain]\nstep = "toy.apart"\n\n[capped]\nstep = "toy.apart"\nkernel = "avx2"\n')
    artifacts = bench.run().artifacts
    assert artifacts["plain"].manifest.measured["process"] == os.getpid()
    assert artifacts["capped"].manifest.measured["process"] != os.getpid()
    assert (artifacts["capped"].path / "kernel.txt").read_text() == "avx2\n"
    # A process that began with them, such as a worker's, needs no other.
    monkeypatch.setenv(KERNEL, "avx2")
    assert not must_run_apart({KERNEL: "avx2"})
    assert must_run_apart({KERNEL: "avx512"})
