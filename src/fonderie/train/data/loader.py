"""Batches of token ids: the batch of any step, from the step's number alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fonderie.core.errors import InputError
from fonderie.tokens.shards import TokenStream
from fonderie.train.data.batch import Batch
from fonderie.train.data.goldfish import counted
from fonderie.train.data.order import taken
from fonderie.train.settings.ramp import BatchSizes


@dataclass(frozen=True)
class Batches:
    """Sequence i is tokens i·T … i·T + T of the stream: T inputs, each with the token after it as its target.

    Steps count from 1. Every epoch holds each sequence once, in an order of its own; a batch may end one epoch and
    begin the next. The last tokens of the stream, fewer than a sequence, are not seen.
    """

    stream: TokenStream
    context: int
    """T: inputs per sequence."""
    sizes: BatchSizes
    """Sequences of each step."""
    seed: int
    begins: int | None = None
    """The id that begins a document, where positions may only attend to their own document."""
    goldfish: tuple[int, int] | None = None
    """Which targets do not count: `every` and `context` of goldfish.py."""

    def __post_init__(self) -> None:
        if self.sequences < 1:
            raise InputError(
                f"{self.stream.folder} has {len(self.stream)} tokens, too few for one sequence of {self.context}",
                hint="Give more documents, or a shorter context.",
            )

    @property
    def sequences(self) -> int:
        """Sequences in one epoch."""
        return sequences_in(len(self.stream), self.context)

    def indices(self, step: int) -> NDArray[np.int64]:
        """The numbers of the sequences of one step."""
        return taken(self.sizes.until(step - 1), self.sizes.until(step), self.sequences, self.seed)

    def __call__(self, step: int) -> Batch:
        """The batch of one step."""
        T = self.context
        rows = [self.stream.read(int(i) * T, int(i) * T + T + 1) for i in self.indices(step)]
        ids = np.stack(rows).astype(np.int64)
        counts = None
        if self.goldfish is not None:
            every, context = self.goldfish
            counts = counted(ids, every=every, context=context)
        documents = None
        if self.begins is not None:
            # Every document begins with this id, which no text can spell (tokens/pack.py).
            documents = np.cumsum(ids[:, :-1] == self.begins, axis=1, dtype=np.int32)
        return Batch(ids, counts, documents)


def sequences_in(tokens: int, context: int) -> int:
    """Whole sequences in a stream: each needs one token beyond its inputs, which the next one may share."""
    return (tokens - 1) // context
