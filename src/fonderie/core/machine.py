"""What executes, as opposed to what identifies: workers, threads, device, progress.

Nothing here enters a key, and nothing here changes the bytes a step writes.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeVar

from rich.markup import escape

from fonderie.core.cluster import Tasks, check_address
from fonderie.core.crew import ATTEMPTS, Crew, Lost, in_order, name_of
from fonderie.core.errors import StepError, UsageError
from fonderie.core.pool import Processes
from fonderie.core.progress import Bar, Reporter, Silent

Item = TypeVar("Item")
Result = TypeVar("Result")


def available_cores() -> int:
    """Cores this process may use, which containers and batch systems set lower than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


OnDamaged = Literal["stop", "previous"]


@dataclass(frozen=True)
class Machine:
    """Where and how steps execute."""

    workers: int = 1
    """Processes that map over shards; with `on = "ray"`, cores of the cluster that is started."""
    threads: int = 1
    """Threads of one training or evaluation process."""
    device: str = "cpu"
    """A torch device: "cpu" or "cuda"."""
    on: str | None = None
    """Where maps run: None for processes of this machine, "ray" for a cluster of this machine alone, or the
    ray://host:port of one whose nodes see the store and the sources at the same paths."""
    processes: int = 1
    """Processes of one training, in all; the steps that can be shared out say so, and the others run in one."""
    nodes: int = 1
    """Machines that those processes are shared out over, of a Slurm allocation."""
    tensor_parallel: int = 1
    """Processes that share the matrices of each block, and the same sequences; a divisor of `processes`."""
    recompute: bool = False
    """Keep only what enters each block of a model and compute the rest again in the backward pass: less memory, a
    third more time, the same bits (activation checkpointing)."""
    patience_seconds: float = 600.0
    """How long a process of a training waits for the others before the run fails."""
    country: str | None = None
    """Where it stands: an ISO 3166-1 code of two letters, stated by who runs it and recorded beside the energy."""
    watts: float | None = None
    """What it draws under load, as who runs it states: estimates the energy beside what is measured."""
    on_damaged_checkpoint: OnDamaged = "stop"
    """What a training does that finds its last checkpoint damaged or half-written: it stops and names the file, or
    takes the one before it, and says so. Either way the bytes come out the same. Recipes say it, in [recipe]."""
    reporter: Reporter = field(default_factory=Silent)
    note: Callable[..., None] = field(default=lambda _event, **_: None)
    """Where incidents go: called with the name of an event and its fields."""

    def __post_init__(self) -> None:
        if self.workers < 1 or self.threads < 1:
            raise UsageError(f"workers and threads must be at least 1, not {self.workers} and {self.threads}")
        if self.tensor_parallel < 1 or self.nodes < 1 or self.processes % (self.tensor_parallel * self.nodes):
            raise UsageError(
                f"{self.processes} processes cannot be shared out over {self.nodes} nodes "
                f"in groups of {self.tensor_parallel}",
                hint="Give --processes a multiple of --nodes times --tensor-parallel.",
            )
        if self.country is not None and not re.fullmatch("[A-Z]{2}", self.country):
            raise UsageError(
                f"'{self.country}' is no country's code", hint="Give two capital letters of ISO 3166-1, such as FR."
            )
        if self.watts is not None and not 0 < self.watts < float("inf"):
            raise UsageError(f"a machine draws more than 0 W, not {self.watts}")
        if self.on is not None:
            check_address(self.on)

    def map(
        self, function: Callable[[Item], Result], items: Sequence[Item], *, label: str, unit: str = "shards"
    ) -> Iterator[Result]:
        """Apply a pure, picklable function to every item; results come in the items' order, as they are asked for.

        An exception in any item stops the map and is raised here, as StepError with its name and text if it cannot
        travel between processes. An item whose worker dies is done again, and is a StepError the third time.
        """
        with self.bar(label, len(items), unit) as bar:
            if not items or (self.on is None and (self.workers == 1 or len(items) == 1)):
                for item in items:
                    yield function(item)
                    bar.advance()
                return
            crew: Crew = (
                Processes(function, items, self.workers)
                if self.on is None
                else Tasks(function, items, self.on, self.workers)
            )
            kill = False
            try:
                for result in in_order(crew, len(items), partial(self._lost, items, label)):
                    yield result
                    bar.advance()
            except KeyboardInterrupt:
                # A signal to this process alone (kill, docker stop) must not wait for shards that take minutes.
                kill = True
                raise
            finally:
                crew.stop(kill=kill)

    def _lost(self, items: Sequence[Any], label: str, lost: Lost, attempt: int) -> None:
        name = name_of(items, lost.place)
        self.note("worker_lost", label=label, item=name, attempt=attempt, why=lost.why)
        if attempt == ATTEMPTS:
            raise StepError(
                f"a worker died during '{label}', {attempt} times on {name}: {lost.why}",
                hint="Look there for what makes it fail; if it lacked memory, try again with fewer --workers.",
            )
        self.reporter.say(escape(f"  {label}: a worker died on {name} ({lost.why}); it is done again"))

    def bar(self, label: str, total: int, unit: str) -> AbstractContextManager[Bar]:
        """A progress bar; use as a context manager."""
        return self.reporter.bar(label, total, unit)
