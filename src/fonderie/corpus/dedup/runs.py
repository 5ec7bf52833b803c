"""Scratch files of a deduplication: columns of numbers, and runs sorted by hash that are read a range at a time.

Each shard writes its own files, so that shards can be surveyed by any number of workers and again after a failure.
A run holds (key, …) rows sorted by key. Keys are hashes, spread evenly over 64 bits: a range of keys over all runs
holds all rows with the same key, and as few of them as memory wants.
"""

import mmap
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

ROWS_IN_MEMORY = 1 << 19
"""Rows of a range on average: with sorting some 40 MB."""

Array = npt.NDArray[Any]


def write_column(folder: Path, name: str, shard: int, values: Array) -> None:
    """One shard's part of a column."""
    values.tofile(_part(folder, name, shard))


def column_writer(folder: Path, name: str, shard: int) -> BinaryIO:
    """A file for a part that is too large to be held whole; use as a context manager."""
    return _part(folder, name, shard).open("wb")


def join_column(folder: Path, name: str, shards: int, dtype: npt.DTypeLike) -> Array:
    """The parts of a column one after the other, as one array on disk; the parts are removed."""
    with (folder / name).open("wb") as whole:
        for shard in range(shards):
            path = _part(folder, name, shard)
            with path.open("rb") as part:
                shutil.copyfileobj(part, whole, 1 << 22)
            path.unlink()
    return read_column(folder, name, dtype)


def read_column(folder: Path, name: str, dtype: npt.DTypeLike) -> Array:
    """A joined column, mapped from disk."""
    return _mapped(folder / name, dtype)


def release(column: Array) -> None:
    """Give back the memory of a mapped column's pages; they are read again when they are wanted."""
    mapping = getattr(column, "_mmap", None)
    if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)


def write_run(folder: Path, name: str, shard: int, keys: npt.NDArray[np.uint64], **columns: Array) -> None:
    """One shard's run, sorted by key; rows of equal key keep their order."""
    order = np.argsort(keys, kind="stable")
    for column, values in (("key", keys), *columns.items()):
        write_column(folder, f"{name}.{column}", shard, values[order])


@dataclass(frozen=True)
class Rows:
    """Some rows of all runs, sorted by key, then by shard and place."""

    keys: npt.NDArray[np.uint64]
    shards: npt.NDArray[np.int64]
    columns: Mapping[str, Array]


def repeated(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Where a key stands at least twice in sorted ones: (groups, 2) of the first row and the one past the last."""
    if not len(keys):
        return np.empty((0, 2), np.int64)
    borders = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1], [True]]))
    groups = np.stack([borders[:-1], borders[1:]], axis=1)
    found: npt.NDArray[np.int64] = groups[groups[:, 1] - groups[:, 0] > 1]
    return found


@dataclass(frozen=True)
class Runs:
    """The runs of all shards."""

    folder: Path
    name: str
    shards: int
    columns: Mapping[str, npt.DTypeLike]

    def __len__(self) -> int:
        parts = (_part(self.folder, f"{self.name}.key", shard) for shard in range(self.shards))
        return sum(part.stat().st_size for part in parts) // 8

    def ranges(self) -> Sequence[tuple[int, int]]:
        """Ranges [first, last] of keys that cut all rows into pieces that fit in memory."""
        pieces = max(1, -(-len(self) // ROWS_IN_MEMORY))
        borders = [piece * (1 << 64) // pieces for piece in range(pieces + 1)]
        return [(first, following - 1) for first, following in pairwise(borders)]

    def read(self, keys: tuple[int, int]) -> Rows:
        """The rows with keys in a range."""
        parts = [part for shard in range(self.shards) if (part := self._slice(shard, keys))]
        if not parts:
            empty = {name: np.empty(0, dtype) for name, dtype in self.columns.items()}
            return Rows(np.empty(0, np.uint64), np.empty(0, np.int64), empty)
        every = np.concatenate([part["key"] for _, part in parts])
        order = np.argsort(every, kind="stable")
        owners = np.repeat([shard for shard, _ in parts], [len(part["key"]) for _, part in parts])
        return Rows(
            every[order],
            owners[order],
            {name: np.concatenate([part[name] for _, part in parts])[order] for name in self.columns},
        )

    def __iter__(self) -> Iterator[Rows]:
        return (self.read(keys) for keys in self.ranges())

    def _slice(self, shard: int, keys: tuple[int, int]) -> tuple[int, dict[str, Array]] | None:
        sorted_keys = _mapped(_part(self.folder, f"{self.name}.key", shard), np.uint64)
        first = np.searchsorted(sorted_keys, np.uint64(keys[0]), "left")
        last = np.searchsorted(sorted_keys, np.uint64(keys[1]), "right")
        if first == last:
            return None
        found = {
            name: np.array(_mapped(_part(self.folder, f"{self.name}.{name}", shard), dtype)[first:last])
            for name, dtype in self.columns.items()
        }
        return shard, {"key": np.array(sorted_keys[first:last]), **found}


def _part(folder: Path, name: str, shard: int) -> Path:
    return folder / f"{name}.{shard:05d}"


def _mapped(path: Path, dtype: npt.DTypeLike) -> Array:
    # An empty file cannot be mapped.
    return np.memmap(path, dtype, mode="r") if path.stat().st_size else np.empty(0, dtype)
