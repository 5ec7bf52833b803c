"""What is audited, opened with care: a folder or a hub's repository, as names, sizes and a few small texts.

Nothing is executed, imported, unpacked or written. Names that leave the folder, links, pipes and devices are
refused and said; texts are read up to a limit, and no more than so many of them.
"""

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fonderie.core.digest import digest_bytes
from fonderie.core.errors import ReleaseError, UsageError
from fonderie.release.findings.openness import Evidence
from fonderie.release.folder import Folder, plain

Kind = Literal["folder", "hub"]

# The longest licence of the SPDX list has 100 kB; the longest card of the hub that we know of, 300 kB.
TEXT_LIMIT_BYTES = 2 << 20
TEXTS_LIMIT = 120
ALL_TEXTS_LIMIT_BYTES = 48 << 20
EVIDENCE_HASH_LIMIT_BYTES = 64 << 20
"""A larger file is evidence by name and size; its hash is taken where a manifest lists one."""
EXCERPT_CHARS = 320

_NOT_PUBLISHED = (".git/", ".cache/", ".huggingface/")
"""What git and the hub's client keep for themselves in a copy: not part of what was published."""


class UnreadableError(Exception):
    """A file of the target cannot be read as text; says why."""


@dataclass(frozen=True)
class Entry:
    """One file, as the folder or the hub states it."""

    size_bytes: int | None
    sha256: str = ""
    """As the hub states it for large files; empty where nothing does."""


@dataclass(frozen=True)
class Text:
    """A small file that was read."""

    path: str
    sha256: str
    text: str


@dataclass
class Target:
    """Names, sizes, and texts on demand."""

    kind: Kind
    name: str
    entries: dict[str, Entry]
    fetch: Callable[[str, int], bytes]
    """(name, limit) -> at most limit + 1 bytes; UnreadableError."""
    revision: str = ""
    """The commit that was looked at; empty for a folder."""
    root: Path | None = None
    refused: tuple[tuple[str, str], ...] = ()
    unread: dict[str, str] = field(default_factory=dict)
    """Files that should have been read and were not, with the reason."""
    _texts: dict[str, Text] = field(default_factory=dict)
    _bytes_read: int = 0

    def text(self, name: str) -> Text | None:
        """A file as text; None, and an entry in `unread`, if it is too large, or no text."""
        if name in self._texts:
            return self._texts[name]
        if name in self.unread or name not in self.entries:
            return None
        try:
            data = self._read(name)
        except UnreadableError as error:
            self.unread[name] = str(error)
            return None
        self._bytes_read += len(data)
        found = Text(name, digest_bytes(data), data.decode("utf-8", errors="replace"))
        self._texts[name] = found
        return found

    def _read(self, name: str) -> bytes:
        size = self.entries[name].size_bytes
        if size is not None and size > TEXT_LIMIT_BYTES:
            raise UnreadableError(f"{size:,} bytes, and no more than {TEXT_LIMIT_BYTES:,} are read of a text")
        if len(self._texts) >= TEXTS_LIMIT or self._bytes_read >= ALL_TEXTS_LIMIT_BYTES:
            raise UnreadableError(f"one text too many: {TEXTS_LIMIT} are read")
        data = self.fetch(name, TEXT_LIMIT_BYTES)
        if len(data) > TEXT_LIMIT_BYTES:
            raise UnreadableError(f"more than {TEXT_LIMIT_BYTES:,} bytes")
        if b"\0" in data:
            raise UnreadableError("not text: it holds zero bytes")
        return data

    def sha256(self, name: str) -> str:
        """The hash of a file, where it is known or cheap to have; else empty."""
        if name in self._texts:
            return self._texts[name].sha256
        entry = self.entries.get(name)
        if entry is None:
            return ""
        if not entry.sha256 and self.root is not None and (entry.size_bytes or 0) <= EVIDENCE_HASH_LIMIT_BYTES:
            found = Entry(entry.size_bytes, hash_regular(self.root / name, EVIDENCE_HASH_LIMIT_BYTES))
            self.entries[name] = found
            return found.sha256
        return entry.sha256

    def evidence(self, path: str, rule: str, excerpt: str) -> Evidence:
        """A file of this target as evidence; the excerpt is made safe to print and short."""
        return Evidence(path=plain(path), sha256=self.sha256(path), rule=rule, excerpt=shorten(excerpt))


def shorten(text: str, limit: int = EXCERPT_CHARS) -> str:
    """One line of a stranger's text, safe to print."""
    line = plain(" ".join(text[: 4 * limit].split()))
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def open_folder(path: Path) -> Target:
    """A folder as a target; UsageError if there is none."""
    try:
        folder = Folder.open(path)
    except ReleaseError as error:
        if path.is_dir():
            raise
        raise UsageError(f"{path} cannot be audited: nothing is there") from error
    entries = {}
    refused = [item for item in folder.refused if not item[0].startswith(_NOT_PUBLISHED)]
    for name, place in sorted(folder.files.items()):
        if name.startswith(_NOT_PUBLISHED):
            continue
        try:
            entries[name] = Entry(place.lstat().st_size)
        except OSError as error:
            refused.append((name, error.strerror or "cannot be read"))
    return Target(
        kind="folder",
        name=path.resolve().name,
        entries=entries,
        fetch=lambda name, limit: read_regular(folder.root / name, limit),
        root=folder.root,
        refused=tuple(refused),
    )


def read_regular(path: Path, limit: int) -> bytes:
    """At most limit + 1 bytes of a regular file, no link followed, no pipe waited for; UnreadableError."""
    try:
        # Between the listing and now somebody may have put a pipe or a link there.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnreadableError("not a regular file")
            return file.read(limit + 1)
    except OSError as error:
        raise UnreadableError(error.strerror or "cannot be read") from error


def hash_regular(path: Path, limit: int) -> str:
    """The digest of a regular file of at most `limit` bytes; empty if it cannot be had."""
    state, left = hashlib.sha256(), limit
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return ""
            while chunk := file.read(1 << 20):
                left -= len(chunk)
                if left < 0:
                    return ""
                state.update(chunk)
    except OSError:
        return ""
    return "sha256:" + state.hexdigest()
