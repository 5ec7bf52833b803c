"""Which segments an auditor replays, and what the sample can miss.

A segment is the training between two published checkpoints; the first begins at the initial weights, which follow
from the seed. The auditor's seed draws after the release was published, so that its maker cannot know
which it draws.
"""

import hashlib
import math
from collections.abc import Sequence
from typing import NamedTuple

from fonderie.core.errors import UsageError

SHARES = (0.01, 0.05, 0.1, 0.25, 0.5)
"""Shares of falsified segments for which the chance of detection is stated."""


class Segment(NamedTuple):
    """Steps `first` + 1 to `last`, from the state after step `first`."""

    first: int
    last: int

    @property
    def steps(self) -> int:
        """How many steps it has."""
        return self.last - self.first


class Detection(NamedTuple):
    """The chance that a sample meets a falsified segment."""

    share: float
    """Share of the training that was falsified."""
    segments: int
    """Falsified segments: the share of all, rounded up."""
    probability: float


def segments_between(checkpoints: Sequence[int]) -> list[Segment]:
    """The segments that end at these published steps, in order; gaps are one long segment."""
    ends = sorted(set(checkpoints) - {0})
    return [Segment(first, last) for first, last in zip([0, *ends], ends, strict=False)]


def draw(segments: Sequence[Segment], count: int, seed: int) -> list[Segment]:
    """`count` different segments, drawn by `seed`, in training order; UsageError if there are not so many.

    Those whose SHA-256 of "fonderie replay <seed> <last step>" is smallest: any language can draw the same.
    """
    if not 1 <= count <= len(segments):
        raise UsageError(
            f"{count} segments cannot be drawn: this release publishes {len(segments)}",
            hint=f"Give --segments 1 to {len(segments)}."
            if segments
            else "It publishes no checkpoint to compare with, so nothing of its training can be replayed.",
        )

    def lot(segment: Segment) -> bytes:
        return hashlib.sha256(f"fonderie replay {seed} {segment.last}".encode()).digest()

    return sorted(sorted(segments, key=lot)[:count])


def detection(total: int, drawn: int, share: float) -> Detection:
    """The chance that `drawn` of `total` segments, without replacement, include one of the falsified.

    Hypergeometric: 1 - C(total - bad, drawn) / C(total, drawn); with many segments nearly 1 - (1 - share)^drawn.
    """
    bad = math.ceil(round(share * total, 9))
    return Detection(share, bad, 1 - math.comb(total - bad, drawn) / math.comb(total, drawn))
