"""Which optimizer steps saw which tokens: the data order, read backwards. Imports no torch."""

import json

import numpy as np

from fonderie.core.step import Artifact
from fonderie.train.loader import sequences_in
from fonderie.train.order import position_of

DERIVED = "parameters.json"
"""The model artifact's file with every size and setting in full, written by train.pretrain."""


def steps_that_saw(model: Artifact, stream_tokens: int, start: int, stop: int) -> list[int]:
    """The steps, in order and from 1, whose batch held a token of positions start to stop, as input or target.

    `model` comes from train.pretrain on a stream of `stream_tokens` tokens.
    """
    derived = json.loads((model.path / DERIVED).read_bytes())["training"]
    context, batch, steps = (derived[name] for name in ("context", "batch", "steps"))
    # Version 1 of train.pretrain ordered the data by `seed` itself; stores still hold what it made.
    seed = derived.get("shuffle_seed", derived["seed"])
    n = sequences_in(stream_tokens, context)
    # Sequence i is tokens i·T … i·T + T: its last token is also the first of the next one.
    first, last = max(0, -(-(start - context) // context)), min(n - 1, (stop - 1) // context)
    if start >= stop or first > last:
        return []
    sequences = np.arange(first, last + 1)
    epochs = -(-steps * batch // n)
    seen = np.concatenate(
        [epoch * n + position_of(sequences, n, seed, epoch) for epoch in range(epochs)] or [sequences[:0]]
    )
    return sorted({int(position) // batch + 1 for position in seen if position < steps * batch})
