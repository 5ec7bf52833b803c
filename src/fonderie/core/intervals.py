"""Intervals at 95 %: of a proportion, a ratio, the difference of two, of paired answers and of paired bits.

All closed or seeded, so that the same outcomes give the same interval everywhere.
"""

from collections.abc import Sequence
from math import comb, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLE_CHUNK = 100
"""Resamples drawn at once, which bounds the memory."""
Z = 1.959963984540054
"""The standard normal's 97.5th percentile: 95 % between minus and plus it."""


class Interval(NamedTuple):
    """Both ends."""

    low: float
    high: float


def wilson(right: int, n: int) -> Interval:
    """The score interval of a proportion (Wilson 1927; Newcombe 1998, Statistics in Medicine 17:857, method 3).

    It stays inside 0 to 1 and keeps its width where all or none are right. ValueError without items.
    """
    if not 0 <= right <= n or n == 0:
        raise ValueError(f"{right} right of {n}")
    p, square = right / n, Z * Z
    middle = (p + square / (2 * n)) / (1 + square / n)
    half = Z * sqrt(p * (1 - p) / n + square / (4 * n * n)) / (1 + square / n)
    return Interval(0.0 if right == 0 else middle - half, 1.0 if right == n else middle + half)


def difference(first: float, of_first: Interval, second: float, of_second: Interval) -> Interval:
    """Of first - second, two independent estimates, from the interval of each (MOVER: Donner and Zou 2012,
    Statistical Methods in Medical Research 21:347; for proportions Newcombe 1998, 17:873, method 10)."""
    gap = first - second
    return Interval(
        gap - sqrt((first - of_first.low) ** 2 + (of_second.high - second) ** 2),
        gap + sqrt((of_first.high - first) ** 2 + (second - of_second.low) ** 2),
    )


def paired_proportions(gained: int, lost: int, n: int) -> Interval:
    """Of the difference of two proportions on the same n items, of which so many were gained and lost.

    Wald's interval with half an item added to each of the four cells (Agresti and Min 2005, Statistics in Medicine
    24:729): without it, n items answered alike would leave no width at all.
    """
    if min(gained, lost) < 0 or gained + lost > n or n == 0:
        raise ValueError(f"{gained} gained and {lost} lost of {n}")
    size, up, down = n + 2, gained + 0.5, lost + 0.5
    gap = (up - down) / size
    half = Z * sqrt(up + down - (up - down) ** 2 / size) / size
    return Interval(max(-1.0, gap - half), min(1.0, gap + half))


def mcnemar(gained: int, lost: int) -> float:
    """How often chance alone gives as uneven a split of the items that changed: exact, two-sided (McNemar 1947)."""
    changed = gained + lost
    if changed == 0:
        return 1.0
    tail = sum(comb(changed, k) for k in range(min(gained, lost) + 1))
    return min(1.0, 2 * tail / (1 << changed))


def paired_ratios(
    first: Sequence[float], second: Sequence[float], weights: Sequence[float], *, resamples: int, seed: int
) -> Interval:
    """Of sum(first)/sum(weights) - sum(second)/sum(weights), the same documents drawn for both (bootstrap)."""
    gaps = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    if len(gaps) == 0 or len(gaps) != len(weights):
        raise ValueError(f"{len(gaps)} pairs and {len(weights)} weights")
    return bootstrap_ratio(gaps, weights, resamples=resamples, seed=seed)


def bootstrap_ratio(
    numerators: Sequence[float] | NDArray[np.float64],
    denominators: Sequence[float],
    *,
    resamples: int,
    seed: int,
) -> Interval:
    """The 95 % percentile interval of sum(numerators) / sum(denominators), whole documents drawn with replacement.

    Tokens of one document are not independent, hence documents are the unit (a cluster bootstrap: Efron and
    Tibshirani, An Introduction to the Bootstrap, 1993, chapter 8). One document alone gives its own value twice.
    """
    top = np.asarray(numerators, dtype=np.float64)
    bottom = np.asarray(denominators, dtype=np.float64)
    if len(top) == 0 or len(top) != len(bottom):
        raise ValueError(f"{len(top)} numerators and {len(bottom)} denominators")
    generator = np.random.default_rng(seed)
    ratios = []
    for first in range(0, resamples, RESAMPLE_CHUNK):
        rows = min(RESAMPLE_CHUNK, resamples - first)
        drawn = generator.integers(0, len(top), size=(rows, len(top)))
        ratios.append(top[drawn].sum(axis=1) / bottom[drawn].sum(axis=1))
    return _middle(ratios)


def _middle(resampled: list[NDArray[np.float64]]) -> Interval:
    """What lies between the outer 5 % of the resamples."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.concatenate(resampled), [tail, 1 - tail])
    return Interval(float(low), float(high))
