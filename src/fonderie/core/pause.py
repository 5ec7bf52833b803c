"""A wish that a run stop at its next safe point and go on later, as batch systems ask before their time limit.

The wish is one of the whole process: SIGUSR1 makes it (`fonderie run` says so), and a process that has others work
for it passes it on. A training answers with a checkpoint and `Paused`; what cannot stop half-way goes on.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_wished = threading.Event()
_listeners: list[Callable[[], None]] = []


class Paused(KeyboardInterrupt):
    """The run stopped because it was asked to; the same command goes on from there."""


def ask() -> None:
    """Wish it, here and in every process that works for this one."""
    _wished.set()
    for listener in tuple(_listeners):
        listener()


def asked() -> bool:
    """Whether somebody wished it."""
    return _wished.is_set()


@contextmanager
def passed_on(listener: Callable[[], None]) -> Iterator[None]:
    """Call `listener` when the wish is made, or at once if it was."""
    _listeners.append(listener)
    try:
        if asked():
            listener()
        yield
    finally:
        _listeners.remove(listener)


@contextmanager
def on_signal(number: int = signal.SIGUSR1) -> Iterator[None]:
    """While this lasts, the signal makes the wish; nothing of it is left afterwards."""
    before = signal.signal(number, lambda _signal, _frame: ask())
    try:
        yield
    finally:
        signal.signal(number, before)
        _wished.clear()
