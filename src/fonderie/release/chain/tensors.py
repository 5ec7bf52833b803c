"""Files of tensors, read without trusting them: the header checked against the file, the bytes mapped.

The format (github.com/huggingface/safetensors): the header's length as 8 bytes little-endian, the header as JSON
with type, shape and byte range of each tensor, then the bytes.
"""

import mmap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter

from fonderie.core.errors import ReleaseError

HEADER_LIMIT_BYTES = 100_000_000
"""The format's own limit."""
PIECE_BYTES = 1 << 20
"""Compared at a time, so that what numpy notes of it stays in the processor's cache."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


_HEADER = TypeAdapter(dict[str, _Entry | dict[str, str]])


@dataclass(frozen=True)
class TensorFile:
    """Type, shape and bytes of each tensor."""

    kinds: Mapping[str, tuple[str, tuple[int, ...]]]
    data: Mapping[str, memoryview]


@contextmanager
def open_tensors(path: Path) -> Iterator[TensorFile]:
    """Map a file; its views live as long as the context. ReleaseError if it is no file of tensors."""
    with path.open("rb") as file:
        size = path.stat().st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(HEADER_LIMIT_BYTES, size - 8):
            raise ReleaseError(f"{path.name} is no file of tensors: it ends before its header does")
        try:
            header = _HEADER.validate_json(file.read(length))
        except ValueError as error:
            raise ReleaseError(f"{path.name} is no file of tensors: {str(error)[:120]}") from error
        entries = {name: entry for name, entry in header.items() if isinstance(entry, _Entry)}
        base = 8 + length
        for name, entry in entries.items():
            start, stop = entry.data_offsets
            if not 0 <= start <= stop <= size - base:
                raise ReleaseError(f"{path.name}: the tensor {name[:80]} lies outside the file")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as view:
            data = {
                name: view[base + entry.data_offsets[0] : base + entry.data_offsets[1]]
                for name, entry in entries.items()
            }
            try:
                yield TensorFile({name: (entry.dtype, tuple(entry.shape)) for name, entry in entries.items()}, data)
            finally:
                for part in data.values():
                    part.release()


def _equal(one: memoryview, other: memoryview) -> bool:
    if len(one) != len(other):
        return False
    kind = np.uint64 if len(one) % 8 == 0 else np.uint8
    pieces = (slice(at, at + PIECE_BYTES) for at in range(0, len(one), PIECE_BYTES))
    return all(np.array_equal(np.frombuffer(one[at], kind), np.frombuffer(other[at], kind)) for at in pieces)


def unlike(weights: TensorFile, checkpoint: TensorFile, names: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The tensors of `weights` that are not, row for row, those of a checkpoint; `names` maps ours to theirs."""
    theirs = {name for parts in names.values() for name in parts}
    problems = [f"{name}: not a tensor of this model" for name in sorted(weights.data.keys() - theirs)]
    problems += [f"{name}: missing" for name in sorted(theirs - weights.data.keys())]
    problems += [f"{name}: missing from the checkpoint" for name in sorted(names.keys() - checkpoint.data.keys())]
    if problems:
        return problems
    for ours, parts in names.items():
        whole, at = checkpoint.data[ours], 0
        for part in parts:
            piece = weights.data[part]
            same_type = weights.kinds[part][0] == checkpoint.kinds[ours][0]
            if not same_type or not _equal(whole[at : at + len(piece)], piece):
                problems.append(f"{part}: not as in the checkpoint")
            at += len(piece)
        rows = sum(weights.kinds[part][1][0] for part in parts if weights.kinds[part][1])
        shape = (rows, *weights.kinds[parts[0]][1][1:])
        if at != len(whole) or shape != checkpoint.kinds[ours][1]:
            problems.append(f"{', '.join(parts)}: another shape than in the checkpoint")
    return problems
