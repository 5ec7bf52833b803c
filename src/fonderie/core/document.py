"""The document: one row of a Parquet shard, named by the hash of its text.

A step that makes documents writes `documents/00000.parquet`, `00001.parquet`, … and beside them a ledger
(`fonderie.core.ledger`). Shards keep the order of what was read, so that the bytes never depend on how many
workers wrote them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fonderie.core.digest import digest_text
from fonderie.core.errors import InputError

ROWS_PER_GROUP = 2_000
GROUP_CHARACTERS = 1 << 25
"""A row group ends at this many characters of text even if it has few rows: a shard of novels fits in memory."""
FOLDER = "documents"

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("licence", pa.string(), nullable=False),
        pa.field("collection_licence", pa.string()),
        pa.field("language", pa.string()),
        pa.field("created", pa.string()),
        pa.field("author", pa.string()),
        pa.field("metadata", pa.map_(pa.string(), pa.string()), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class Document:
    """One text with all that is known of its rights and origin."""

    text: str
    source: str
    """The call that read it."""
    origin: str
    """File name or URL, with a fragment where one file holds several documents."""
    licence: str
    """SPDX identifier of the content's licence, or "unknown"."""
    collection_licence: str | None = None
    """Licence of the collection it came in, which does not license the content."""
    language: str | None = None
    """ISO 639-1, as declared by the source; filters measure it anew."""
    created: str | None = None
    """Date of the work, ISO 8601, to the precision known."""
    author: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    """Anything else; `form` = "conversation" says that the text is turns (see fonderie.core.conversation)."""
    id: str = ""
    """Digest of the text; computed, never given."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", digest_text(self.text))

    def with_text(self, text: str) -> "Document":
        """The same document with another text, hence another id."""
        return replace(self, text=text)


def shard_paths(folder: Path) -> list[Path]:
    """The document shards of an artifact, in order."""
    # By length first, so that shard 100000 follows 99999.
    return sorted((folder / FOLDER).glob("*.parquet"), key=lambda path: (len(path.name), path.name))


def shard_path(folder: Path, index: int) -> Path:
    """Where shard `index` of an artifact lies; its folder is made."""
    path = folder / FOLDER / f"{index:05d}.parquet"
    path.parent.mkdir(exist_ok=True)
    return path


def read_documents(path: Path) -> Iterator[Document]:
    """The documents of a shard, in order, a row group at a time; InputError if a text does not match its id."""
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(batch_size=ROWS_PER_GROUP, row_groups=[group]):
                for row in batch.to_pylist(maps_as_pydicts="strict"):
                    document = Document(**row)
                    if document.id != row["id"]:
                        raise InputError(f"{path}: the text of document {row['id']} was altered")
                    yield document


def write_documents(path: Path, documents: Iterable[Document]) -> int:
    """Write a shard; returns how many documents it holds."""
    rows: list[dict[str, Any]] = []
    count = characters = 0
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for document in documents:
            rows.append({name: getattr(document, name) for name in SCHEMA.names})
            count += 1
            characters += len(document.text)
            if len(rows) == ROWS_PER_GROUP or characters >= GROUP_CHARACTERS:
                writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
                rows.clear()
                characters = 0
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
    return count
