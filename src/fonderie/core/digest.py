"""Names by content: canonical JSON and tagged SHA-256 digests.

A digest is the text "sha256:" followed by 64 lower-case hexadecimal digits; the tag leaves room for another
algorithm without guessing from the length.
"""

import hashlib
import json
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> bytes:
    """One byte string per JSON value: sorted keys, no spaces, UTF-8; NaN and infinity raise ValueError.

    Numbers are written in Python's shortest round-trip form, so that 1 and 1.0 differ; RFC 8785 (JSON
    Canonicalization Scheme) writes them alike, and orders keys beyond U+FFFF otherwise. Text that is not Unicode
    (a lone surrogate) raises UnicodeEncodeError.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def digest_bytes(data: bytes) -> str:
    """The digest of a byte string."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_text(text: str) -> str:
    """The digest of a text's UTF-8 bytes; a document's content id."""
    return digest_bytes(text.encode("utf-8"))


def digest_json(value: Any) -> str:
    """The digest of a value's canonical JSON."""
    return digest_bytes(canonical_json(value))


def digest_file(path: Path) -> str:
    """The digest of a file's bytes, read in chunks."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def short(digest: str) -> str:
    """The first twelve hexadecimal digits, for people; never used to identify."""
    return digest.removeprefix("sha256:")[:12]
