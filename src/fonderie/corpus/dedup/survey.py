"""What deduplication knows of every document of a corpus: one pass over the shards, kept in scratch files.

Documents are numbered through all shards in order. Memory per document is some 40 bytes; ids, origins and grams
stay on disk and are mapped from there.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from fonderie.core.document import read_record_batches
from fonderie.core.errors import InputError
from fonderie.corpus.dedup.order import freedom
from fonderie.corpus.dedup.runs import Runs, column_writer, join_column, read_column, write_column, write_run
from fonderie.corpus.dedup.urls import url_of

BATCH_ROWS = 512
"""Documents in memory at once, beside the row group they are read from."""
PREFIX = "sha256:"
PLACES = pa.schema([("source", pa.string()), ("origin", pa.string()), ("url", pa.string())])

Array = npt.NDArray[Any]


class Batch(NamedTuple):
    """Some rows of a document shard, their texts as raw UTF-8."""

    rows: pa.RecordBatch
    offsets_N: npt.NDArray[np.int32]
    """N + 1 borders of the texts in `data`."""
    data: npt.NDArray[np.uint8]

    def texts(self) -> Iterator[memoryview]:
        """The bytes of each text, not copied."""
        view, borders = self.data.data, self.offsets_N.tolist()
        return (view[first:last] for first, last in pairwise(borders))


def batches(path: Path, columns: Sequence[str]) -> Iterator[Batch]:
    """A shard, a few hundred documents at a time; InputError if a text does not match its id."""
    for rows in read_record_batches(path, columns, batch_rows=BATCH_ROWS):
        batch = _batch(rows)
        for stated, text in zip(rows.column("id").to_pylist(), batch.texts(), strict=True):
            if stated != PREFIX + hashlib.sha256(text).hexdigest():
                raise InputError(f"{path}: the text of document {stated} was altered")
        yield batch


def _batch(rows: pa.RecordBatch) -> Batch:
    text = rows.column("text")
    _, offsets, data = text.buffers()
    borders = np.frombuffer(offsets, np.int32)[text.offset : text.offset + len(text) + 1]
    # A batch without a character has no buffer.
    return Batch(rows, borders, np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8))


@dataclass(frozen=True)
class Wanted:
    """What to find out, and where to write it."""

    scratch: Path
    layout: tuple[int, int] | None
    """Buckets, and hashes in each, if near copies are wanted."""
    urls: bool


def survey_shard(job: tuple[int, Path], *, wanted: Wanted) -> int:
    """Write one shard's scratch files; returns how many documents it holds."""
    shard, path = job
    folder = wanted.scratch
    columns = ["id", "text", "source", "origin", "licence", *["metadata"] * wanted.urls]
    found: list[_Found] = []
    with (
        pa.OSFile(str(folder / f"places.{shard:05d}"), "wb") as sink,
        pa.ipc.new_file(sink, PLACES) as places,
        column_writer(folder, "grams", shard) as grams,
    ):
        for batch in batches(path, columns):
            part, batch_places, batch_grams = _look(batch, wanted)
            found.append(part)
            places.write_batch(batch_places)
            batch_grams.tofile(grams)
    ids = _concatenate([part.ids for part in found], np.uint64, 4)
    write_column(folder, "ids", shard, ids)
    write_column(folder, "sizes", shard, _concatenate([part.sizes for part in found], np.int64))
    write_column(folder, "freedoms", shard, _concatenate([part.freedoms for part in found], np.uint8))
    write_run(folder, "exact", shard, ids[:, 0].copy(), row=np.arange(len(ids), dtype=np.uint32))
    if wanted.urls:
        urls = [(row, url) for row, url in enumerate(url for part in found for url in part.urls) if url]
        keys = np.array([xxhash.xxh3_64_intdigest(url.encode("utf-8")) for _, url in urls], dtype=np.uint64)
        write_run(folder, "urls", shard, keys, row=np.array([row for row, _ in urls], dtype=np.uint32))
    lengths = _concatenate([part.lengths for part in found], np.int64)
    write_column(folder, "lengths", shard, lengths)
    if wanted.layout:
        keys = _concatenate([part.keys for part in found], np.uint64, wanted.layout[0])[lengths > 0]
        rows = np.repeat(np.flatnonzero(lengths > 0).astype(np.uint32), wanted.layout[0])
        write_run(folder, "buckets", shard, keys.reshape(-1), row=rows)
    return len(ids)


class _Found(NamedTuple):
    """What is kept in memory of a batch of documents until the shard is done."""

    ids: Array
    sizes: Array
    freedoms: Array
    urls: list[str | None]
    lengths: Array
    keys: Array


