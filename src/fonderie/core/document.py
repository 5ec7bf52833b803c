"""The document: one row of a Parquet shard, named by the hash of its text.

A step that makes documents writes `documents/00000.parquet`, `00001.parquet`, … and beside them a ledger
(`fonderie.core.ledger`). Shards keep the order of what was read, so that the bytes never depend on how many
workers wrote them.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fonderie.core.digest import digest_bytes
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
    size_bytes: int = 0
    """UTF-8 bytes of the text; computed, never given, and in no shard."""

    def __post_init__(self) -> None:
        text = self.text.encode("utf-8")
        object.__setattr__(self, "id", digest_bytes(text))
        object.__setattr__(self, "size_bytes", len(text))

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
    """The documents of a shard, in order; InputError if it is damaged, or a text does not match its id."""
    for batch in read_record_batches(path):
        for row in batch.to_pylist(maps_as_pydicts="strict"):
            document = Document(**row)
            if document.id != row["id"]:
                raise InputError(f"{path}: the text of document {row['id']} was altered")
            yield document


def read_record_batches(
    path: Path, columns: Sequence[str] | None = None, *, batch_rows: int = ROWS_PER_GROUP
) -> Iterator[Any]:
    """A shard as record batches, a row group in memory at a time; InputError names the byte where it is damaged."""
    with open_shard(path) as file:
        for group in range(file.num_row_groups):
            rows = 0
            for batch in file.iter_batches(batch_rows, row_groups=[group], columns=columns and list(columns)):
                batch.validate(full=True)  # offsets and UTF-8, which kernels over raw bytes rely on
                rows += batch.num_rows
                yield batch
            expected = file.metadata.row_group(group).num_rows
            if rows != expected:
                raise pa.ArrowInvalid(f"{rows} documents where there were {expected}")


@contextmanager
def open_shard(path: Path) -> Iterator[Any]:
    """A shard as a pyarrow.parquet.ParquetFile; InputError names the byte if it is damaged where it is read."""
    try:
        file = pq.ParquetFile(path)
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        # Parquet is read from its end: a file that was cut has none.
        raise _damaged(path, path.stat().st_size, error) from error
    with file:
        try:
            yield file
        except (OSError, pa.ArrowException) as error:
            raise _damaged(path, _first_unreadable(file), error) from error


def count_documents(path: Path) -> int:
    """How many documents a shard holds, from its last bytes."""
    with open_shard(path) as file:
        return int(file.metadata.num_rows)


def _damaged(path: Path, offset: int, error: Exception) -> InputError:
    reason = str(error).strip().partition("\n")[0]
    return InputError(
        f"{path} is truncated or damaged at byte {offset:,}: {reason}",
        hint="Delete the artifact it belongs to and run again: it is made anew from what it was made of.",
    )


def _first_unreadable(file: Any) -> int:
    """The byte where the first column chunk that cannot be read begins."""
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group)
        for index in range(rows.num_columns):
            column = rows.column(index)
            try:
                table = file.read_row_group(group, columns=[column.path_in_schema])
                table.validate(full=True)
                whole = len(table) == rows.num_rows
            except (OSError, pa.ArrowException):
                whole = False
            if not whole:
                return int(column.dictionary_page_offset or column.data_page_offset)
    return 0


def write_documents(path: Path, documents: Iterable[Document]) -> int:
    """Write a shard; returns how many documents it holds."""
    group: list[Document] = []
    count = characters = 0
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for document in documents:
            group.append(document)
            count += 1
            characters += len(document.text)
            if len(group) == ROWS_PER_GROUP or characters >= GROUP_CHARACTERS:
                writer.write_table(_table(group))
                group.clear()
                characters = 0
        if group:
            writer.write_table(_table(group))
    return count


def _table(documents: Sequence[Document]) -> Any:
    # A column at a time: `from_pylist` looks every field of every row up by its name.
    columns = []
    for field_ in SCHEMA:
        values: list[Any] = list(map(attrgetter(field_.name), documents))
        if field_.name == "metadata":
            values = [list(value.items()) for value in values]
        columns.append(pa.array(values, field_.type))
    return pa.Table.from_arrays(columns, schema=SCHEMA)
