"""Progress for people: bars on a terminal, sparse lines elsewhere, silence for programs."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LINE_INTERVAL_SECONDS = 15.0
"""Between the first lines of a count; see `_LineBar`."""
LINE_INTERVAL_SHARE = 0.1
LINE_INTERVAL_LIMIT_SECONDS = 600.0


class Bar(Protocol):
    """One running count."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count further; `note` is a short live figure such as a loss."""

    def skip(self, count: int) -> None:
        """Count what was done before, by an earlier run: it says nothing of this one's speed."""


class Reporter(Protocol):
    """Where progress goes."""

    def say(self, text: str) -> None:
        """One line of information, in rich's markup."""

    def bar(self, label: str, total: int, unit: str) -> AbstractContextManager[Bar]:
        """A count from 0 to total."""


class _SilentBar:
    def advance(self, count: int = 1, note: str = "") -> None:
        """Count nothing."""

    def skip(self, count: int) -> None:
        """Count nothing."""


class Silent:
    """Says nothing: library use, tests, `--json`."""

    def say(self, text: str) -> None:
        """Say nothing."""

    @contextmanager
    def bar(self, label: str, total: int, unit: str) -> Iterator[Bar]:  # noqa: ARG002
        """A bar nobody sees."""
        yield _SilentBar()


@dataclass
class _RichBar:
    progress: Progress
    task: TaskID

    def advance(self, count: int = 1, note: str = "") -> None:
        self.progress.advance(self.task, count)
        if note:
            self.progress.update(self.task, note=escape(note))

    def skip(self, count: int) -> None:
        self.progress.reset(self.task, completed=count)


@dataclass
class _LineBar:
    """A line now and then: every fifteen seconds at first, later each a tenth of the time after the last.

    So a minute has four lines, an hour thirty, and a week no more than one every ten minutes.
    """

    console: Console
    label: str
    total: int
    unit: str
    clock: Callable[[], float]
    count: int = 0
    skipped: int = 0
    begun: float = field(init=False)
    said: float = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.said = self.clock()

    def advance(self, count: int = 1, note: str = "") -> None:
        self.count += count
        now = self.clock()
        elapsed = now - self.begun
        interval = max(LINE_INTERVAL_SECONDS, elapsed * LINE_INTERVAL_SHARE)
        if now - self.said < min(interval, LINE_INTERVAL_LIMIT_SECONDS):
            return
        self.said = now
        line = f"  {self.label}: {self.count:,}/{self.total:,} {self.unit} {note}".rstrip()
        done = self.count - self.skipped
        left = elapsed * (self.total - self.count) / done if done else 0.0
        # A count in its first second has no speed to speak of.
        line += f", {in_words(left)} left" if left >= 1 and elapsed >= 1 else ""
        self.console.print(line, markup=False, highlight=False)

    def skip(self, count: int) -> None:
        self.count = self.skipped = count
        self.begun = self.said = self.clock()


def in_words(seconds: float) -> str:
    """A duration for people, in its two largest units: "2 d 4 h", "1 h 20 min", "3 min 5 s", "12 s"."""
    left = round(seconds)
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    counts = []
    for name, size in units:
        count, left = divmod(left, size)
        counts.append((count, name))
    first = next((place for place, (count, _) in enumerate(counts) if count), len(counts) - 1)
    return " ".join(f"{count} {name}" for count, name in counts[first : first + 2] if count) or "0 s"


class Terminal:
    """Bars where the console is a terminal; in a pipe or a log a line now and then, by a clock in seconds."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.console, self._clock = console, clock

    def say(self, text: str) -> None:
        """Print one line."""
        self.console.print(text, highlight=False)

    @contextmanager
    def bar(self, label: str, total: int, unit: str) -> Iterator[Bar]:
        """A bar that disappears when it is full."""
        if not self.console.is_terminal:
            yield _LineBar(self.console, label, total, unit, self._clock)
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            yield _RichBar(progress, progress.add_task(escape(label), total=total, unit=unit, note=""))
