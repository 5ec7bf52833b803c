"""The ledger: one row per document per step, with its fate and the reason.

Every drop and every edit is there, so that `fonderie why` can follow a document, and a release can say what became
of each source. A row is named by the document's id before the step; `id_after` differs if the step edited it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fonderie.core.document import open_shard

FOLDER = "ledger"
NO_REASON = "no reason given"

Fate = Literal["kept", "dropped", "edited"]

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("id_after", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("fate", pa.dictionary(pa.int8(), pa.string()), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("size_bytes", pa.int64(), nullable=False),
    ]
)


class Entry(NamedTuple):
    """One document's fate in one step."""

    id: str
    id_after: str | None
    """None if it was dropped."""
    source: str
    origin: str
    fate: Fate
    reason: str | None
    """The rule that decided, in the recipe's own words, so that rows can be counted by it."""
    detail: str | None
    """What decided in this case: the measured value, or the document it repeats."""
    size_bytes: int
    """UTF-8 bytes of the text before the step."""


def ledger_path(folder: Path, index: int) -> Path:
    """Where the ledger of shard `index` lies; its folder is made."""
    path = folder / FOLDER / f"{index:05d}.parquet"
    path.parent.mkdir(exist_ok=True)
    return path


def write_ledger(path: Path, entries: Iterable[Entry]) -> None:
    """Write the ledger of one shard."""
    columns = list(zip(*entries, strict=True)) or [()] * len(SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    pq.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA), path, compression="zstd")


def read_ledger(folder: Path) -> Iterator[Entry]:
    """Every row of an artifact's ledger, in order; nothing if it has none."""
    paths = (folder / FOLDER).glob("*.parquet")
    for path in sorted(paths, key=lambda path: (len(path.name), path.name)):
        with open_shard(path) as file:
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    yield Entry(**row)


def summarise(entries: Iterable[Entry]) -> dict[str, dict[str, Any]]:
    """Counts per source: documents and bytes read, kept, dropped and edited, with the reasons."""
    sources: dict[str, dict[str, Any]] = {}
    for entry in entries:
        counts = sources.get(entry.source)
        if counts is None:
            counts = sources[entry.source] = {
                **{"read": 0, "read_bytes": 0, "kept": 0, "kept_bytes": 0},
                **{"dropped": Counter(), "edited": Counter()},
            }
        counts["read"] += 1
        counts["read_bytes"] += entry.size_bytes
        if entry.fate == "dropped":
            counts["dropped"][entry.reason or NO_REASON] += 1
        else:
            counts["kept"] += 1
            counts["kept_bytes"] += entry.size_bytes
            if entry.fate == "edited":
                counts["edited"][entry.reason or NO_REASON] += 1
    return {source: _plain(counts) for source, counts in sorted(sources.items())}


def merge(summaries: Iterable[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Add the summaries of several shards."""
    total: dict[str, dict[str, Any]] = {}
    for summary in summaries:
        for source, counts in summary.items():
            into = total.setdefault(source, {name: _zero(value) for name, value in counts.items()})
            for name, value in counts.items():
                into[name] += Counter(value) if isinstance(value, dict) else value
    return {source: _plain(counts) for source, counts in sorted(total.items())}


def _zero(value: Any) -> Any:
    return Counter() if isinstance(value, dict) else 0


def _plain(counts: dict[str, Any]) -> dict[str, Any]:
    return {
        name: dict(sorted(value.items())) if isinstance(value, dict) else value for name, value in counts.items()
    }
