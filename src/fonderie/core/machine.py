"""What executes, as opposed to what identifies: workers, threads, device, progress.

Nothing here enters a key, and nothing here changes the bytes a step writes.
"""

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from fonderie.core.errors import StepError, UsageError
from fonderie.core.progress import Bar, Reporter, Silent

Item = TypeVar("Item")
Result = TypeVar("Result")


def available_cores() -> int:
    """Cores this process may use, which containers and batch systems set lower than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Machine:
    """Where and how steps execute."""

    workers: int = 1
    """Processes that map over shards."""
    threads: int = 1
    """Threads of one training or evaluation process."""
    device: str = "cpu"
    """A torch device: "cpu" or "cuda"."""
    reporter: Reporter = field(default_factory=Silent)

    def __post_init__(self) -> None:
        if self.workers < 1 or self.threads < 1:
            raise UsageError(f"workers and threads must be at least 1, not {self.workers} and {self.threads}")

    def map(
        self, function: Callable[[Item], Result], items: Sequence[Item], *, label: str, unit: str = "shards"
    ) -> Iterator[Result]:
        """Apply a pure, picklable function to every item; results come in the items' order, as they are asked for.

        An exception in any item stops the map and is raised here; a worker that dies raises StepError. So does an
        exception that cannot travel between processes, with its name and text.
        """
        with self.bar(label, len(items), unit) as bar:
            if self.workers == 1 or len(items) <= 1:
                for item in items:
                    yield function(item)
                    bar.advance()
                return
            # Neither torch nor Arrow survives a plain fork with their threads running.
            context = multiprocessing.get_context("forkserver")
            pool = ProcessPoolExecutor(
                min(self.workers, len(items)), mp_context=context, initializer=_live_and_die_with_the_parent
            )
            try:
                for result in pool.map(_Portable(function), items):
                    yield result
                    bar.advance()
            except BrokenProcessPool as error:
                raise StepError(
                    f"a worker process died during '{label}'",
                    hint="It was killed, most often for lack of memory: try again with fewer --workers.",
                ) from error
            except KeyboardInterrupt:
                # A signal to this process alone (kill, docker stop) must not wait for shards that take minutes.
                for worker in multiprocessing.active_children():
                    worker.terminate()
                raise
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def bar(self, label: str, total: int, unit: str) -> AbstractContextManager[Bar]:
        """A progress bar; use as a context manager."""
        return self.reporter.bar(label, total, unit)


@dataclass(frozen=True)
class _Portable(Generic[Item, Result]):
    """A function whose exceptions reach the parent: one that cannot be unpickled there would break the pool."""

    function: Callable[[Item], Result]

    def __call__(self, item: Item) -> Result:
        try:
            return self.function(item)
        except Exception as error:
            try:
                pickle.loads(pickle.dumps(error))
            except Exception:
                raise StepError(f"{type(error).__name__}: {error}") from error
            raise


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
