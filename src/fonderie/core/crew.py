"""Work shared out: one loop hands items to a crew, keeps their order, and gives again what a dead worker had.

A crew is who works (`fonderie.core.pool`: processes here; `fonderie.core.cluster`: Ray). Functions write files
whose names and bytes follow from their item alone, so that one begun by a worker that died is simply done again.
"""

import pickle
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from fonderie.core.errors import StepError

Item = TypeVar("Item")
Result = TypeVar("Result")

ATTEMPTS = 3
"""An item whose worker dies this often is taken for the reason."""


class Done(NamedTuple):
    """An item came back."""

    place: int
    value: Any


class Failed(NamedTuple):
    """An item raised."""

    place: int
    error: BaseException


class Lost(NamedTuple):
    """A worker died with its item."""

    place: int
    why: str


Report = Done | Failed | Lost


class Crew(Protocol):
    """Who works. It holds the function and the items; the loop speaks of their places in the row."""

    def room(self) -> bool:
        """Whether one more item may be given."""

    def give(self, index: int) -> None:
        """Begin an item."""

    def wait(self) -> list[Report]:
        """Wait for at least one of the items given; what became of it."""

    def stop(self, *, kill: bool) -> None:
        """End the work: at once, or when the items begun are done. Nothing writes after this returns."""


def in_order(crew: Crew, count: int, lost: Callable[[Lost, int], None]) -> Iterator[Any]:
    """Results of items 0 … count-1, in order; the error of the first that fails is raised in its turn.

    `lost` hears of each death and how many attempts that item has now taken; it may raise.
    """
    waiting, failed_at = deque(range(count)), count
    come: dict[int, Done | Failed] = {}
    attempts: Counter[int] = Counter()
    following = 0
    while following < count:
        while waiting and waiting[0] < failed_at and crew.room():
            crew.give(waiting.popleft())
        while following in come:
            first = come.pop(following)
            if isinstance(first, Failed):
                raise first.error
            yield first.value
            following += 1
        if following == count:
            return
        for report in crew.wait():
            if isinstance(report, Lost):
                attempts[report.place] += 1
                lost(report, attempts[report.place])
                waiting.appendleft(report.place)
                continue
            come[report.place] = report
            if isinstance(report, Failed):
                failed_at = min(failed_at, report.place)


@dataclass(frozen=True)
class Portable(Generic[Item, Result]):
    """A function whose exceptions reach the parent: one that cannot be unpickled there would break the pool."""

    function: Callable[[Item], Result]

    def __call__(self, item: Item) -> Result:
        """The function's result or exception; StepError in place of one that cannot travel."""
        try:
            return self.function(item)
        except Exception as error:
            try:
                pickle.loads(pickle.dumps(error))
            except Exception:
                raise StepError(f"{type(error).__name__}: {error}") from error
            raise


def name_of(items: Sequence[Any], index: int) -> str:
    """An item as a person knows it: the first file it names, else its place in the row."""
    path = _path_in(items[index])
    return str(path) if path else f"item {index + 1} of {len(items)}"


def _path_in(item: Any) -> Path | None:
    if isinstance(item, Path):
        return item
    if isinstance(item, tuple | list):
        return next((path for part in item if (path := _path_in(part)) is not None), None)
    path = getattr(item, "path", None)
    return path if isinstance(path, Path) else None
