"""Licences that the rows of data files state, each for itself: plain JSON Lines only.

Compressed and columnar files are not opened: of a stranger's, a page of a few bytes may unfold to gigabytes.
"""

import os
import stat
from collections import Counter
from pathlib import Path

from fonderie.audit.parse import ParseError, read_json

ROWS_LIMIT = 200_000
LINE_LIMIT_BYTES = 1 << 20
FILE_LIMIT_BYTES = 256 << 20
FIELDS = ("licence", "license", "content_licence", "content_license")
UNSAID = "no licence"
ENDINGS = (".jsonl", ".ndjson")


def row_licences(path: Path) -> Counter[str] | None:
    """How many rows are under which licence; None if the file is too large to say, or no JSON Lines."""
    counts: Counter[str] = Counter()
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode) or state.st_size > FILE_LIMIT_BYTES:
                return None
            while line := file.readline(LINE_LIMIT_BYTES + 1):
                if len(line) > LINE_LIMIT_BYTES or counts.total() >= ROWS_LIMIT:
                    return None
                if line.strip():
                    counts[_licence(line)] += 1
    except (OSError, ParseError, UnicodeDecodeError):
        return None
    return counts


def _licence(line: bytes) -> str:
    value = read_json(line.decode("utf-8"))
    if not isinstance(value, dict):
        raise ParseError("a row that is no object")
    found = next((value[name] for name in FIELDS if isinstance(value.get(name), str)), "")
    return found.strip()[:200] or UNSAID
