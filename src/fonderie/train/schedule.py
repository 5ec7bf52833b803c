"""The learning rate as a pure function of the step."""

import math
from dataclasses import dataclass
from typing import Literal

Kind = Literal["cosine", "wsd", "wsd_linear", "constant"]


@dataclass(frozen=True)
class Schedule:
    """Warm-up, then a shape. Steps count from 1 to `steps`.

    cosine      down to `final` over all the rest (arXiv 1608.03983; Lucie's main phase)
    wsd         stable, then down as 1 - sqrt over the last `decay` (arXiv 2405.18392: the better of its two shapes)
    wsd_linear  stable, then down in a line over the last `decay`
    constant    stable to the end
    """

    kind: Kind
    steps: int
    peak: float
    """Learning rate reached at the end of warm-up."""
    warmup: float = 0.0
    """Share of the steps, rising in a line from zero."""
    decay: float = 0.0
    """Share of the steps that falls, for wsd."""
    final: float = 0.0
    """Share of the peak to which the rate falls after the last step."""

    def rate(self, step: int) -> float:
        """The learning rate with which step `step` updates."""
        warmup_steps = round(self.warmup * self.steps)
        if step <= warmup_steps:
            return self.peak * step / warmup_steps
        if self.kind == "constant":
            return self.peak
        falling_steps = (
            self.steps - warmup_steps
            if self.kind == "cosine"
            else min(round(self.decay * self.steps), self.steps - warmup_steps)
        )
        # 0 at the first falling step, so that the last one still moves the weights even if `final` is 0.
        fallen = (step - 1 - (self.steps - falling_steps)) / max(falling_steps, 1)
        if fallen <= 0:
            return self.peak
        left = {
            "cosine": (1 + math.cos(math.pi * fallen)) / 2,
            "wsd": 1 - math.sqrt(fallen),
            "wsd_linear": 1 - fallen,
        }[self.kind]
        return self.peak * (self.final + (1 - self.final) * left)
