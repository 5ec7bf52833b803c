"""The learning rate as a pure function of the step."""

import math
from dataclasses import dataclass
from typing import Literal

Kind = Literal["cosine", "linear", "wsd", "wsd_linear", "constant"]


@dataclass(frozen=True)
class Schedule:
    """Warm-up, then a shape. Steps count from 1 to `steps`.

    cosine      down to `final` over all the rest (arXiv 1608.03983; Lucie's main phase)
    linear      the same in a line (Lucie's annealing)
    wsd         stable, then down as 1 - sqrt over the last `decay` (arXiv 2405.18392: the better of its two shapes)
    wsd_linear  stable, then down in a line over the last `decay`
    constant    stable to the end
    """

    kind: Kind
    steps: int
    peak: float
    """Learning rate reached at the end of warm-up."""
    warmup: int = 0
    """Steps over which the rate rises in a line from zero."""
    decay: int = 0
    """Last steps, over which it falls, for wsd."""
    final: float = 0.0
    """Share of the peak to which the rate falls after the last step."""

    def rate(self, step: int) -> float:
        """The learning rate with which step `step` updates."""
        if step <= self.warmup:
            return self.peak * step / self.warmup
        if self.kind == "constant":
            return self.peak
        rest = self.steps - self.warmup
        falling_steps = min(self.decay, rest) if self.kind.startswith("wsd") else rest
        # 0 at the first falling step, so that the last one still moves the weights even if `final` is 0.
        fallen = (step - 1 - (self.steps - falling_steps)) / max(falling_steps, 1)
        if fallen <= 0:
            return self.peak
        if self.kind == "cosine":
            left = (1 + math.cos(math.pi * fallen)) / 2
        else:
            left = 1 - math.sqrt(fallen) if self.kind == "wsd" else 1 - fallen
        return self.peak * (self.final + (1 - self.final) * left)
