"""A step that other processes of ours run: what they are sent, and what they say.

One pair of sockets for each: the request there, progress and the end back; and, while it works, the wish to pause.
A process ends at once when the one that asked does, however that ends, so that nobody else writes into the staging
folder.
"""

import os
import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any, Self

from fonderie.core import pause
from fonderie.core.errors import StepError
from fonderie.core.machine import Machine
from fonderie.core.progress import Bar, Reporter
from fonderie.core.step import Inputs, Output, StepFunction

PAUSE = "pause"
_STAYS = ("reporter", "note")
"""Of a machine, what belongs to the process that asks: the other has stand-ins that report to it."""


@dataclass(frozen=True)
class Request:
    """What is to be run, and how."""

    step: tuple[str, str]
    """Module, and the step's name in it: `step` put it where its function was."""
    inputs: Inputs
    params: Any
    out: Output
    machine: dict[str, Any]

    @classmethod
    def of(cls, function: StepFunction, inputs: Inputs, params: Any, out: Output, machine: Machine) -> Self:
        """The request for a step's function."""
        settings = {part.name: getattr(machine, part.name) for part in fields(machine) if part.name not in _STAYS}
        return cls((function.__module__, function.__name__), inputs, params, out, settings)

    def run(self, machine: Machine) -> None:
        """Do it here."""
        module, name = self.step
        getattr(import_module(module), name)(self.inputs, self.params, self.out, machine)


class Relay:
    """Passes on to this process's machine what another reports; use as a context manager."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._bars: dict[int, Bar] = {}
        self._managers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for manager in self._managers.values():
            manager.__exit__(None, None, None)

    def take(self, kind: str, *rest: Any) -> bool:
        """Pass a message on; False if it is no report."""
        if kind == "say":
            self._machine.reporter.say(*rest)
        elif kind == "note":
            self._machine.note(rest[0], **rest[1])
        elif kind == "bar":
            self._managers[rest[0]] = self._machine.bar(*rest[1:])
            self._bars[rest[0]] = self._managers[rest[0]].__enter__()
        elif kind in ("advance", "skip"):
            getattr(self._bars[rest[0]], kind)(*rest[1:])
        elif kind == "close":
            self._managers.pop(rest[0]).__exit__(None, None, None)
        else:
            return False
        return True


class Remote(Reporter):
    """Reports to the process that asked."""

    def __init__(self, there: Connection) -> None:
        self.there, self.bars = there, 0

    def say(self, text: str) -> None:
        """One line of information."""
        self.there.send(("say", text))

    def note(self, event: str, **found: Any) -> None:
        """An event for the log."""
        self.there.send(("note", event, found))

    @contextmanager
    def bar(self, label: str, total: int, unit: str) -> Iterator[Bar]:
        """A count from 0 to total."""
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


def heed(there: Connection) -> None:
    """Take wishes in a thread of their own, and end this process when the other side is closed."""
    threading.Thread(target=_heed, args=[there], daemon=True).start()


def _heed(there: Connection) -> None:
    try:
        while True:
            if there.recv() == PAUSE:
                pause.ask()
    except (EOFError, OSError):
        os._exit(1)


def able_to_travel(error: BaseException) -> BaseException:
    """The error, or one that says the same where it cannot be sent."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return StepError(f"{type(error).__name__}: {error}")
    return error
