"""Names by content: canonical JSON and tagged SHA-256 digests.

A digest is the text "sha256:" followed by 64 lower-case hexadecimal digits; the tag leaves room for another
algorithm without guessing from the length.
"""

import hashlib
import json
import os
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


READ_BYTES = 8 << 20
"""Some 6 ms of hashing: longer than the 5 ms that a thread waits for the interpreter's lock while another computes.
hashlib.file_digest reads 256 KiB at a time, and beside a busy thread it mostly waits."""


def digest_file(path: Path) -> str:
    """The digest of a file's bytes, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        buffer = memoryview(bytearray(min(READ_BYTES, os.fstat(file.fileno()).st_size + 1)))
        while size := file.readinto(buffer):
            digest.update(buffer[:size])
    return "sha256:" + digest.hexdigest()


def short(digest: str) -> str:
    """The first twelve hexadecimal digits, for people; never used to identify."""
    return digest.removeprefix("sha256:")[:12]
