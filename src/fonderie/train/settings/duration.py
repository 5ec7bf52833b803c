"""How long to train, as people write it: "250M tokens", "2 epochs", "800 steps", "10M sequences"."""

import math
import re
from typing import Annotated

from pydantic import AfterValidator, Field

from fonderie.train.settings.ramp import BatchSizes

_FORM = re.compile(r"(?P<count>\d+(?:\.\d+)?)(?P<scale>[kMBT]?) (?P<unit>token|epoch|sequence|step)s?")
_SCALES = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


def parse(duration: str) -> tuple[float, str]:
    """The count and the unit: token, epoch, sequence or step. ValueError for what is no duration."""
    match = _FORM.fullmatch(duration)
    if match is None:
        raise ValueError(f"{duration!r} is not a duration such as '250M tokens', '2 epochs' or '800 steps'")
    return float(match["count"]) * _SCALES[match["scale"]], match["unit"]


def sequences_of(duration: str, *, context: int, epoch: int) -> int:
    """Sequences of `context` tokens that last at least so long, where an epoch has `epoch` of them.

    ValueError for a duration in steps, which may differ in size.
    """
    count, unit = parse(duration)
    per_sequence = {"token": context, "epoch": 1 / epoch, "sequence": 1}
    if unit not in per_sequence:
        raise ValueError(f"{duration!r} must be in tokens, sequences or epochs")
    # Rounded first: 0.1 epochs of 30 sequences are 3 sequences, not a little more.
    return math.ceil(round(count / per_sequence[unit], 6))


def steps_in(duration: str, sizes: BatchSizes, *, context: int, sequences: int) -> int:
    """Optimizer steps that last at least so long, with sequences of `context` tokens and so many in an epoch.

    Raises ValueError for what is not a duration, or less than any step.
    """
    count, unit = parse(duration)
    if unit == "step":
        steps = math.ceil(round(count, 6))
    else:
        steps = sizes.steps_for(sequences_of(duration, context=context, epoch=sequences))
    if steps < 1:
        raise ValueError(f"{duration!r} is no time to train")
    return steps


def _readable(duration: str) -> str:
    steps_in(duration, BatchSizes(1), context=1, sequences=1)
    return duration


Duration = Annotated[str, AfterValidator(_readable)]
"""A duration, checked when the recipe is read."""
Share = Annotated[float, Field(ge=0, le=1)]
Span = Share | Duration
"""A part of a phase: a share of its steps, or a duration."""


def steps_of(span: float | str, steps: int, sizes: BatchSizes, *, context: int, sequences: int) -> int:
    """The steps of a part of a phase that has `steps` in all; ValueError if it has fewer."""
    if not isinstance(span, str):
        return round(span * steps)
    found = steps_in(span, sizes, context=context, sequences=sequences)
    if found > steps:
        raise ValueError(f"{span!r} are {found:,} steps, more than the {steps:,} of the whole")
    return found
