"""How much an honest repeat may differ, measured where the replay runs.

Floating-point sums depend on their order, and the order on the processor, the library and the number of threads. So
two honest trainings on different machines differ, little at first, more with every step. How much, no table says:
it depends on the model, the rate and the segment. It is measured: the segment is repeated under variations that
change nothing but the order of sums, and the tolerance is a multiple of the largest difference among them. The same
tolerance must reject a control whose learning rate is 1 % too high; where it would not, the replay says
"inconclusive" rather than "consistent". Figures: docs/log/0003-replay.md.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from fonderie.audit.replay.report import Deviation, Repeat, Tolerance

FACTOR = 10.0
"""Tolerance over the largest honest difference measured here: another processor's kernels may differ more than this
one's among themselves. Between these, differences spread by a factor of 7 (docs/log/0003-replay.md)."""
LOSS_ULPS = 8.0
"""A loss may always differ by this many units of its last fp32 place: calibration cannot see less."""
WEIGHTS_FLOOR = 1e-6
"""Likewise for the relative difference of weights: a few ulps of each (docs/log/0003-replay.md)."""

Weights = NDArray[np.float32]


def deviation(
    *, start: Weights, ours: Weights, theirs: Weights, our_losses: Sequence[float], their_losses: Sequence[float]
) -> Deviation:
    """How far `ours` is from `theirs`, both trained from `start`; arrays flat, losses of the same steps."""
    update = float(np.linalg.norm((theirs - start).astype(np.float64)))
    difference = float(np.linalg.norm((ours - theirs).astype(np.float64)))
    # Weights that never moved have no scale of their own: any difference is then infinitely large.
    relative = difference / update if update else (0.0 if difference == 0 else float("inf"))
    losses = tuple(abs(a - b) for a, b in zip(our_losses, their_losses, strict=True))
    return Deviation(weights=relative, losses=losses)


def calibrate(
    repeats: Mapping[str, Deviation], control: Deviation, losses: Sequence[float], *, factor: float = FACTOR
) -> Tolerance:
    """The tolerance that honest `repeats` of a segment with these `losses` leave; whether it rejects `control`."""
    floor = LOSS_ULPS * float(np.spacing(np.float32(max(losses))))
    widest = [max(step) for step in zip(*(repeat.losses for repeat in repeats.values()), strict=True)]
    # A difference, once there, may be hidden by chance at one step: what was allowed stays allowed.
    allowed = tuple(max(floor, factor * value) for value in accumulate(widest, max))
    weights = max(WEIGHTS_FLOOR, factor * max(repeat.weights for repeat in repeats.values()))
    return Tolerance(
        weights=weights,
        losses=allowed,
        repeats=tuple(_repeat(name, repeat) for name, repeat in repeats.items()),
        control=_repeat("learning rate + 1 %", control),
        control_rejected=control.weights > weights or first_beyond(control.losses, allowed) is not None,
    )


def first_beyond(losses: Sequence[float], allowed: Sequence[float]) -> int | None:
    """The index of the first loss difference that is not allowed; NaN never is."""
    return next((i for i, (loss, most) in enumerate(zip(losses, allowed, strict=True)) if not loss <= most), None)


def _repeat(name: str, found: Deviation) -> Repeat:
    return Repeat(name=name, weights=found.weights, largest_loss=max(found.losses))
