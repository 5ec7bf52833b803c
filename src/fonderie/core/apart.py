"""A step in a process of its own, begun with the variables that its parameters ask for.

Which kernels ATen, MKL and oneDNN use is settled when they are loaded, once per process. So a step that asks for
certain ones (`Parameters.variables`) runs in a fresh process, and the other calls of a recipe keep theirs: what a
call comes to never depends on which other calls its recipe has. Setting the variables for the whole command, or
running the command again under them, would make it depend on that.

Everything but the files travels through one pair of sockets: the request there, progress and the end back. The
process ends at once when its parent does, however that ends, so that nobody else writes into the staging folder.
"""

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from importlib import import_module
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from fonderie.core.errors import StepError
from fonderie.core.machine import Machine
from fonderie.core.progress import Bar, Reporter
from fonderie.core.step import Inputs, Output, Step

GRACE_SECONDS = 10.0
"""What an interrupted process is given to end by itself before it is killed."""
_STAYS = ("reporter", "note")
"""Of a machine, what belongs to the parent's process: the child has stand-ins that report to it."""


def must_run_apart(variables: Mapping[str, str]) -> bool:
    """Whether this process was not begun with these variables."""
    return any(os.environ.get(name) != value for name, value in variables.items())


def run_apart(
    step: Step, inputs: Inputs, params: Any, out: Output, *, machine: Machine, variables: Mapping[str, str]
) -> dict[str, Any]:
    """Run a step in a process begun with `variables`; fills in `out` and returns that process's environment.

    Raises what the step raises; StepError if it raises what cannot travel, or if its process dies.
    """
    here, there = Pipe()
    with here:
        with there:
            # Not -m: what is pickled here must be this module there, and not __main__.
            begin = "from fonderie.core.apart import main; main()"
            command = [sys.executable, "-c", begin, str(there.fileno())]
            process = subprocess.Popen(command, env={**os.environ, **variables}, pass_fds=[there.fileno()])
        try:
            settings = {
                part.name: getattr(machine, part.name) for part in fields(machine) if part.name not in _STAYS
            }
            request = _Request((step.function.__module__, step.function.__name__), inputs, params, out, settings)
            return _converse(request, here, process, out, machine)
        finally:
            _end(process)


@dataclass(frozen=True)
class _Request:
    step: tuple[str, str]
    """Module, and the step's name in it: `step` put it where its function was."""
    inputs: Inputs
    params: Any
    out: Output
    machine: dict[str, Any]


def _converse(
    request: _Request, here: Connection, process: "subprocess.Popen[bytes]", out: Output, machine: Machine
) -> dict[str, Any]:
    """Ask, and pass progress on until the step ends."""
    bars: dict[int, Bar] = {}
    managers: dict[int, Any] = {}
    try:
        here.send(request)
        while True:
            kind, *rest = here.recv()
            if kind == "say":
                machine.reporter.say(*rest)
            elif kind == "note":
                machine.note(rest[0], **rest[1])
            elif kind == "bar":
                managers[rest[0]] = machine.bar(*rest[1:])
                bars[rest[0]] = managers[rest[0]].__enter__()
            elif kind in ("advance", "skip"):
                getattr(bars[rest[0]], kind)(*rest[1:])
            elif kind == "close":
                managers.pop(rest[0]).__exit__(None, None, None)
            elif kind == "failed":
                raise rest[0]
            else:
                statistics, measured, environment = rest
                out.statistics.update(statistics)
                out.measured.update(measured)
                return dict(environment)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise StepError(
            _how_it_ended(process.wait()), hint="If it lacked memory, ask for less at a time."
        ) from None
    finally:
        for manager in managers.values():
            manager.__exit__(None, None, None)


def _how_it_ended(status: int) -> str:
    if status < 0:
        return f"its process was killed by {signal.Signals(-status).name}"
    return f"its process ended with status {status} before the step did"


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class _Remote(Reporter):
    """Reports to the parent."""

    def __init__(self, there: Connection) -> None:
        self.there, self.bars = there, 0

    def say(self, text: str) -> None:
        self.there.send(("say", text))

    def note(self, event: str, **found: Any) -> None:
        self.there.send(("note", event, found))

    @contextmanager
    def bar(self, label: str, total: int, unit: str) -> Iterator[Bar]:
        self.bars += 1
        number = self.bars
        self.there.send(("bar", number, label, total, unit))
        try:
            yield _RemoteBar(self.there, number)
        finally:
            self.there.send(("close", number))


@dataclass(frozen=True)
class _RemoteBar:
    there: Connection
    number: int

    def advance(self, count: int = 1, note: str = "") -> None:
        self.there.send(("advance", self.number, count, note))

    def skip(self, count: int) -> None:
        self.there.send(("skip", self.number, count))


def main() -> None:
    """Do what the parent asks."""
    from fonderie.core import environment

    # Ctrl-C reaches the whole process group: the parent reports it once, and ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    there = Connection(int(sys.argv[1]))
    request: _Request = there.recv()
    threading.Thread(target=_exit_after, args=[there], daemon=True).start()
    remote, out = _Remote(there), request.out
    try:
        machine = Machine(**request.machine, reporter=remote, note=remote.note)
        module, name = request.step
        getattr(import_module(module), name)(request.inputs, request.params, out, machine)
        there.send(("done", out.statistics, out.measured, environment.describe()))
    except Exception as error:
        there.send(("failed", _able_to_travel(error)))


def _exit_after(there: Connection) -> None:
    """End this process as soon as the parent's side is closed, by its end or by its death."""
    try:
        there.recv()
    except (EOFError, OSError):
        os._exit(1)


def _able_to_travel(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return StepError(f"{type(error).__name__}: {error}")
    return error
