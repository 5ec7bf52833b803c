"""Rows of conversations, wherever they stand: JSON Lines, one JSON array, Parquet; each with its place."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fonderie.core.errors import InputError
from fonderie.corpus.readers.raw import decode, open_binary
from fonderie.corpus.readers.tables import jsonl_rows, parquet_rows

ARRAY_BYTES = 1 << 30
"""The largest JSON array: it must be held whole. The largest in common use, ShareGPT's, has 0.7 GB."""
_COMPRESSED = (".gz", ".bz2", ".zst")


class Row(NamedTuple):
    """One row, and where it stands."""

    values: dict[str, Any]
    fragment: str
    """ "#L12": the line, in a JSON array that on which the object begins; "#row12" in Parquet."""
    place: str
    """The same in words, with the file."""


def read_rows(path: Path) -> Iterator[Row]:
    """Every row of a file, by its ending; InputError names file and line where it breaks."""
    ending = path.with_suffix("").suffix if path.suffix in _COMPRESSED else path.suffix
    if ending == ".parquet":
        for number, values in parquet_rows(path):
            yield Row(values, f"#row{number}", f"{path}, row {number}")
    elif ending == ".jsonl":
        for number, values in jsonl_rows(path):
            yield _at_line(path, number, values)
    elif ending == ".json":
        for number, values in _array_rows(path):
            yield _at_line(path, number, values)
    else:
        raise InputError(
            f"{path} is neither .jsonl, .json nor .parquet by its ending", hint="Rename it, or leave it out."
        )


def _at_line(path: Path, number: int, values: dict[str, Any]) -> Row:
    return Row(values, f"#L{number}", f"{path}, line {number}")


def _array_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of one JSON array, each with the line on which it begins."""
    with open_binary(path) as file:
        data = file.read(ARRAY_BYTES + 1)
    if len(data) > ARRAY_BYTES:
        raise InputError(
            f"{path} goes on past {ARRAY_BYTES >> 20} MiB: too much for one JSON array",
            hint="Make it JSON Lines, which are read a line at a time: jq -c '.[]' FILE.json > FILE.jsonl",
        )
    text = decode(data, path)
    del data
    decoder, line, counted = json.JSONDecoder(), 1, 0
    at = _opened(text, path)
    while True:
        at = _skip_spaces(text, at)
        if text[at : at + 1] == "]":
            break
        line, counted = line + text.count("\n", counted, at), at
        where = f"{path}, line {line}"
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}: not JSON: {error}") from error
        if not isinstance(value, dict):
            raise InputError(f"{where}: not a JSON object")
        yield line, value
        at = _skip_spaces(text, at)
        if text[at : at + 1] not in (",", "]"):
            raise InputError(f"{where}: the array does not go on after the object that begins here")
        at += text[at] == ","
    if text[at + 1 :].strip():
        raise InputError(f"{path}: something follows the end of the JSON array")


def _opened(text: str, path: Path) -> int:
    """Where the elements of the array begin."""
    at = _skip_spaces(text, 0)
    if text[at : at + 1] != "[":
        raise InputError(
            f"{path}, line 1: not a JSON array", hint="A file of one JSON object a line is named .jsonl."
        )
    return at + 1


def _skip_spaces(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\n", "\r", "\t"):
        at += 1
    return at
