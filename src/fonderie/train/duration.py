"""How long to train, as people write it: "250M tokens", "2 epochs", "800 steps"."""

import math
import re
from typing import Annotated

from pydantic import AfterValidator

_FORM = re.compile(r"(?P<count>\d+(?:\.\d+)?)(?P<scale>[kMBT]?) (?P<unit>token|epoch|step)s?")
_SCALES = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


def steps_in(duration: str, *, batch: int, context: int, sequences: int) -> int:
    """Optimizer steps, each of `batch` sequences of `context` tokens, that last at least so long.

    Raises ValueError for what is not a duration, or less than any step.
    """
    match = _FORM.fullmatch(duration)
    if match is None:
        raise ValueError(f"{duration!r} is not a duration such as '250M tokens', '2 epochs' or '800 steps'")
    count = float(match["count"]) * _SCALES[match["scale"]]
    per_step = {"token": batch * context, "epoch": batch / sequences, "step": 1}[match["unit"]]
    # Rounded first: 0.1 epochs of 30 sequences are 3 sequences, not a little more.
    steps = math.ceil(round(count / per_step, 6))
    if steps < 1:
        raise ValueError(f"{duration!r} is no time to train")
    return steps


def _readable(duration: str) -> str:
    steps_in(duration, batch=1, context=1, sequences=1)
    return duration


Duration = Annotated[str, AfterValidator(_readable)]
"""A duration, checked when the recipe is read."""
