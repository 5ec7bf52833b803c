"""Trainings in two processes of one machine (gloo): the same as in one, killed and resumed, and failing in words."""

import json
import os
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener
from pathlib import Path

import pytest
from tests.corpus.builders import documents
from tests.train import continuing, pretraining, tuning
from tests.train.parallel.running import run
from tests.train.parallel.troubles import TroubleParameters, trouble

from fonderie.core.errors import FonderieError, InputError, StepError, StoreError, UsageError
from fonderie.core.machine import Machine
from fonderie.core.manifest import list_files
from fonderie.core.remote import Request
from fonderie.core.step import Inputs, Output
from fonderie.train.parallel.launch import _Crew
from fonderie.train.parallel.layout import check_rows
from fonderie.train.record.commitment import read_log
from fonderie.train.settings.plan import Phase, Plan
from fonderie.train.settings.ramp import BatchSizes
from fonderie.train.settings.schedule import Schedule

ROOT = Path(__file__).parents[3]
CHANGES = {"duration": "60 steps", "checkpoint_every": 6, "checkpoints_kept": 20}
# Another order of sums: what one step of a small fp32 training differs by, and what sixty of them do (decision 0025).
LOSS_TOLERANCE = 1e-5


def start(tokens: Path, tokenizer: Path, staging: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.train.parallel.running", str(tokens), str(tokenizer), str(staging)]
    arguments = [json.dumps({"processes": 2}), json.dumps(CHANGES)]
    return subprocess.Popen([*command, *arguments], cwd=ROOT, stderr=subprocess.PIPE)


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def workers(leader: int) -> dict[str, int]:
    """The processes of a training, by rank."""
    found = {}
    for torchrun in children(leader):
        for worker in children(torchrun):
            variables = Path(f"/proc/{worker}/environ").read_bytes().split(b"\0")
            ranks = [value for value in variables if value.startswith(b"RANK=")]
            found |= {rank.decode().partition("=")[2]: worker for rank in ranks}
    return found


def lines(staging: Path):
    return read_log((staging / "files/log.jsonl").read_bytes())


@pytest.mark.slow
def test_every_layout_computes_what_one_process_does(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = ["-m", "tests.train.parallel.layouts", str(tmp_path)]
    done = subprocess.run([*command, *script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    differences = json.loads(done.stdout)
    assert len(differences) == 11
    for name, found in differences.items():
        half = name.startswith("bf16")
        assert found["first loss"] <= (1e-3 if half else 1e-6), (name, found)
        assert found["first norm"] <= (5e-3 if half else 2e-6), (name, found)
        assert found["loss"] <= (1e-2 if half else 1e-6), (name, found)
        assert found["weights"] <= (0.1 if half else 2e-5), (name, found)


@pytest.mark.slow
def test_killed_while_checkpoints_are_written_it_ends_in_the_same_bytes(tokens_folder, tokenizer_folder, tmp_path):
    folders = tokens_folder, tokenizer_folder
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    first = start(*folders, whole)
    # The leader dies, whatever is in flight: nobody is left to write into its folder.
    process = start(*folders, killed)
    _wait(lambda: list((killed / "state").glob("step-*")) and _logged(killed) > 6, process)
    crew = workers(process.pid)
    process.kill()
    process.wait()
    assert sorted(crew) == ["0", "1"]
    _wait(lambda: not any(Path(f"/proc/{worker}").exists() for worker in crew.values()))
    # One process dies: the error is its own, not that of the one that missed it.
    process = start(*folders, killed)
    _wait(lambda: list((killed / "state").glob("step-*")) and _logged(killed) > 24, process)
    victim = workers(process.pid)["1"]
    os.kill(victim, signal.SIGKILL)
    _, error = process.communicate()
    assert process.returncode == 1
    assert f"StepError: process 1 of 2 ({victim} on ".encode() in error
    assert b") was killed by SIGKILL" in error
    assert start(*folders, killed).wait() == 0
    assert first.wait() == 0
    assert list_files(killed / "files") == list_files(whole / "files")

    # What two began, one goes on with: the same batches to the token, and the same losses but for rounding.
    alone = tmp_path / "alone"
    pretraining.run(*folders, alone, **CHANGES)
    assert (alone / "files/commitment.json").read_bytes() == (whole / "files/commitment.json").read_bytes()
    _compare(whole, alone)
    resumed = _cut_after(whole, tmp_path / "two then one", 30)
    pretraining.run(*folders, resumed, **CHANGES)
    _compare(whole, resumed)
    assert lines(whole)[:30] == lines(resumed)[:30]
    # And what one began, two.
    resumed = _cut_after(alone, tmp_path / "one then two", 30)
    out = run(*folders, resumed, **CHANGES)
    assert out.measured["processes"] == 2
    assert out.measured["resumed_from_step"] == 30
    _compare(alone, resumed)
    assert lines(alone)[:30] == lines(resumed)[:30]


@pytest.mark.slow
def test_a_checkpoint_that_finds_no_room_is_an_error_of_the_disk(tokens_folder, tokenizer_folder, tmp_path):
    """In a thread beside the training, and in torch's own words: it must reach the leader all the same."""
    room = 200_000  # for the weights, not for the optimizer's state

    process = start(tokens_folder, tokenizer_folder, tmp_path)
    # Its workers, which are to come, have it too.
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (room, room))
    _, error = process.communicate()
    assert process.returncode == 1
    last = error.decode().strip().splitlines()[-1]
    assert last == "OSError: [Errno 27] File too large"
    assert [path.name for path in (tmp_path / "files/checkpoints").iterdir()] == ["step-00000000"]


@pytest.mark.slow
def test_a_damaged_checkpoint_is_named_by_all(tokens_folder, tokenizer_folder, tmp_path):
    pretraining.run(tokens_folder, tokenizer_folder, tmp_path, **CHANGES)
    path = tmp_path / "files/checkpoints/step-00000060/optimizer.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreError, match=r"process \d of 2 on .*: .*step-00000060/optimizer\.safetensors"):
        run(tokens_folder, tokenizer_folder, tmp_path, **CHANGES)


@pytest.mark.slow
def test_preferences_are_learnt_alike(tokenizer_folder, tmp_path):
    model = tuning.base(tmp_path / "base")
    tokens = tuning.packed(
        tmp_path / "packed", tokenizer_folder, [tuning.preference(number) for number in range(30)]
    )
    settings = {"duration": "12 steps", "validation": [tuning.preference(number) for number in range(30, 40)]}
    held_out = []
    for processes in (1, 2):
        staging = tmp_path / str(processes)
        out = tuning.run("prefer", model, tokens, tokenizer_folder, staging, processes=processes, **settings)
        held_out.append(out.statistics["held_out"])
    _compare(tmp_path / "1", tmp_path / "2")
    assert held_out[0]["pairs"] == held_out[1]["pairs"] == 10
    assert held_out[0]["margin_nats"] == pytest.approx(held_out[1]["margin_nats"], rel=1e-2)
    one, two = (tmp_path / name / "files/reference.safetensors" for name in "12")
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.slow
def test_a_model_is_continued_alike_but_not_stopped_early(tmp_path):
    tokenizer = continuing.tokenizer(tmp_path / "tokenizer")
    folders = (
        continuing.base(tmp_path / "llama", "llama"),
        continuing.packed(tmp_path / "packed", tokenizer, continuing.conversations("debates", 1)),
        tokenizer,
    )
    for processes in (1, 2):
        machine = Machine(processes=processes)
        continuing.run(*folders, tmp_path / str(processes), machine=machine, duration="12 steps")
    _compare(tmp_path / "1", tmp_path / "2")
    held_out = documents(tmp_path / "held out", [continuing.conversations("debates", 2)]).path
    with pytest.raises(UsageError, match="early_stopping is judged by the one process"):
        continuing.run(
            *folders,
            tmp_path / "stopped",
            validation=held_out,
            machine=Machine(processes=2),
            early_stopping={"patience": 1},
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "error", "said"),
    [
        ("refuses", InputError, r"process 1 of 2 on \S+: the second half is missing"),
        ("breaks", StepError, r"process 1 of 2 on \S+: ZeroDivisionError: by nothing"),
        ("hangs", StepError, r"process 0 of 2 missed the others: .*; nothing was heard of process 1"),
    ],
)
def test_the_end_of_one_process_is_the_end_of_all_in_its_own_words(
    tmp_path: Path, kind: str, error: type[FonderieError], said: str
) -> None:
    out = Output(tmp_path / "files", tmp_path / "state")
    out.state.mkdir()
    machine = Machine(processes=2, patience_seconds=4)
    with pytest.raises(error, match=said) as caught:
        trouble(Inputs({}), TroubleParameters(trouble=kind), out, machine)
    assert caught.value.hint


def test_strangers_on_the_port_take_nobodys_place(tmp_path: Path) -> None:
    """Whoever scans ports, or knows another key, is not counted: the workers that come after are heard."""
    out = Output(tmp_path / "files", tmp_path / "state")
    request = Request(("", ""), Inputs({}), TroubleParameters(trouble=""), out, {})
    key = secrets.token_bytes(32)
    with Listener(("127.0.0.1", 0), authkey=key) as listener, subprocess.Popen(["sleep", "60"]) as process:
        crew = _Crew(request, out, Machine(processes=1), process)
        leading = threading.Thread(target=crew.work, args=[listener])
        leading.start()
        for noise in (b"", b"GET / HTTP/1.1\r\n\r\n" * 9):
            with socket.create_connection(listener.address) as stranger:
                stranger.sendall(noise)
        with pytest.raises(AuthenticationError):
            Client(listener.address, authkey=b"another")
        with Client(listener.address, authkey=key) as worker:
            worker.send((0, "here", 1))
            assert worker.recv().params.trouble == ""
            worker.send(("done", {"steps": 1}, {}))
            process.kill()
            leading.join()
    assert out.statistics == {"steps": 1}


def test_too_few_sequences_for_so_many_processes_are_refused() -> None:
    phase = Phase("main", Schedule("constant", 3, 1.0), BatchSizes(8), 16, accumulation=2)
    plan = Plan((phase,), 1.0, 0, "fp32", compile=False, checkpoint_every=1, checkpoints_kept=1)
    check_rows(plan, 4)
    with pytest.raises(UsageError, match="steps of 8 sequences, too few for 5 processes with 2 micro-batches"):
        check_rows(plan, 5)


@pytest.mark.parametrize("sizes", [(3, 2, 1), (4, 4, 2), (2, 1, 3)])
def test_processes_must_come_out_even(sizes: tuple[int, int, int]) -> None:
    processes, tensor_parallel, nodes = sizes
    with pytest.raises(UsageError, match="cannot be shared out"):
        Machine(processes=processes, tensor_parallel=tensor_parallel, nodes=nodes)


def _compare(one: Path, other: Path) -> None:
    pairs = list(zip(lines(one), lines(other), strict=True))
    assert [a.batch for a, _ in pairs] == [b.batch for _, b in pairs]
    for a, b in pairs:
        assert b.loss == pytest.approx(a.loss, rel=LOSS_TOLERANCE), a.step
        assert b.gradient_norm == pytest.approx(a.gradient_norm, rel=1e-3), a.step


def _cut_after(staging: Path, copy: Path, step: int) -> Path:
    """A copy of a finished training as it was after a step."""
    shutil.copytree(staging, copy)
    for path in (copy / "files/checkpoints").iterdir():
        if int(path.name.removeprefix("step-")) > step:
            shutil.rmtree(path)
    return copy


def _logged(staging: Path) -> int:
    log = staging / "files/log.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0


def _wait(ready, process: "subprocess.Popen[bytes] | None" = None, seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert process is None or process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < end
        time.sleep(0.002)
