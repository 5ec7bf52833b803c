"""Token shards: flat little-endian arrays to map into memory, and the way from a position back to a document.

    index.json               dtype, vocabulary, special ids, the shards in order with their lengths
    tokens/00000.bin         the ids, nothing else
    offsets/00000.parquet    one row per document: id, source, licence, start, length (tokens), size_bytes (text)

The shards in order are one stream; a *position* counts tokens from its beginning.
"""

import bisect
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from fonderie.core.errors import InputError

OFFSETS_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("licence", pa.string(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
    ]
)


class ShardEntry(BaseModel):
    """One shard of the stream."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens_file: str
    offsets_file: str
    tokens: int


class ShardIndex(BaseModel):
    """What index.json holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dtype: str
    """ "uint16" or "uint32", little-endian."""
    vocabulary: int
    bos: int
    eos: int
    end: int
    shards: list[ShardEntry]


class Extent(NamedTuple):
    """Where one document lies in a shard; `start` and `length` count tokens, BOS and EOS included."""

    id: str
    source: str
    origin: str
    licence: str
    start: int
    length: int
    size_bytes: int


def dtype_for(vocabulary: int) -> str:
    """The narrowest type that holds every id."""
    return "uint16" if vocabulary <= 1 << 16 else "uint32"


def write_shard(
    folder: Path, number: int, dtype: str, documents: Iterable[tuple[Extent, list[int]]]
) -> tuple[ShardEntry, list[Extent]]:
    """Write one shard; the extents' starts are computed here."""
    tokens_file, offsets_file = f"tokens/{number:05d}.bin", f"offsets/{number:05d}.parquet"
    extents: list[Extent] = []
    total = 0
    for name in (tokens_file, offsets_file):
        (folder / name).parent.mkdir(exist_ok=True)
    with (folder / tokens_file).open("wb") as file:
        for extent, ids in documents:
            file.write(np.asarray(ids, dtype=np.dtype(dtype).newbyteorder("<")).tobytes())
            extents.append(extent._replace(start=total, length=len(ids)))
            total += len(ids)
    rows = [extent._asdict() for extent in extents]
    pq.write_table(pa.Table.from_pylist(rows, OFFSETS_SCHEMA), folder / offsets_file, compression="zstd")
    return ShardEntry(tokens_file=tokens_file, offsets_file=offsets_file, tokens=total), extents


@dataclass(frozen=True)
class TokenStream:
    """The shards of a tokens artifact as one stream."""

    folder: Path
    index: ShardIndex

    @classmethod
    def open(cls, folder: Path) -> "TokenStream":
        """Open a tokens artifact; InputError names a file that is missing or of the wrong length."""
        path = folder / "index.json"
        try:
            index = ShardIndex.model_validate(json.loads(path.read_bytes()))
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is not an index of token shards: {error}") from error
        for shard in index.shards:
            file = folder / shard.tokens_file
            expected = shard.tokens * np.dtype(index.dtype).itemsize
            found = file.stat().st_size if file.is_file() else -1
            if found != expected:
                raise InputError(f"{file} has {found} bytes, not the {expected} that {path.name} says")
        return cls(folder, index)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The ids' type."""
        return np.dtype(self.index.dtype).newbyteorder("<")

    @cached_property
    def starts(self) -> list[int]:
        """First position of each shard, and the length of the stream at the end."""
        starts = [0]
        for shard in self.index.shards:
            starts.append(starts[-1] + shard.tokens)
        return starts

    def __len__(self) -> int:
        return self.starts[-1]

    @cached_property
    def arrays(self) -> list[npt.NDArray[Any]]:
        """The shards, mapped into memory; as plain arrays, since a slice of a memmap costs more than its bytes."""
        return [
            np.asarray(np.memmap(self.folder / shard.tokens_file, dtype=self.dtype, mode="r"))
            if shard.tokens
            else np.empty(0, dtype=self.dtype)
            for shard in self.index.shards
        ]

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Ids of positions start to stop, across shards."""
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"positions {start} to {stop} of a stream of {len(self)} tokens")
        parts: list[npt.NDArray[Any]] = [np.empty(0, dtype=self.dtype)] if start == stop else []
        shard = self.shard_of(start)
        while start < stop:
            end = min(stop, self.starts[shard + 1])
            parts.append(self.arrays[shard][start - self.starts[shard] : end - self.starts[shard]])
            start, shard = end, shard + 1
        return np.concatenate(parts) if len(parts) != 1 else parts[0]

    def shard_of(self, position: int) -> int:
        """The number of the shard that holds a position."""
        return bisect.bisect_right(self.starts, position) - 1

    @cached_property
    def extents(self) -> list[Extent]:
        """Every document, in stream order, with `start` as a position of the stream."""
        return [extent for number in range(len(self.index.shards)) for extent in self.extents_of(number)]

    def extents_of(self, number: int) -> list[Extent]:
        """The documents of one shard, in order, with `start` as a position of the stream."""
        base = self.starts[number]
        # Not pq.read_table, which first imports Arrow's datasets, and pandas where it is installed: 0.2 s.
        with pq.ParquetFile(self.folder / self.index.shards[number].offsets_file) as file:
            rows = file.read().to_pylist()
        return [Extent(**{**row, "start": row["start"] + base}) for row in rows]

    def document_at(self, position: int) -> Extent:
        """The document that the token at a position comes from."""
        if not 0 <= position < len(self):
            raise IndexError(f"position {position} of a stream of {len(self)} tokens")
        return self.extents[bisect.bisect_right(self._document_starts, position) - 1]

    def documents_between(self, start: int, stop: int) -> Iterator[Extent]:
        """The documents with a token in positions start to stop."""
        first = bisect.bisect_right(self._document_starts, start) - 1
        for extent in self.extents[max(first, 0) :]:
            if extent.start >= stop:
                return
            yield extent

    @cached_property
    def _document_starts(self) -> list[int]:
        return [extent.start for extent in self.extents]
