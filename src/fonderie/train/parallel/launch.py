"""A training step run by several processes: torchrun starts them, and this process leads them.

The leader listens; every process that torchrun starts (worker.py) calls it, is sent the step, and takes it in step
with the others. The first one's progress and results come back, and everyone's errors. The end of one ends all, and
the error that is raised is that of the process that failed first, not of those that missed it afterwards.
Imports no torch.
"""

import os
import queue
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

from fonderie.core import pause
from fonderie.core.errors import FonderieError, StepError, UsageError
from fonderie.core.files import disk_full
from fonderie.core.machine import Machine
from fonderie.core.remote import PAUSE, Relay, Request
from fonderie.core.step import Inputs, Output, StepFunction
from fonderie.train.parallel.layout import check_layout
from fonderie.train.settings.shared import Settings

LEADER, KEY = "FONDERIE_LEADER", "FONDERIE_LEADER_KEY"
"""Variables that say where a worker's leader listens, and prove to it that it is one."""
OUTPUT = "processes.log"
"""In the state folder: what torchrun and the workers print."""
GRACE_SECONDS = 3.0
"""After a failure that may be another's, how long others are given to say theirs."""
END_SECONDS = 10.0
"""What torchrun is given to end its workers."""


def shared_out(function: StepFunction) -> StepFunction:
    """Let a training step's function be run by as many processes as the machine says."""

    @wraps(function)
    def run(inputs: Inputs, params: Any, out: Output, machine: Machine) -> None:
        if isinstance(params, Settings) and LEADER not in os.environ:
            check_layout(params, machine)
        if machine.processes == 1 or LEADER in os.environ:
            function(inputs, params, out, machine)
        else:
            lead(Request.of(function, inputs, params, out, machine), out, machine)

    return run


def lead(request: Request, out: Output, machine: Machine) -> None:
    """Run a request in all processes; fills in `out`. Raises what the first process to fail raised."""
    key = secrets.token_bytes(32)
    host = "127.0.0.1" if machine.nodes == 1 else socket.gethostname()
    with Listener(
        (host if machine.nodes == 1 else "", 0), "AF_INET", backlog=machine.processes, authkey=key
    ) as listener:
        port = listener.address[1]
        variables = {LEADER: f"{host}:{port}", KEY: key.hex()}
        with _torchrun(machine, variables, out.state / OUTPUT) as process:
            _Crew(request, out, machine, process).work(listener)


