"""The evidence store: what servers answered when they were asked for their reservations, byte by byte, with dates.

    index.jsonl       one record a line, appended: address, kind, date, status, hash; nothing is ever taken out
    raw/<sha256>      the bytes themselves, named by their hash; the same file of a thousand sites is there once

Three answers are kept apart. `found`: here are the bytes. `absent`: the server says that there is no such file (404
or 410), so that nothing is reserved there. `unreachable`: anything else; nobody knows.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from fonderie.core.errors import InputError
from fonderie.core.step import Source

Kind = Literal["robots.txt", "tdmrep.json", "ai.txt", "page"]
Answer = Literal["found", "absent", "unreachable"]

SITE_FILES: Mapping[Kind, str] = {
    "robots.txt": "/robots.txt",
    "tdmrep.json": "/.well-known/tdmrep.json",
    "ai.txt": "/ai.txt",
}
"""Where a site keeps them."""
INDEX = "index.jsonl"
RAW = "raw"
HEADERS = ("content-type", "content-usage", "tdm-policy", "tdm-reservation", "x-robots-tag")
"""Of an answer's headers, those that are kept."""
_HINT = 'Ask again: fonderie evidence fetch …; and name all files of the folder: evidence = "FOLDER/**/*"'


class Record(BaseModel):
    """One answer of one server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    url: str
    """What was asked for: a site's file, or a page."""
    fetched: str
    """When, in UTC, as 2026-11-26T10:30:00Z."""
    answer: Answer
    status: int | None = None
    """HTTP status of the last answer; None if there was none."""
    sha256: str | None = None
    """Digest of the bytes, if they were found."""
    size_bytes: int = 0
    truncated: bool = False
    """There was more than is read of such a file."""
    headers: dict[str, str] = {}
    """Of a page: headers that speak of reservations."""
    final_url: str | None = None
    """Where redirects led, if they did."""
    problem: str = ""
    """Why nobody knows."""

    @property
    def day(self) -> str:
        """The date alone."""
        return self.fetched[:10]


class Evidence:
    """The answers in one or several folders; a folder that is not there yet holds none."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._places: dict[str, Path] = {}
        self._records: dict[tuple[Kind, str], list[Record]] = {}
        for folder in folders:
            for record in read_index(folder / INDEX) if (folder / INDEX).exists() else ():
                self._records.setdefault((record.kind, record.url), []).append(record)
                if record.sha256 is not None:
                    self._places[record.sha256] = folder
        for found in self._records.values():
            # Stable, so that of two answers of one second the one written last comes first.
            found.reverse()
            found.sort(key=lambda record: record.fetched, reverse=True)

    def __len__(self) -> int:
        return sum(map(len, self._records.values()))

    def about(self, kind: Kind, url: str, since: str = "") -> list[Record]:
        """What is known of an address, the newest first; nothing from before the day `since`."""
        return [record for record in self._records.get((kind, url), ()) if record.fetched >= since]

    def data(self, sha256: str) -> bytes:
        """The bytes of that digest, which a record speaks of."""
        return raw_path(self._places[sha256], sha256).read_bytes()


def checked_folders(sources: Iterable[Source]) -> tuple[Path, ...]:
    """The folders that a step's sources are the files of; InputError if a record's bytes are not among them."""
    sources = tuple(sources)
    raw = {source.path: source.entry.sha256 for source in sources}
    folders = tuple(source.path.parent for source in sources if source.path.name == INDEX)
    for folder in folders:
        for record in read_index(folder / INDEX):
            if record.sha256 is not None and raw.get(raw_path(folder, record.sha256)) != record.sha256:
                raise InputError(
                    f"{folder}: the evidence of {record.url}, {record.sha256}, is missing or altered", hint=_HINT
                )
    return folders


def raw_path(folder: Path, sha256: str) -> Path:
    """Where a store keeps bytes."""
    return folder / RAW / sha256.removeprefix("sha256:")


def read_index(path: Path) -> Iterator[Record]:
    """The records of an index, in order; InputError names the line that is none."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                yield Record.model_validate_json(line)
            except (ValidationError, UnicodeDecodeError) as error:
                raise InputError(f"{path}, line {number}: no record of evidence", hint=_HINT) from error


def as_line(record: Record) -> bytes:
    """A record as it stands in an index."""
    return json.dumps(record.model_dump(mode="json"), ensure_ascii=False).encode() + b"\n"
