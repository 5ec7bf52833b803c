"""A step in a process of its own, begun with the variables that its parameters ask for.

Which kernels ATen, MKL and oneDNN use is settled when they are loaded, once per process. So a step that asks for
certain ones (`Parameters.variables`) runs in a fresh process, and the other calls of a recipe keep theirs: what a
call comes to never depends on which other calls its recipe has. Setting the variables for the whole command, or
running the command again under them, would make it depend on that.

Everything but the files travels through one pair of sockets: see remote.py.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from fonderie.core import pause
from fonderie.core.errors import StepError
from fonderie.core.machine import Machine
from fonderie.core.remote import PAUSE, Relay, Remote, Request, able_to_travel, heed
from fonderie.core.step import Inputs, Output, Step

GRACE_SECONDS = 10.0
"""What an interrupted process is given to end by itself before it is killed."""


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
            request = Request.of(step.function, inputs, params, out, machine)
            return _converse(request, here, process, out, machine)
        finally:
            _end(process)


def _converse(
    request: Request, here: Connection, process: "subprocess.Popen[bytes]", out: Output, machine: Machine
) -> dict[str, Any]:
    """Ask, and pass progress on until the step ends."""
    try:
        here.send(request)
        with Relay(machine) as relay, pause.passed_on(lambda: here.send(PAUSE)):
            while True:
                kind, *rest = here.recv()
                if relay.take(kind, *rest):
                    continue
                if kind == "failed":
                    raise rest[0]
                statistics, measured, environment = rest
                out.statistics.update(statistics)
                out.measured.update(measured)
                return dict(environment)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise StepError(
            _how_it_ended(process.wait()), hint="If it lacked memory, ask for less at a time."
        ) from None


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


def main() -> None:
    """Do what the parent asks."""
    from fonderie.core import environment

    # Ctrl-C reaches the whole process group: the parent reports it once, and ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    there = Connection(int(sys.argv[1]))
    request: Request = there.recv()
    heed(there)
    remote, out = Remote(there), request.out
    try:
        request.run(Machine(**request.machine, reporter=remote, note=remote.note))
        there.send(("done", out.statistics, out.measured, environment.describe()))
    except (Exception, pause.Paused) as error:
        there.send(("failed", able_to_travel(error)))