def _look(batch: Batch, wanted: Wanted) -> tuple[_Found, pa.RecordBatch, Array]:
    """What a batch comes to: numbers, where its documents come from, their grams."""
    rows = batch.rows
    hexadecimal = "".join(name.removeprefix(PREFIX) for name in rows.column("id").to_pylist())
    # Big-endian words compare as the names do.
    ids = np.frombuffer(bytes.fromhex(hexadecimal), ">u8").astype(np.uint64).reshape(-1, 4)
    freedoms = np.array([freedom(licence) for licence in rows.column("licence").to_pylist()], np.uint8)
    urls: list[str | None] = [None] * len(rows)
    if wanted.urls:
        origins, metadata = rows.column("origin").to_pylist(), rows.column("metadata").to_pylist()
        urls = [url_of(origin, dict(facts).get("url")) for origin, facts in zip(origins, metadata, strict=True)]
    grams, lengths, keys = np.empty(0, np.uint32), np.zeros(len(rows), np.int64), np.empty((0, 1), np.uint64)
    if wanted.layout:
        from fonderie.corpus.dedup.minhash import Layout, sketch

        grams, lengths, keys = sketch(batch.offsets_N, batch.data, Layout(*wanted.layout))
    places = pa.record_batch([rows.column("source"), rows.column("origin"), pa.array(urls, pa.string())], PLACES)
    sizes = np.diff(batch.offsets_N).astype(np.int64)
    return _Found(ids, sizes, freedoms, urls, lengths, keys), places, grams


def _concatenate(parts: list[Array], dtype: Any, width: int | None = None) -> Array:
    shape = (0,) if width is None else (0, width)
    return np.concatenate([np.empty(shape, dtype), *parts])


class Place(NamedTuple):
    """Where a document comes from."""

    source: str
    origin: str
    url: str | None


@dataclass(frozen=True)
class Corpus:
    """The surveyed documents of all shards."""

    scratch: Path
    counts: tuple[int, ...]
    """Documents of each shard."""

    @classmethod
    def join(cls, scratch: Path, counts: Sequence[int]) -> "Corpus":
        """Put the shards' columns together."""
        for name, dtype in _COLUMNS.items():
            join_column(scratch, name, len(counts), dtype)
        return cls(scratch, tuple(counts))

    def __len__(self) -> int:
        return sum(self.counts)

    def __reduce__(self) -> tuple[Any, ...]:
        # Open files and mapped columns stay behind: a worker opens its own.
        return (Corpus, (self.scratch, self.counts))

    @cached_property
    def firsts(self) -> npt.NDArray[np.int64]:
        """The number of each shard's first document, and the number of all."""
        return np.concatenate([[0], np.cumsum(self.counts, dtype=np.int64)])

    def column(self, name: str) -> Array:
        """A column, mapped from disk."""
        return read_column(self.scratch, name, _COLUMNS[name])

    @cached_property
    def ids(self) -> npt.NDArray[np.uint64]:
        """(N, 4) digests as big-endian words, mapped from disk."""
        return self.column("ids").reshape(-1, 4)

    def runs(self, name: str) -> Runs:
        """The runs "exact", "urls" or "buckets"; their rows are places in a shard."""
        return Runs(self.scratch, name, len(self.counts), {"row": np.uint32})

    def name(self, document: int) -> str:
        """A document's id."""
        digest: bytes = self.ids[document].astype(">u8").tobytes()
        return PREFIX + digest.hex()

    def place(self, document: int) -> Place:
        """Where a document comes from."""
        shard = int(np.searchsorted(self.firsts, document, "right")) - 1
        row = document - int(self.firsts[shard])
        file, borders = self._places(shard)
        batch = int(np.searchsorted(borders, row, "right")) - 1
        values = file.get_batch(batch).slice(row - int(borders[batch]), 1).to_pylist()[0]
        return Place(**values)

    def _places(self, shard: int) -> tuple[Any, npt.NDArray[np.int64]]:
        found: dict[int, tuple[Any, npt.NDArray[np.int64]]] = self.__dict__.setdefault("_open", {})
        if shard not in found:
            if len(found) >= _OPEN_FILES:
                found.clear()
            file = pa.ipc.open_file(pa.memory_map(str(self.scratch / f"places.{shard:05d}")))
            sizes = [len(file.get_batch(number)) for number in range(file.num_record_batches)]
            found[shard] = file, np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        return found[shard]


_COLUMNS: dict[str, Any] = {
    "ids": np.uint64,
    "sizes": np.int64,
    "freedoms": np.uint8,
    "grams": np.uint32,
    "lengths": np.int64,
}
_OPEN_FILES = 256
"""Shards whose origins are held open at once."""
