"""Which optimizer steps saw which tokens: the data order, read backwards. Imports no torch."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fonderie.core.step import Artifact
from fonderie.train.again import training_packed
from fonderie.train.data.loader import sequences_in
from fonderie.train.data.order import position_of
from fonderie.train.record.commitment import COMMITMENT, DERIVED
from fonderie.train.settings.ramp import BatchSizes
from fonderie.train.steps.tuning import Tuning
from fonderie.train.training import read_commitment

TOKENS = "tokens"
"""The port of the packed tokens of a training."""


@dataclass(frozen=True)
class Order:
    """In which order a phase saw a stream."""

    context: int
    sizes: BatchSizes
    seed: int
    steps: int
    before: int
    """Steps of the phases before."""


@dataclass(frozen=True)
class Whole:
    """A training that saw whole documents, several to a sequence: see packing.py."""

    commitment: Path
    tokens: Path

    def steps(self, start: int, stop: int) -> list[int]:
        """The steps whose batch held a document with a token of these positions."""
        training = _whole(self.commitment, self.tokens)
        packed, plan = training.packed, training.plan
        found = {
            step
            for number, extent in enumerate(packed.examples.stream.extents)
            if extent.start < stop and start < extent.start + extent.length
            for step in packed.steps_of_document(number, plan.steps)
        }
        return sorted(found)


@lru_cache(maxsize=4)
def _whole(commitment: Path, tokens: Path) -> Tuning:
    return training_packed(read_commitment(commitment), tokens)


def orders(model: Artifact) -> Iterator[tuple[Artifact, Order | Whole]]:
    """The tokens and the order of each phase of a training on packed tokens; nothing for any other model."""
    tokens = model.upstream.get(TOKENS, ())
    if not tokens or not (model.path / DERIVED).is_file():
        return
    derived = json.loads((model.path / DERIVED).read_bytes())["training"]
    if "packing" in derived:
        yield tokens[0], Whole(model.path / COMMITMENT, tokens[0].path)
    phases = derived.get("phases") or ([_before_phases(derived)] if "sequences_per_epoch" in derived else [])
    for number, phase in enumerate(phases):
        order = Order(
            phase["context"],
            BatchSizes(**phase["batch"]),
            phase["shuffle_seed"],
            phase["steps"],
            phase["first_step"] - 1,
        )
        yield tokens[0] if len(tokens) == 1 else tokens[number], order


def epochs_in(derived: dict[str, Any]) -> list[int]:
    """Sequences in an epoch of each phase, from what parameters.json says of the training."""
    phases = derived.get("phases") or [derived.get("packing") or derived]
    return [int(phase["sequences_per_epoch"]) for phase in phases]


def _before_phases(derived: dict[str, Any]) -> dict[str, Any]:
    """The one phase of what versions 1 and 2 of train.pretrain wrote; stores and releases still hold it."""
    # Version 1 ordered the data by `seed` itself.
    seed = derived.get("shuffle_seed", derived["seed"])
    sizes = {"size": derived["batch"]}
    return {**derived, "batch": sizes, "shuffle_seed": seed, "first_step": 1}


def steps_that_saw(model: Artifact, packed: Artifact, stream_tokens: int, start: int, stop: int) -> list[int]:
    """The steps, in order and from 1, whose batch held a token of positions start to stop, as input or target.

    The positions are those of the tokens artifact `packed`, of `stream_tokens` tokens.
    """
    found: set[int] = set()
    for tokens, order in orders(model):
        if tokens.key == packed.key:
            steps = (
                order.steps(start, stop) if isinstance(order, Whole) else _steps(order, stream_tokens, start, stop)
            )
            found.update(steps)
    return sorted(found)


def _steps(order: Order, stream_tokens: int, start: int, stop: int) -> Iterator[int]:
    context, n = order.context, sequences_in(stream_tokens, order.context)
    # Sequence i is tokens i·T … i·T + T: its last token is also the first of the next one.
    first, last = max(0, -(-(start - context) // context)), min(n - 1, (stop - 1) // context)
    if start >= stop or first > last:
        return
    sequences = np.arange(first, last + 1)
    taken = order.sizes.until(order.steps)
    for epoch in range(-(-taken // n)):
        for position in epoch * n + position_of(sequences, n, order.seed, epoch):
            if position < taken:
                yield order.before + order.sizes.step_of(int(position))
