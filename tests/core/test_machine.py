import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from tests.core.helpers import ROOT, Said, wait_for

from fonderie.core.errors import InputError, StepError, UsageError
from fonderie.core.machine import Machine, available_cores


class NoWayBackError(Exception):
    """Pickles, but cannot be unpickled: its constructor wants more than its args."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(f"line {line}: {text}")


def _square(value: int) -> int:
    return value * value


def _slower_first(value: int) -> int:
    time.sleep(0.1 if value == 0 else 0)
    return value


def _fail_at_two(kind: str, value: int) -> int:
    if value == 2:
        if kind == "ours":
            raise InputError("shard 2 is truncated", hint="Fetch it again.")
        if kind == "no way back":
            raise NoWayBackError(7, "bad")
        if kind == "local":

            class LocalError(Exception):
                pass

            raise LocalError("not importable")
        if kind == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(28, "No space left on device", "shard-2")
    return value


def _note(folder: Path, value: int) -> int:
    (folder / f"{value}").touch()
    time.sleep(0.05)
    return value


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_results_come_in_the_order_of_the_items(workers: int) -> None:
    machine = Machine(workers=workers)
    assert list(machine.map(_square, range(7), label="squares")) == [0, 1, 4, 9, 16, 25, 36]
    assert list(machine.map(_slower_first, range(4), label="slow")) == [0, 1, 2, 3]
    assert list(machine.map(_square, [], label="nothing")) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_our_errors_arrive_whole(workers: int) -> None:
    with pytest.raises(InputError) as caught:
        list(Machine(workers=workers).map(partial(_fail_at_two, "ours"), range(5), label="reading"))
    assert (caught.value.message, caught.value.hint) == ("shard 2 is truncated", "Fetch it again.")


def test_a_system_error_keeps_its_number() -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        list(Machine(workers=2).map(partial(_fail_at_two, "disk"), range(5), label="reading"))
    assert caught.value.errno == 28
    assert caught.value.filename == "shard-2"


@pytest.mark.parametrize(
    ("kind", "text"), [("no way back", "NoWayBackError: line 7: bad"), ("local", "LocalError: not importable")]
)
def test_an_error_that_cannot_travel_is_told_and_not_taken_for_a_dead_worker(kind: str, text: str) -> None:
    with pytest.raises(StepError, match=text):
        list(Machine(workers=2).map(partial(_fail_at_two, kind), range(5), label="reading"))


def test_an_item_that_kills_three_workers_is_an_error_that_names_it() -> None:
    said, noted = Said(), []
    machine = Machine(workers=2, reporter=said, note=lambda event, **fields: noted.append((event, fields)))
    with pytest.raises(StepError, match="a worker died during 'reading', 3 times on item 3 of 5"):
        list(machine.map(partial(_fail_at_two, "die"), range(5), label="reading"))
    assert [fields["attempt"] for event, fields in noted if event == "worker_lost"] == [1, 2, 3]
    assert len([line for line in said.lines if "a worker died on item 3 of 5" in line]) == 2


def _die_the_first_time(folder: Path, item: tuple[int, Path]) -> int:
    """As a worker that is killed for lack of memory: half of its file is written, and then nothing."""
    index, path = item
    tries = folder / f"{index}.tries"
    with tries.open("a") as file:
        file.write("x")
    out = folder / f"{index}.out"
    out.write_text("half")
    if index % 2 == 0 and tries.stat().st_size == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    out.write_text(f"the whole of {path.name}")
    return index


@pytest.mark.parametrize("workers", [2, 3])
def test_what_a_killed_worker_had_is_done_again(tmp_path: Path, workers: int) -> None:
    said = Said()
    items = [(index, tmp_path / f"{index:05d}.parquet") for index in range(6)]
    results = Machine(workers=workers, reporter=said).map(
        partial(_die_the_first_time, tmp_path), items, label="cleaning"
    )
    assert list(results) == list(range(6))
    assert [(tmp_path / f"{i}.out").read_text() for i in range(6)] == [
        f"the whole of {i:05d}.parquet" for i in range(6)
    ]
    assert [(tmp_path / f"{i}.tries").read_text() for i in range(6)] == ["xx", "x"] * 3
    assert len([line for line in said.lines if "it is done again" in line]) == 3
    assert any(str(tmp_path / "00002.parquet") in line for line in said.lines)


def _late_error(value: int) -> int:
    if value == 0:
        time.sleep(0.3)
    if value in (1, 3):
        raise InputError(f"shard {value}")
    return value


def test_of_several_errors_the_first_in_order_is_told(tmp_path: Path) -> None:
    """Whatever the number of workers, so that a run that fails fails the same way again."""
    for workers in (1, 2, 4):
        results = Machine(workers=workers).map(_late_error, range(6), label="reading")
        assert next(results) == 0
        with pytest.raises(InputError, match="shard 1"):
            next(results)


@pytest.mark.parametrize("workers", [1, 2])
def test_who_stops_asking_stops_the_work(tmp_path: Path, workers: int) -> None:
    results = Machine(workers=workers).map(partial(_note, tmp_path), range(200), label="notes")
    assert next(results) == 0
    results.close()
    begun = len(list(tmp_path.iterdir()))
    assert begun < 100
    time.sleep(0.2)
    assert len(list(tmp_path.iterdir())) == begun


def test_progress_is_counted() -> None:
    said = Said()
    list(Machine(workers=2, reporter=said).map(_square, range(3), label="squares"))
    assert said.lines == ["+1"] * 3


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"threads": -1}])
def test_no_workers_is_no_machine(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        Machine(**wrong)


def test_there_is_a_core() -> None:
    assert available_cores() >= 1


ORPHANS = """
import sys, time
from functools import partial
from pathlib import Path
from fonderie.core.machine import Machine
from tests.core.test_machine import _hold

if __name__ == "__main__":
    list(Machine(workers=2).map(partial(_hold, Path(sys.argv[1])), range(2), label="holding"))
"""


def _hold(folder: Path, value: int) -> None:
    (folder / str(os.getpid())).touch()
    (folder / "begun").touch()
    time.sleep(60)


def _alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see whether a process lives")
def test_workers_do_not_outlive_a_killed_run(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ORPHANS, str(tmp_path)], env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT
    )
    wait_for(tmp_path / "begun")
    process.kill()
    process.wait()
    workers = [int(path.name) for path in tmp_path.iterdir() if path.name.isdigit()]
    assert workers
    until = time.monotonic() + 5
    while any(_alive(worker) for worker in workers) and time.monotonic() < until:
        time.sleep(0.05)
    assert not [worker for worker in workers if _alive(worker)]
