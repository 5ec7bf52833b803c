"""What one optimizer step learns from, as plain arrays. Imports no torch.

Shapes: B sequences, T inputs each. A sequence is T + 1 ids: each but the last is an input, and the one after it its
target.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fonderie.core.digest import digest_bytes


@dataclass(frozen=True)
class Batch:
    """The sequences of one step, and how they are read."""

    ids: NDArray[np.int64]
    """[B, T + 1]"""
    counts: NDArray[np.bool_] | None = None
    """[B, T]: which targets count in the loss; None is all of them."""
    documents: NDArray[np.int32] | None = None
    """[B, T]: the number of each input's document within its sequence; given, a position attends only to positions
    of the same document."""
    rows: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Whatever else an objective needs, each with B entries along its first axis."""

    @property
    def tokens(self) -> int:
        """Inputs of the batch, whether they count or not."""
        B, T1 = self.ids.shape
        return int(B * (T1 - 1))

    @property
    def counted(self) -> int:
        """Targets that count in the loss."""
        return self.tokens if self.counts is None else int(self.counts.sum())


BatchOf = Callable[[int], Batch]
"""The batch of a step; steps count from 1."""


def batch_hash(batch: Batch) -> str:
    """The identity of a batch: SHA-256 of its ids, and of every other array that it has.

    The ids row after row as unsigned 32-bit little-endian integers, and nothing else, where there is nothing else.
    Further arrays follow in the order counts, documents, rows by name: each as its name, a zero byte, its type
    ("|b1", "<i4"), a zero byte, its shape in digits with commas, a zero byte, and its elements row after row.
    """
    ids = np.ascontiguousarray(batch.ids, dtype="<u4").tobytes()
    further = {"counts": batch.counts, "documents": batch.documents, **dict(sorted(batch.rows.items()))}
    present = {name: array for name, array in further.items() if array is not None}
    if not present:
        return digest_bytes(ids)
    digest = sha256(ids)
    for name, array in present.items():
        plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        shape = ",".join(map(str, plain.shape))
        digest.update(f"{name}\x00{plain.dtype.str}\x00{shape}\x00".encode("ascii"))
        digest.update(plain.tobytes())
    return "sha256:" + digest.hexdigest()