@contextmanager
def _torchrun(machine: Machine, variables: dict[str, str], log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    # In a session of its own: Ctrl-C reaches the leader, which ends the others.
    environment = {**os.environ, **variables, "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "5"}
    with log.open("wb") as file:
        process = subprocess.Popen(
            command(machine), env=environment, stdout=file, stderr=file, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def command(machine: Machine) -> list[str]:
    """How torchrun is called: here, or by srun on every node of the allocation that this process is in."""
    each = ["--nproc-per-node", str(machine.processes // machine.nodes), "--max-restarts", "0"]
    worker = ["-m", "fonderie.train.parallel.worker"]
    torchrun = [sys.executable, "-m", "torch.distributed.run"]
    if machine.nodes == 1:
        return [*torchrun, "--standalone", *each, *worker]
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        raise UsageError(
            f"{machine.nodes} nodes are those of a Slurm job, and this is none",
            hint="Submit the run: fonderie run RECIPE --on slurm --profile PROFILE. Or leave out --nodes.",
        )
    nodes = str(machine.nodes)
    srun = ["srun", "--nodes", nodes, "--ntasks", nodes, "--ntasks-per-node", "1", "--kill-on-bad-exit=1"]
    if "SLURM_CPUS_PER_TASK" in os.environ:  # which srun does not take over by itself since Slurm 22.05
        srun += ["--cpus-per-task", os.environ["SLURM_CPUS_PER_TASK"]]
    # Jobs that share a node must not share a port, so it follows from the job.
    meeting = f"{socket.gethostname()}:{20_000 + int(job) % 10_000}"
    rendezvous = ["--nnodes", nodes, "--rdzv-backend", "c10d", "--rdzv-endpoint", meeting, "--rdzv-id", job]
    return [*srun, *torchrun, *rendezvous, *each, *worker]


@dataclass(frozen=True)
class _Worker:
    rank: int
    host: str
    process: int


@dataclass(frozen=True)
class _Failure:
    error: BaseException
    of_others: bool
    """Whether it may be that another process failed or did not answer."""


class _Crew:
    """The workers of one request, as the leader knows them."""

    def __init__(self, request: Request, out: Output, machine: Machine, process: "subprocess.Popen[bytes]") -> None:
        self.request, self.out, self.machine, self.process = request, out, machine, process
        self.heard: queue.SimpleQueue[tuple[_Worker, Connection, tuple[Any, ...]]] = queue.SimpleQueue()
        self.known: dict[int, _Worker] = {}
        self.done: set[int] = set()
        self.failed: dict[int, _Failure] = {}
        self.lost: list[int] = []
        self.wishes = ExitStack()
        self.over = threading.Event()

    def work(self, listener: Listener) -> None:
        """Listen until all have ended well; raises what went wrong."""
        threading.Thread(target=self._welcome, args=[listener], daemon=True).start()
        with Relay(self.machine) as relay, self.wishes:
            self.wishes.callback(self.over.set)
            deadline: float | None = None
            while len(self.done) < self.machine.processes:
                try:
                    worker, there, (kind, *rest) = self.heard.get(timeout=0.2)
                except queue.Empty:
                    pass
                else:
                    if not (worker.rank == 0 and relay.take(kind, *rest)):
                        self._take(worker, there, kind, *rest)
                if (self.failed or self.lost) and deadline is None:
                    deadline = time.monotonic() + GRACE_SECONDS
                if self._settled() or (deadline is not None and time.monotonic() > deadline):
                    raise self._verdict()
                if (
                    self.process.poll() is not None
                    and self.heard.empty()
                    and len(self.done) < self.machine.processes
                ):
                    deadline = deadline or time.monotonic() + GRACE_SECONDS
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(END_SECONDS)

    def _take(self, worker: _Worker, there: Connection, kind: str, *rest: Any) -> None:
        rank = worker.rank
        if kind == "hello":
            self.known[rank] = worker
            there.send(self.request)
            if rank == 0:
                self._pass_on(there)
        elif kind == "done":
            self.done.add(rank)
            if rank == 0:
                statistics, measured = rest
                self.out.statistics.update(statistics)
                self.out.measured.update(measured)
        elif kind == "failed":
            self.failed[rank] = _Failure(*rest)
        elif kind == "lost" and rank not in self.done | self.failed.keys():
            self.lost.append(rank)

    def _pass_on(self, there: Connection) -> None:
        # The first process alone is told; the others learn it from that one, all after the same step.
        def tell() -> None:
            with suppress(OSError):
                there.send(PAUSE)

        self.wishes.enter_context(pause.passed_on(tell))

    def _settled(self) -> bool:
        """Whether somebody's own error is known, so that nobody else's matters."""
        return any(not failure.of_others for failure in self.failed.values())

    def _verdict(self) -> BaseException:
        """The error to raise: somebody's own, before a death without a word, before what others missed."""
        size = self.machine.processes
        for rank, failure in self.failed.items():
            if not failure.of_others:
                return _named(failure.error, self.known[rank], size)
        output = self.out.state / OUTPUT
        hint = f"What the processes printed is in {output}."
        if self.lost:
            worker = self.known[self.lost[0]]
            how = _how_it_ended(worker, self.process, output)
            return StepError(
                f"process {worker.rank} of {size} ({worker.process} on {worker.host}) {how}",
                hint=f"If it lacked memory, use more processes or --recompute. {hint}",
            )
        if self.failed:
            rank, failure = next(iter(self.failed.items()))
            silent = [str(other) for other in range(size) if other not in self.failed]
            return StepError(
                f"process {rank} of {size} missed the others: {failure.error}"
                + (f"; nothing was heard of process {', '.join(silent)}" if silent else ""),
                hint=hint,
            )
        absent = [str(rank) for rank in range(size) if rank not in self.known]
        return StepError(
            f"torchrun ended with status {self.process.poll()} before process {', '.join(absent)} of {size} began: "
            f"{_last_line(output)}",
            hint=hint,
        )

    def _welcome(self, listener: Listener) -> None:
        welcomed = 0
        while welcomed < self.machine.processes:
            try:
                there = listener.accept()
            except (AuthenticationError, EOFError, OSError):
                if self.over.is_set():  # the listener is closed, or will be
                    return
                continue  # a stranger on the port, who knows no key
            welcomed += 1
            threading.Thread(target=self._hear, args=[there], daemon=True).start()

    def _hear(self, there: Connection) -> None:
        worker = _Worker(*there.recv())
        self.heard.put((worker, there, ("hello",)))
        try:
            while True:
                self.heard.put((worker, there, there.recv()))
        except (EOFError, OSError):
            self.heard.put((worker, there, ("lost",)))


def _named(error: BaseException, worker: _Worker, size: int) -> BaseException:
    """The error with the process it is of, unless it is the answer to a wish, or of the disk that all share."""
    if isinstance(error, pause.Paused) or disk_full(error):
        return error
    who = f"process {worker.rank} of {size} on {worker.host}"
    if isinstance(error, FonderieError):
        error.message = f"{who}: {error.message}"
        return error
    return StepError(f"{who}: {type(error).__name__}: {error}", hint=f"The whole trace is in {OUTPUT}.")


def _how_it_ended(worker: _Worker, process: "subprocess.Popen[bytes]", output: Path) -> str:
    """What torchrun says of a worker's death, once it has ended over it."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_SECONDS)
    said = output.read_text(encoding="utf-8", errors="replace")
    found = re.search(rf"\((SIG\w+)\) received by PID {worker.process}\b", said)
    return f"was killed by {found[1]}" if found else "ended without a word"


def _last_line(output: Path) -> str:
    lines = [line for line in output.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it printed nothing"
