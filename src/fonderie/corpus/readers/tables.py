"""JSON Lines (plain, .gz, .zst) and Parquet: one row per document, fields named by the recipe."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fonderie.core.errors import InputError
from fonderie.corpus.readers.raw import DOCUMENT_BYTES, Raw, decode, language_code, open_binary

OWN_FIELDS = ("language", "created", "author")
"""Columns that mean what the document schema means by them, if a row has them; and "licence", or "license"."""
_PARSER = json.JSONDecoder()


def read_jsonl(path: Path, text_field: str) -> Iterator[Raw]:
    """One JSON object per line; InputError names file and line."""
    for number, row in jsonl_rows(path):
        yield _raw(row, text_field, f"#L{number}", path, "line", number)


def jsonl_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each JSON object with the number of its line; InputError names file and line."""
    with open_binary(path) as binary:
        offset = 0
        for number, line in enumerate(iter(lambda: binary.readline(DOCUMENT_BYTES), b""), start=1):
            if len(line) == DOCUMENT_BYTES:
                raise InputError(
                    f"{path}, line {number}: longer than {DOCUMENT_BYTES >> 20} MiB, at offset {offset:,}"
                )
            text = decode(line, path, start=offset).lstrip()
            offset += len(line)
            if not text:
                continue
            try:
                row, end = _PARSER.raw_decode(text)  # `loads` looks for white space at both ends with expressions
                if text[end:].strip():
                    raise json.JSONDecodeError("Extra data", text, end)
            except (ValueError, RecursionError) as error:
                begins = f"the line begins at offset {offset - len(line):,}"
                raise InputError(f"{path}, line {number}: not JSON ({begins}): {error}") from error
            if not isinstance(row, dict):
                raise InputError(f"{path}, line {number}: not a JSON object")
            yield number, row


def read_parquet(path: Path, text_field: str) -> Iterator[Raw]:
    """One row per document; InputError names file and row."""
    for number, row in parquet_rows(path):
        yield _raw(row, text_field, f"#row{number}", path, "row", number)


def parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row with its number, from 1; InputError names a file that is damaged."""
    number = 0
    try:
        # Without these two, Arrow holds the column chunks of a whole row group, which may be all of the file.
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
            for batch in file.iter_batches(batch_size=_batch_rows(file)):
                for row in _told(batch).to_pylist(maps_as_pydicts="strict"):
                    number += 1
                    yield number, row
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path} is not a whole Parquet file (it ends at offset {path.stat().st_size:,}): {error}"
        ) from error
    # Bytes that are no text, a date beyond Python's calendar, a map that has a key twice.
    except (ValueError, OverflowError, KeyError) as error:
        raise InputError(
            f"{path}, after row {number}: what it holds cannot be read: {type(error).__name__}: {error}",
            hint='Correct the file, or give damaged = "quarantine" to go on without it.',
        ) from error


def _told(batch: Any) -> Any:
    """A batch whose nanoseconds are words: Python's own times have none, and pandas may not be there."""
    columns = [
        column.cast(pa.string()) if getattr(column.type, "unit", None) == "ns" else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _batch_rows(file: pq.ParquetFile) -> int:
    """So many rows as have about 32 MiB: two thousand pages of web, or a few novels."""
    groups = [file.metadata.row_group(index) for index in range(file.num_row_groups)]
    row_bytes = max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)
    return max(1, min(2_000, (32 << 20) // max(row_bytes, 1)))


def _raw(row: dict[str, Any], text_field: str, fragment: str, path: Path, unit: str, number: int) -> Raw:
    text = row.get(text_field)
    if text is None and text_field in row:
        return Raw("", fragment, left_out="text is null")
    if not isinstance(text, str):
        held = f"holds {type(text).__name__}, not text" if text_field in row else "is not there"
        raise InputError(
            f"{path}, {unit} {number}: the field '{text_field}' {held}",
            hint=f"The row has: {', '.join(row) or 'no field'}. Name the right one with text_field.",
        )
    del row[text_field]
    raw = raw_of(text, row, fragment)
    return replace(raw, language=language_code(raw.language))


def raw_of(text: str, row: dict[str, Any], fragment: str) -> Raw:
    """A row's text with what its other fields say: licence, language, date and author; all else is metadata."""
    licence = row.pop("licence", None)
    if licence is None:
        licence = row.pop("license", None)
    language, created, author = (_own(row, name) for name in OWN_FIELDS)
    metadata = row.pop("metadata", None)
    rest = {**metadata, **row} if isinstance(metadata, dict) else row
    return Raw(
        text=text,
        fragment=fragment,
        licence=None if licence is None else str(licence),
        language=language,
        created=created,
        author=author,
        metadata={name: _plain(value) for name, value in rest.items() if value is not None} if rest else {},
    )


def _own(row: dict[str, Any], name: str) -> str | None:
    """A column of the document schema, out of the row if it is text; anything else stays, as metadata."""
    value = row.get(name)
    if not isinstance(value, str):
        return None
    del row[name]
    return value


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
