"""Whole examples packed into sequences, none reading another: what instruction and preference training learn from.

A sequence has T + 1 ids, as in batch.py. Examples lie in it one after the other, each numbered as a document, so
that attention keeps them apart (`Batch.documents`); what is left is padding, a document of its own, which nothing
reads and which does not count. Which examples share a sequence follows from their lengths alone, and is the same
in every epoch; the order of sequences is computed, as in pre-training, so that any step's batch can be told alone.
"""

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fonderie.tokens.examples import Examples
from fonderie.train.data.batch import Batch
from fonderie.train.data.order import position_of, taken
from fonderie.train.settings.ramp import BatchSizes


def best_fit(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Items into as few bins as best-fit decreasing makes: each, longest first, where least room is left.

    At most 11/9 of the fewest possible, and one (Johnson, Near-Optimal Bin Packing Algorithms, 1973). Bins hold the
    numbers of their items in order, and come in the order of their first.
    """
    bins: list[list[int]] = []
    by_room: dict[int, list[int]] = {}
    rooms: list[int] = []
    for item in sorted(range(len(lengths)), key=lambda number: (-lengths[number], number)):
        length = lengths[item]
        if length > room:
            raise ValueError(f"an item of {length} does not fit into {room}")
        place = bisect.bisect_left(rooms, length)
        if place == len(rooms):
            bins.append([])
            chosen, left = len(bins) - 1, room
        else:
            left = rooms[place]
            chosen = by_room[left].pop()
            if not by_room[left]:
                del by_room[left], rooms[place]
        bins[chosen].append(item)
        if left - length not in by_room:
            bisect.insort(rooms, left - length)
        by_room.setdefault(left - length, []).append(chosen)
    return sorted(sorted(items) for items in bins)


@dataclass(frozen=True)
class PackedBatches:
    """Sequences of whole examples; of preferences, with both answers of a pair in the same sequence."""

    examples: Examples
    context: int
    """T: inputs per sequence."""
    sizes: BatchSizes
    """Sequences of each step."""
    seed: int
    together: bool = True
    """Whether examples share sequences. Alone, each needs no documents to be kept apart from."""
    extra: Mapping[str, NDArray[Any]] | None = None
    """By name, what an objective needs to know of each pair, along the first axis."""

    def with_(self, **changes: Any) -> Self:
        """The same sequences with other sizes of steps, or more known of them."""
        changed = replace(self, **changes)
        vars(changed)["bins"] = self.bins
        return changed

    @cached_property
    def bins(self) -> list[list[int]]:
        """The examples of each sequence; of preferences, the pairs."""
        if not self.together:
            return [[number] for number in range(len(self.examples.found))]
        lengths = [example.length for example in self.examples.found]
        if self.examples.pairs:
            lengths = [sum(lengths[at : at + 2]) for at in range(0, len(lengths), 2)]
        return best_fit(lengths, self.context + 1)

    @property
    def sequences(self) -> int:
        """Sequences in one epoch."""
        return len(self.bins)

    @cached_property
    def most(self) -> int:
        """Pairs, or examples, of the fullest sequence."""
        return max(map(len, self.bins))

    def indices(self, step: int) -> NDArray[np.int64]:
        """The numbers of the sequences of one step, counted from 1."""
        return taken(self.sizes.until(step - 1), self.sizes.until(step), self.sequences, self.seed)

    def __call__(self, step: int) -> Batch:
        """The batch of one step."""
        return self.batch_of(self.indices(step))

    def batch_of(self, sequences: NDArray[np.int64]) -> Batch:
        """These sequences as a batch; its `rows` have a place for every pair that a sequence may hold."""
        B, T = len(sequences), self.context
        ids = np.full((B, T + 1), self.examples.stream.index.eos, dtype=np.int64)
        counts, documents = np.zeros((B, T), dtype=np.bool_), np.zeros((B, T), dtype=np.int32)
        each = 2 if self.examples.pairs else 1
        for row, sequence in enumerate(sequences):
            at = 0
            numbers = [item * each + one for item in self.bins[sequence] for one in range(each)]
            for document, number in enumerate(numbers):
                found = self.examples.ids(self.examples.found[number])
                end = at + len(found)
                ids[row, at:end] = found
                documents[row, at:end] = document
                counts[row, at : end - 1] = self.examples.mask(found)[1:]
                at = end
            documents[row, at:] = len(numbers)
        return Batch(ids, counts, documents if self.together else None, self._rows(sequences))

    def _rows(self, sequences: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        rows: dict[str, NDArray[Any]] = {}
        if self.examples.pairs:
            rows["pairs"] = np.array([len(self.bins[sequence]) for sequence in sequences], dtype=np.int32)
        for name, values in (self.extra or {}).items():
            rows[name] = np.zeros((len(sequences), self.most, *values.shape[1:]), dtype=values.dtype)
            for row, sequence in enumerate(sequences):
                rows[name][row, : len(self.bins[sequence])] = values[self.bins[sequence]]
        return rows

    def steps_of_document(self, document: int, steps: int) -> list[int]:
        """The steps, of the first `steps`, whose batch holds a document of the stream."""
        each = 2 if self.examples.pairs else 1
        items = {number // each for number, found in enumerate(self.examples.found) if found.document == document}
        held = np.array([number for number, bin_ in enumerate(self.bins) if items & {*bin_}], dtype=np.int64)
        total = self.sizes.until(steps)
        epochs = range(-(-total // self.sequences) if len(held) else 0)
        taken = [epoch * self.sequences + position_of(held, self.sequences, self.seed, epoch) for epoch in epochs]
        seen = np.concatenate(taken) if taken else held
        return sorted({self.sizes.step_of(int(sequence)) for sequence in seen if sequence < total})
