"""The mix that a training sees: how many of its inputs come from each source, stretch by stretch of its steps.

It follows from the tokens and the data order, so it is known before the first step, and is part of the artifact.
The mix of a recipe says what was asked for; this says what the model was given, and when.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from fonderie.tokens.shards import TokenStream
from fonderie.train.data.loader import Batches
from fonderie.train.settings.plan import Plan

MIX = "mix.json"
STRETCHES = 60
"""Of a whole training; every phase has at least one."""
STEPS_COUNTED = 16
"""Of each stretch, evenly spaced: a training of 400,000 steps is counted in seconds, and one of 960 in full."""


class Stretch(BaseModel):
    """Some steps, and where their inputs come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    phase: str
    first: int
    last: int
    counted: int
    """How many of these steps were counted; the shares of the others are like theirs, as the order is shuffled."""
    tokens: dict[str, int]
    """Inputs of the counted steps by source of their document."""


class Mix(BaseModel):
    """What mix.json holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    stretches: tuple[Stretch, ...]

    def to_json(self) -> str:
        """The text of mix.json."""
        return self.model_dump_json(indent=1) + "\n"


def mix_of(plan: Plan, data: Sequence[Batches]) -> Mix:
    """The mix of every stretch; `data` are the batches of each phase."""
    found: list[Stretch] = []
    begun = 0
    for phase, batches, end in zip(plan.phases, data, plan.ends, strict=True):
        bounds = _bounds(phase.steps, max(1, round(STRETCHES * phase.steps / plan.steps)))
        steps = [_spaced(first, last) for first, last in bounds]
        sequences = [np.concatenate([batches.indices(int(step)) for step in group]) for group in steps]
        numbers = np.repeat(np.arange(len(bounds)), [len(group) for group in sequences])
        starts = np.concatenate(sequences) * batches.context
        sources, counts = count_sources(batches.stream, starts, batches.context, numbers, len(bounds))
        found += [
            Stretch(
                phase=phase.name,
                first=begun + first,
                last=begun + last,
                counted=len(group),
                tokens={name: int(count) for name, count in zip(sources, row, strict=True) if count},
            )
            for (first, last), group, row in zip(bounds, steps, counts, strict=True)
        ]
        begun = end
    return Mix(stretches=tuple(found))


def count_sources(
    stream: TokenStream, starts: NDArray[np.int64], length: int, groups: NDArray[np.int64], count: int
) -> tuple[list[str], NDArray[np.int64]]:
    """Tokens of stretches of the stream by source, in groups [count, sources]; one shard's documents at a time.

    A stretch is `length` tokens from a position of `starts`, and counts for its place's number in `groups`.
    """
    names: dict[str, int] = {}
    counts = np.zeros((count, 0), dtype=np.int64)
    for number, shard in enumerate(stream.index.shards):
        low, high = stream.starts[number], stream.starts[number + 1]
        here = np.flatnonzero((starts < high) & (starts + length > low))
        if not (shard.tokens and len(here)):
            continue
        sources, codes, bounds = _documents(stream.folder / shard.offsets_file, low, high)
        own = np.array([names.setdefault(source, len(names)) for source in sources], dtype=np.int64)
        counts = np.pad(counts, ((0, 0), (0, len(names) - counts.shape[1])))
        begin, end = np.maximum(starts[here], low), np.minimum(starts[here] + length, high)
        first = np.searchsorted(bounds, begin, side="right") - 1
        documents = np.searchsorted(bounds, end, side="left") - first
        rows = np.repeat(np.arange(len(here)), documents)
        # The documents of each stretch in turn: its first, the one after it, and so on.
        document = (
            np.repeat(first, documents)
            + np.arange(len(rows))
            - np.repeat(np.cumsum(documents) - documents, documents)
        )
        shared = np.minimum(bounds[document + 1], end[rows]) - np.maximum(bounds[document], begin[rows])
        np.add.at(counts, (groups[here][rows], own[codes[document]]), shared)
    order = sorted(names)
    return order, counts[:, [names[name] for name in order]]


def _documents(offsets: Path, low: int, high: int) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """The sources of a shard, the one of each document, and where documents begin, with the shard's end."""
    with pq.ParquetFile(offsets) as file:
        table = file.read(columns=["source", "start"])
    coded = table.column("source").combine_chunks().dictionary_encode()
    starts = table.column("start").to_numpy().astype(np.int64) + low
    return coded.dictionary.to_pylist(), coded.indices.to_numpy().astype(np.int64), np.append(starts, high)


def _bounds(steps: int, parts: int) -> list[tuple[int, int]]:
    """Steps 1 … `steps` in stretches as equal as can be."""
    parts = min(parts, steps)
    edges = [round(steps * part / parts) for part in range(parts + 1)]
    return [(before + 1, after) for before, after in pairwise(edges)]


def _spaced(first: int, last: int) -> NDArray[np.int64]:
    """At most STEPS_COUNTED of these steps, evenly spaced."""
    count = min(STEPS_COUNTED, last - first + 1)
    return np.unique(np.linspace(first, last, count).round().astype(np.int64))
