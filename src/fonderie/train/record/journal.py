"""The log and the checkpoints of a training, written as the steps are taken.

A checkpoint may be written while the training goes on. The chain needs its root, so the lines after it wait in
memory until it is there: what is in the log always follows from what is before it, and what a crash takes away is
taken again from the last checkpoint. At most one checkpoint is under way.
"""

import os
import shutil
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from fonderie.core.errors import StoreError
from fonderie.train.record import checkpoint
from fonderie.train.record.commitment import LOG, Done, LogLine, break_in_chain, read_log
from fonderie.train.settings.plan import Plan

CHECKPOINTS = "checkpoints"
KEPT_TO_GO_ON = 2
"""Checkpoints that a training under way keeps whatever its plan says: the second for when the last is damaged."""
PAUSED = "paused"
"""Below what is incomplete: where a training that was asked to stop leaves its state. It is no checkpoint of the
plan, so that the artifact is the same whether and when the training was stopped."""

Saved = Future[checkpoint.Draft | None]
"""A checkpoint under way; None in the processes that do not seal it."""
Save = Callable[[Path, int], Saved]
"""Begin to write the present state into a folder, as that of a step."""


def check_log(folder: Path, at: Path, facts: Mapping[str, Any], head: str) -> None:
    """See that the log is, up to a checkpoint, what it was when that was written; raises StoreError if it is not.

    `at` is the checkpoint and `facts` are its own; `head` is where the chain begins. What comes after is not read.
    """
    path, length = folder / LOG, int(facts["log_bytes"])
    data = b""
    if path.exists():
        with path.open("rb") as file:
            data = file.read(length)
    if len(data) < length:
        wrong: str | None = f"is shorter than {at.name} recorded"
    else:
        try:
            lines = read_log(data)
            wrong = break_in_chain(head, lines)
        except ValueError as error:
            wrong = str(error)
        else:
            if wrong is None and (lines[-1].chain if lines else head) != facts.get("chain", head):
                wrong = "it ends in another chain"
        wrong = wrong and f"is not what it was when {at.name} was written: {wrong}"
    if wrong:
        raise StoreError(
            f"{path} {wrong}",
            hint=f"Remove the checkpoints behind the damage to go on from one before, or {folder} to start again.",
        )


class Journal:
    """Writes log.jsonl and checkpoints of one folder; use as a context manager."""

    def __init__(
        self,
        folder: Path,
        aside: Path,
        plan: Plan,
        head: str,
        *,
        save: Save,
        writes: bool,
        kept: Callable[[Sequence[int]], set[int]],
    ) -> None:
        """`head` is the chain so far; a process that does not write only waits for checkpoints under way.

        `kept` says which of the steps that have checkpoints keep them.
        """
        self._kept = kept
        self.folder, self.aside, self.plan, self.head = folder, aside, plan, head
        self._save, self._writes = save, writes
        self._waiting: deque[tuple[Done, Saved | None]] = deque()
        self._under_way: Saved | None = None
        self._log: TextIO | None = None

    def __enter__(self) -> Self:
        if self._writes:
            self._log = (self.folder / LOG).open("a", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._log is not None:
            self._log.close()

    def add(self, done: Done) -> None:
        """Log a step that was just taken, and begin its checkpoint if one is due."""
        saved = None
        if self.plan.checkpoint_due(done.step):
            self.settle(wait=True)
            saved = self._under_way = self._save(self.aside, done.step)
        self._waiting.append((done, saved))
        self.settle()

    def settle(self, *, wait: bool = False) -> None:
        """Write what no longer waits; with `wait`, everything, as soon as it can be."""
        if wait and self._under_way is not None:
            self._under_way.result()
        while self._waiting:
            done, saved = self._waiting[0]
            if saved is not None and not saved.done():
                return
            self._waiting.popleft()
            draft = None if saved is None else saved.result()
            if self._log is not None:
                self._write(done, draft)

    def pause(self, step: int) -> None:
        """Leave the state after a step, any step, where the next run looks for it."""
        self.settle(wait=True)
        if self.plan.checkpoint_due(step):
            return
        draft = self._save(self.aside, step).result()
        if self._log is not None and draft is not None:
            os.fsync(self._log.fileno())
            facts = {"tokens": self.plan.tokens_until(step), "log_bytes": self._log.tell(), "chain": self.head}
            shutil.rmtree(self.aside / PAUSED, ignore_errors=True)
            checkpoint.seal(draft, self.aside / PAUSED, facts)

    def _write(self, done: Done, draft: checkpoint.Draft | None) -> None:
        assert self._log is not None
        line: LogLine = done.line(self.head, None if draft is None else draft.root)
        self.head = line.chain
        self._log.write(line.to_json() + "\n")
        self._log.flush()
        if draft is not None:
            os.fsync(self._log.fileno())
            facts = {"tokens": line.tokens, "log_bytes": self._log.tell(), "chain": self.head}
            checkpoint.seal(draft, self.folder / CHECKPOINTS, facts)
            checkpoint.prune(self.folder / CHECKPOINTS, self._kept, aside=self.aside, latest=KEPT_TO_GO_ON)
            shutil.rmtree(self.aside / PAUSED, ignore_errors=True)
