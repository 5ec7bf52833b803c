"""Worker processes of this machine, one executor each.

A shared pool breaks as a whole when one worker is killed, and does not say which item killed it. Pools of one
process do: the others go on, and one is started afresh.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any

from fonderie.core.crew import Done, Failed, Lost, Portable, Report


class Processes:
    """A crew of processes; see `fonderie.core.crew.Crew`."""

    def __init__(self, function: Callable[[Any], Any], items: Sequence[Any], workers: int) -> None:
        # Neither torch nor Arrow survives a plain fork with their threads running.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_loaded_beside(function))
        self._function = Portable(function)
        self._items = items
        self._unstarted = min(workers, len(items))
        self._idle: list[ProcessPoolExecutor] = []
        self._running: dict[Future[Any], tuple[int, ProcessPoolExecutor]] = {}

    def room(self) -> bool:
        """Whether a process is idle."""
        return bool(self._idle) or self._unstarted > 0

    def give(self, index: int) -> None:
        """Begin an item in an idle process."""
        if self._idle:
            executor = self._idle.pop()
        else:
            executor = self._start()
            self._unstarted -= 1
        try:
            future = executor.submit(self._function, self._items[index])
        except BrokenProcessPool:  # killed while it had nothing to do: no item's fault
            executor.shutdown(wait=False)
            executor = self._start()
            future = executor.submit(self._function, self._items[index])
        self._running[future] = (index, executor)

    def wait(self) -> list[Report]:
        """Wait for at least one item."""
        reports: list[Report] = []
        for future in wait(self._running, return_when=FIRST_COMPLETED).done:
            index, executor = self._running.pop(future)
            error = future.exception()
            if isinstance(error, BrokenProcessPool):
                executor.shutdown(wait=False)
                self._unstarted += 1
                reports.append(Lost(index, "killed, most often for lack of memory"))
                continue
            self._idle.append(executor)
            reports.append(Done(index, future.result()) if error is None else Failed(index, error))
        return reports

    def stop(self, *, kill: bool) -> None:
        """End the processes; without `kill`, when what they began is done."""
        if kill:
            for worker in multiprocessing.active_children():
                worker.terminate()
        for executor in [*self._idle, *(executor for _, executor in self._running.values())]:
            executor.shutdown(wait=True)

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, mp_context=self._context, initializer=_live_and_die_with_the_parent)


def _loaded_beside(function: Any) -> list[str]:
    """Modules of the function's package that this process has loaded, so that the server loads them once for all.

    It takes the list of the first map of a process: by then a run has loaded every step of its recipe.
    """
    while isinstance(function, partial):
        function = function.func
    package = ".".join(str(getattr(function, "__module__", "")).split(".")[:2])
    if not package.startswith("fonderie."):
        return []
    return sorted(name for name in sys.modules if name == package or name.startswith(f"{package}."))


def _live_and_die_with_the_parent() -> None:
    # Ctrl-C reaches the whole process group: the parent reports it once, workers just end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # A parent killed outright cannot stop its workers, and they would wait for work for ever.
    threading.Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
