"""A stretch of a training, done again: from a published checkpoint, or the initial weights, to a later step."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.model.float8 import use_float8
from fonderie.train.committed import Trainable
from fonderie.train.loop import begin, restore, run, tensors_of
from fonderie.train.record import checkpoint
from fonderie.train.record.commitment import LogLine
from fonderie.train.record.journal import CHECKPOINTS
from fonderie.train.settings.kernels import settle_for


@dataclass(frozen=True)
class Segment:
    """What a stretch came to."""

    start: checkpoint.Checkpoint
    """The state it began from, as it was read."""
    lines: tuple[LogLine, ...]
    """A line for each step, as the log would hold it; the chain goes on from the `head` that was given."""
    end: checkpoint.Draft
    """The state it ended in: its root, and its tensors in files below `scratch`, which the caller removes."""


def retrain(
    training: Trainable,
    start: Path | None,
    until: int,
    *,
    head: str,
    scratch: Path,
    machine: Machine,
    advance: Callable[[int, str], None] = lambda _count, _note: None,
) -> Segment:
    """Train from a checkpoint's folder (None: the initial weights, drawn anew) until a step, that step included.

    `head` is the chain's value after the step of `start`; the commitment's digest for the initial weights. Writes
    below `scratch` only. Raises StoreError for a checkpoint that is damaged or of another model, InputError for a
    step that does not come after it, StepError for a loss that is not a number.
    """
    plan = training.plan
    settle_for(plan, machine)
    model, optimizer = training.fresh(machine.device)
    if plan.fp8:
        use_float8(model, machine.device)
    if start is None:
        begin(model, optimizer, plan, scratch, aside=scratch / "aside")
        (start,) = checkpoint.all_of(scratch / CHECKPOINTS)
    found = checkpoint.load(start)
    if not found.step < until <= plan.steps:
        raise InputError(f"{start.name} is not before step {until}, or the training ends before that step")
    restore(model, optimizer, found)
    lines: list[LogLine] = []
    end: checkpoint.Draft | None = None
    steps = run(
        model,
        optimizer,
        training.batches,
        plan,
        after=found.step,
        until=until,
        objective=training.objective,
        count=training.count,
    )
    for done in steps:
        if end is not None:
            checkpoint.discard(end)
            end = None
        if plan.checkpoint_due(done.step) or done.step == until:
            end = checkpoint.write(scratch / "aside", done.step, tensors_of(model, optimizer))
        lines.append(done.line(head, end.root if end is not None and plan.checkpoint_due(done.step) else None))
        head = lines[-1].chain
        advance(1, f"loss {done.loss:.3f}")
    assert end is not None
    return Segment(found, tuple(lines), end)
