"""JSON Lines (plain, .gz, .zst) and Parquet: one row per document, fields named by the recipe."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fonderie.core.errors import InputError
from fonderie.corpus.readers.raw import Raw, decode, open_binary

OWN_FIELDS = ("licence", "language", "created", "author")
"""Columns that mean what the document schema means by them, if a row has them."""
_LICENCE_SPELLINGS = ("licence", "license")


def read_jsonl(path: Path, text_field: str) -> Iterator[Raw]:
    """One JSON object per line; InputError names file and line."""
    with open_binary(path) as binary:
        offset = 0
        for number, line in enumerate(binary, start=1):
            where = f"{path}, line {number}"
            text = decode(line, path, start=offset).strip()
            offset += len(line)
            if not text:
                continue
            try:
                row = json.loads(text)
            except ValueError as error:
                raise InputError(f"{where}: not JSON: {error}") from error
            if not isinstance(row, dict):
                raise InputError(f"{where}: not a JSON object")
            yield _raw(row, text_field, f"#L{number}", where)


def read_parquet(path: Path, text_field: str) -> Iterator[Raw]:
    """One row per document; InputError names file and row."""
    try:
        with pq.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=2_000):
                for row in batch.to_pylist(maps_as_pydicts="strict"):
                    number += 1
                    yield _raw(row, text_field, f"#row{number}", f"{path}, row {number}")
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path} is not a whole Parquet file: {error}") from error


def _raw(row: dict[str, Any], text_field: str, fragment: str, where: str) -> Raw:
    text = row.pop(text_field, None)
    if not isinstance(text, str):
        raise InputError(
            f"{where}: no text in '{text_field}'",
            hint=f"The row has: {', '.join(row)}. Name the right one with text_field.",
        )
    licence = next((row.pop(name) for name in _LICENCE_SPELLINGS if row.get(name) is not None), None)
    own = {name: row.pop(name) for name in OWN_FIELDS if isinstance(row.get(name), str)}
    metadata = row.pop("metadata", None)
    rest = {**(metadata if isinstance(metadata, dict) else {}), **row}
    return Raw(
        text=text,
        fragment=fragment,
        licence=None if licence is None else str(licence),
        language=own.get("language"),
        created=own.get("created"),
        author=own.get("author"),
        metadata={name: _plain(value) for name, value in rest.items() if value is not None},
    )


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
