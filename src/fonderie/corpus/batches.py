"""The loop of a step that judges batches: Arrow in, Arrow out, the same bytes as the loop over documents writes.

Where `fonderie.corpus.transform` makes a Python object of each document, this one copies columns: a step that keeps
or drops most documents as they are need never see them.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fonderie.core.digest import digest_bytes
from fonderie.core.document import (
    GROUP_CHARACTERS,
    ROWS_PER_GROUP,
    SCHEMA,
    read_record_batches,
    shard_path,
    shard_paths,
)
from fonderie.core.errors import InputError
from fonderie.core.ledger import Entry, Fate, ledger_path, merge, summarise, write_ledger
from fonderie.core.machine import Machine
from fonderie.core.step import Artifact, Output


class Fates(NamedTuple):
    """What becomes of one document of a batch."""

    fate: Fate
    reason: str | None = None
    detail: str | None = None
    text: bytes | None = None
    """The new text of one that is edited, in UTF-8."""


JudgeBatch = Callable[[Any], list[Fates]]
"""A fate for each row of a record batch in the documents' schema."""


def transform_batches(
    artifacts: Iterable[Artifact], out: Output, machine: Machine, judge: JudgeBatch, *, label: str
) -> None:
    """Put every batch of every shard through `judge`; statistics count fates and reasons per source."""
    shards = [path for artifact in artifacts for path in shard_paths(artifact.path)]
    work = partial(_transform_shard, judge=judge, out=out.path)
    out.statistics["sources"] = merge(machine.map(work, list(enumerate(shards)), label=label))


def _transform_shard(job: tuple[int, Path], *, judge: JudgeBatch, out: Path) -> dict[str, dict[str, Any]]:
    index, path = job
    entries: list[Entry] = []

    def going_on() -> Iterator[Any]:
        for batch in read_batches(path):
            fates = judge(batch)
            yield _after(batch, fates, entries)

    write_batches(shard_path(out, index), going_on())
    write_ledger(ledger_path(out, index), entries)
    return summarise(entries)


def read_batches(path: Path) -> Iterator[Any]:
    """The documents of a shard as record batches; InputError if it is damaged, or a text does not match its id."""
    for batch in read_record_batches(path):
        _check_ids(batch, path)
        yield batch


def _check_ids(batch: Any, path: Path) -> None:
    _, offsets, data = batch.column("text").buffers()
    text = batch.column("text")
    places = np.frombuffer(offsets, np.int32)[text.offset : text.offset + len(text) + 1].tolist()
    bytes_ = memoryview(data or b"")
    for row, stated in enumerate(batch.column("id").to_pylist()):
        found = hashlib.sha256(bytes_[places[row] : places[row + 1]]).hexdigest()
        if stated != f"sha256:{found}":
            raise InputError(f"{path}: the text of document {stated} was altered")


def _after(batch: Any, fates: list[Fates], entries: list[Entry]) -> Any:
    """The documents that go on, edited; the ledger's rows of all are added to `entries`."""
    ids = batch.column("id").to_pylist()
    edited = {row: digest_bytes(fate.text) for row, fate in enumerate(fates) if fate.text is not None}
    sizes = pc.binary_length(batch.column("text")).to_pylist()
    columns = zip(ids, batch.column("source").to_pylist(), batch.column("origin").to_pylist(), sizes, strict=True)
    for row, ((before, source, origin, size), fate) in enumerate(zip(columns, fates, strict=True)):
        after = None if fate.fate == "dropped" else edited.get(row, before)
        entries.append(Entry(before, after, source, origin, fate.fate, fate.reason, fate.detail, size))
    if edited:
        batch = _with_texts(batch, edited, fates)
    return batch.filter(pa.array([fate.fate != "dropped" for fate in fates], pa.bool_()))


def _with_texts(batch: Any, edited: dict[int, str], fates: list[Fates]) -> Any:
    """A batch with the new texts and ids of the rows that are edited."""
    rows = pa.array([row in edited for row in range(batch.num_rows)], pa.bool_())
    ids = pc.replace_with_mask(batch.column("id"), rows, pa.array(list(edited.values()), pa.string()))
    new = pa.array([fates[row].text for row in edited], pa.string())
    texts = pc.replace_with_mask(batch.column("text"), rows, new)
    return pa.RecordBatch.from_arrays([ids, texts, *batch.columns[2:]], schema=batch.schema)


def write_batches(path: Path, batches: Iterable[Any]) -> None:
    """Write a shard in row groups cut as `write_documents` cuts them."""
    rows: list[Any] = []
    count = characters = 0
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:

        def flush() -> None:
            nonlocal count, characters
            if rows:
                table = pa.Table.from_batches(rows, SCHEMA).combine_chunks()
                writer.write_table(table)
            rows.clear()
            count = characters = 0

        for batch in batches:
            first = 0
            for last in _cuts(batch, count, characters):
                rows.append(batch.slice(first, last - first))
                flush()
                first = last
            rest = batch.slice(first)
            if len(rest):
                rows.append(rest)
                count += len(rest)
                characters += pc.sum(pc.utf8_length(rest.column("text"))).as_py()
        flush()


def _cuts(batch: Any, count: int, characters: int) -> list[int]:
    """After which rows a row group ends, given what is in the one that is open."""
    cuts = []
    for row, length in enumerate(pc.utf8_length(batch.column("text")).to_pylist(), 1):
        count += 1
        characters += length
        if count == ROWS_PER_GROUP or characters >= GROUP_CHARACTERS:
            cuts.append(row)
            count = characters = 0
    return cuts
