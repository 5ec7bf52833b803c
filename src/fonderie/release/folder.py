"""A folder from anyone, read with care: regular files inside it only, no links followed, sizes bounded."""

import os
import stat
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from fonderie.core.errors import ReleaseError

# A manifest names every source file, some 150 bytes each: enough for 400,000 of them. Ours are below 1 MB.
JSON_LIMIT_BYTES = 64 << 20
# A release has one file per making, three per shard of its corpus, five per checkpoint, and some thirty more.
FILES_LIMIT = 100_000


@dataclass(frozen=True)
class Folder:
    """What lies in a folder, by name with forward slashes."""

    root: Path
    files: dict[str, Path]
    """Regular files."""
    refused: tuple[tuple[str, str], ...]
    """Names of what is no regular file, with what it is."""

    @classmethod
    def open(cls, path: Path) -> "Folder":
        """List a folder; ReleaseError if there is none, or far too much in it."""
        root = path.resolve()
        if not root.is_dir():
            raise ReleaseError(f"{path} is no release: {'it is a file' if root.exists() else 'nothing is there'}")
        files: dict[str, Path] = {}
        refused: list[tuple[str, str]] = []
        waiting, left = [root], FILES_LIMIT
        while waiting:
            try:
                # Folders count too: a million empty ones are as long to walk as a million files.
                with os.scandir(waiting.pop()) as listing:
                    entries = sorted(islice(listing, left + 1), key=lambda entry: entry.name)
            except OSError as error:
                raise ReleaseError(f"{error.filename} cannot be listed: {error.strerror}") from error
            for entry in entries:
                name = Path(entry.path).relative_to(root).as_posix()
                problem = _problem(entry, name)
                if problem:
                    refused.append((name, problem))
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                else:
                    files[name] = Path(entry.path)
            left -= len(entries)
            if left < 0:
                raise ReleaseError(f"{root} holds more than {FILES_LIMIT:,} files: no release does")
        return cls(root, files, tuple(refused))

    def read(self, name: str, limit_bytes: int | None = None) -> bytes:
        """The bytes of a small file; ReleaseError if it is too large to be what it says."""
        limit = JSON_LIMIT_BYTES if limit_bytes is None else limit_bytes
        with self.files[name].open("rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise ReleaseError(f"{self.root / name} is larger than {limit:,} bytes")
        return data


def _problem(entry: os.DirEntry[str], name: str) -> str:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    mode = entry.stat(follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        return "a link; a release holds none"
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return "not a regular file"
    return ""


def is_safe_name(name: str) -> bool:
    """Whether a listed name stays inside the folder, in its one spelling."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and path.as_posix() == name


def plain(text: str) -> str:
    """Text from a stranger, safe to print: control characters and broken ones are spelt out."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode("ascii")
        for char in text
    )
