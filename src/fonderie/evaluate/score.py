"""The score: a figure that never travels without its interval, its count and its method."""

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

CONFIDENCE = 0.95
RESAMPLE_CHUNK = 100


class Score(BaseModel):
    """One figure of one model on one set of documents."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """What is measured, such as "bits_per_byte"."""
    source: str
    """The source of the documents, or `ALL`."""
    language: str | None = None
    """ISO 639-1, where every document of the source declares the same one."""
    value: float
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end of the 95 % interval."""
    n: int
    """Documents, which are what the interval resamples."""
    tokens: int
    """Tokens that were predicted."""
    size_bytes: int
    """UTF-8 bytes of the documents' texts."""
    method: str
    """How it was obtained, in one sentence."""


ALL = "all sources"


def bootstrap_ratio(
    numerators: Sequence[float], denominators: Sequence[float], *, resamples: int, seed: int
) -> tuple[float, float]:
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
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.concatenate(ratios), [tail, 1 - tail])
    return float(low), float(high)
