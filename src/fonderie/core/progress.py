"""Progress for people: bars on a terminal, sparse lines elsewhere, silence for programs."""

import time
from collections.abc import Iterator
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


class Bar(Protocol):
    """One running count."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count further; `note` is a short live figure such as a loss."""


class Reporter(Protocol):
    """Where progress goes."""

    def say(self, text: str) -> None:
        """One line of information, in rich's markup."""

    def bar(self, label: str, total: int, unit: str) -> AbstractContextManager[Bar]:
        """A count from 0 to total."""


class _SilentBar:
    def advance(self, count: int = 1, note: str = "") -> None:
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


@dataclass
class _LineBar:
    console: Console
    label: str
    total: int
    unit: str
    count: int = 0
    said: float = field(default_factory=time.monotonic)

    def advance(self, count: int = 1, note: str = "") -> None:
        self.count += count
        now = time.monotonic()
        if now - self.said >= LINE_INTERVAL_SECONDS:
            self.said = now
            line = f"  {self.label}: {self.count:,}/{self.total:,} {self.unit} {note}".rstrip()
            self.console.print(line, markup=False, highlight=False)


class Terminal:
    """Bars where the console is a terminal, a line every fifteen seconds where it is a pipe or a log."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def say(self, text: str) -> None:
        """Print one line."""
        self.console.print(text, highlight=False)

    @contextmanager
    def bar(self, label: str, total: int, unit: str) -> Iterator[Bar]:
        """A bar that disappears when it is full."""
        if not self.console.is_terminal:
            yield _LineBar(self.console, label, total, unit)
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
