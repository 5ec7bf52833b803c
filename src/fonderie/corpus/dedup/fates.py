"""What becomes of every document in a deduplication, and the shards and ledgers that say so.

Shards are filtered as Arrow tables: no document becomes a Python object.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fonderie.core.document import GROUP_CHARACTERS, ROWS_PER_GROUP, SCHEMA, read_record_batches, shard_path
from fonderie.core.ledger import SCHEMA as LEDGER
from fonderie.core.ledger import ledger_path, merge
from fonderie.core.machine import Machine
from fonderie.core.step import Output
from fonderie.corpus.dedup.runs import join_column, read_column, write_column
from fonderie.corpus.dedup.survey import Corpus

EXACT, SAME_URL, NEAR = "exact duplicate", "same address", "near duplicate"
REASONS = ("", EXACT, SAME_URL, NEAR)


@dataclass(frozen=True)
class Fates:
    """For each document, why it goes and which one stays in its place."""

    reasons: npt.NDArray[np.uint8]
    """Index into REASONS; 0 if it stays."""
    keepers: npt.NDArray[np.int64]
    similarities: npt.NDArray[np.float32]
    """Of near duplicates, to the document that stays."""

    @classmethod
    def of(cls, documents: int) -> "Fates":
        """All stay."""
        return cls(
            np.zeros(documents, np.uint8), np.arange(documents, dtype=np.int64), np.zeros(documents, np.float32)
        )

    def drop(self, documents: Any, keeper: Any, reason: str) -> None:
        """Drop documents in favour of others."""
        self.reasons[documents] = REASONS.index(reason)
        self.keepers[documents] = keeper

    def clusters(self, reason: str) -> int:
        """Documents that stay in the place of others for this reason."""
        return len(np.unique(self.keepers[self.reasons == REASONS.index(reason)]))


def write_fates(
    corpus: Corpus, fates: Fates, shards: Sequence[Path], out: Output, machine: Machine, *, label: str
) -> dict[str, dict[str, Any]]:
    """Write every shard without the documents that go, and its ledger; returns the counts per source."""
    for name, dtype in _COLUMNS.items():
        write_column(corpus.scratch, name, 0, getattr(fates, name))
        join_column(corpus.scratch, name, 1, dtype)
    work = partial(_write_shard, scratch=corpus.scratch, counts=corpus.counts, out=out.path)
    return merge(machine.map(work, list(enumerate(shards)), label=label))


_COLUMNS: dict[str, Any] = {"reasons": np.uint8, "keepers": np.int64, "similarities": np.float32}
"""Of the fates, on their way to the workers."""


def _write_shard(
    job: tuple[int, Path], *, scratch: Path, counts: tuple[int, ...], out: Path
) -> dict[str, dict[str, Any]]:
    shard, path = job
    corpus = Corpus(scratch, counts)
    first, last = corpus.firsts[shard], corpus.firsts[shard + 1]
    fates = Fates(*(read_column(scratch, name, dtype)[first:last] for name, dtype in _COLUMNS.items()))
    ledgers = []
    with pq.ParquetWriter(shard_path(out, shard), SCHEMA, compression="zstd") as writer:
        begin = 0
        waiting = Waiting(writer)
        for batch in read_record_batches(path):
            rows = pa.Table.from_batches([batch])
            end = begin + len(rows)
            reasons = fates.reasons[begin:end]
            waiting.add(rows.filter(pa.array(reasons == 0)) if reasons.any() else rows)
            ledgers.append(_entries(rows, corpus, fates, begin))
            begin = end
        waiting.flush()
    ledger = pa.concat_tables(ledgers) if ledgers else LEDGER.empty_table()
    pq.write_table(ledger, ledger_path(out, shard), compression="zstd")
    return summary(ledger)


class Waiting:
    """Rows on their way to a shard, gathered to row groups of the usual size."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self.writer = writer
        self.tables: list[pa.Table] = []
        self.rows = self.bytes = 0

    def add(self, rows: pa.Table) -> None:
        """Take rows; write them once they fill a group."""
        self.tables.append(rows)
        self.rows += len(rows)
        self.bytes += pc.sum(pc.binary_length(rows.column("text"))).as_py() or 0
        if self.rows >= ROWS_PER_GROUP or self.bytes >= GROUP_CHARACTERS:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self.rows:
            self.writer.write_table(pa.concat_tables(self.tables).combine_chunks(), row_group_size=ROWS_PER_GROUP)
        self.tables, self.rows, self.bytes = [], 0, 0


def _entries(rows: pa.Table, corpus: Corpus, fates: Fates, begin: int) -> pa.Table:
    reasons = fates.reasons[begin : begin + len(rows)]
    details: list[str | None] = [None] * len(rows)
    for row in np.flatnonzero(reasons).tolist():
        details[row] = _detail(corpus, fates, begin + row)
    kept = pa.array(reasons == 0)
    columns = {
        "id": rows.column("id"),
        "id_after": pc.if_else(kept, rows.column("id"), pa.scalar(None, pa.string())),
        "source": rows.column("source"),
        "origin": rows.column("origin"),
        "fate": pa.DictionaryArray.from_arrays(
            pa.array((reasons > 0).astype(np.int8)), pa.array(["kept", "dropped"])
        ),
        "reason": pa.array([REASONS[reason] or None for reason in reasons.tolist()], pa.string()),
        "detail": pa.array(details, pa.string()),
        "size_bytes": pc.cast(pc.binary_length(rows.column("text")), pa.int64()),
    }
    return pa.table(columns, LEDGER)


def _detail(corpus: Corpus, fates: Fates, row: int) -> str:
    keeper, reason = int(fates.keepers[row]), REASONS[fates.reasons[row]]
    if reason == NEAR:
        return f"of {corpus.name(keeper)}, similarity {fates.similarities[row]:.2f}"
    place = corpus.place(keeper)
    if reason == SAME_URL:
        return f"of {corpus.name(keeper)}: {place.url}"
    return f"of {corpus.name(keeper)} from {place.source}:{place.origin}"


def summary(ledger: pa.Table) -> dict[str, dict[str, Any]]:
    """Counts per source of a ledger, as `fonderie.core.ledger.summarise` makes them of its rows."""
    counted = ledger.select(["source", "fate", "reason", "size_bytes"]).set_column(
        1, "fate", ledger.column("fate").cast(pa.string())
    )
    figures = [("size_bytes", "count"), ("size_bytes", "sum")]
    groups = counted.group_by(["source", "fate", "reason"]).aggregate(figures)
    sources: dict[str, dict[str, Any]] = {}
    for row in groups.sort_by([("source", "ascending"), ("reason", "ascending")]).to_pylist():
        counts = sources.setdefault(
            row["source"], {"read": 0, "read_bytes": 0, "kept": 0, "kept_bytes": 0, "dropped": {}, "edited": {}}
        )
        number, size = row["size_bytes_count"], row["size_bytes_sum"]
        counts["read"] += number
        counts["read_bytes"] += size
        if row["fate"] == "dropped":
            counts["dropped"][row["reason"]] = number
        else:
            counts["kept"] += number
            counts["kept_bytes"] += size
    return sources
