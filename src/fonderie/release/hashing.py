"""Hashing a whole folder at the speed of its cores, in the background: every byte is read once."""

import re
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from fonderie.core.digest import digest_file
from fonderie.core.machine import Machine, available_cores
from fonderie.core.merkle import hash_chunks
from fonderie.release.folder import Folder
from fonderie.release.layout import TOKENS

_OF_TOKENS = re.compile(rf"(?:^|/){TOKENS}(?:-\d+)?/")


@dataclass(frozen=True)
class Hashed:
    """What one file's bytes come to."""

    digest: str
    size_bytes: int
    root: str | None
    """Over its chunks; for token shards only, which a commitment names by it."""


class Hashing:
    """Every file of a folder being hashed, from the moment this is made.

    Threads are enough: hashing and reading both run outside the interpreter's lock. They die with the process, so
    that an interrupted audit of a large release ends at once.
    """

    def __init__(self, folder: Folder) -> None:
        # The largest first: with a few large files, as checkpoints are, the cores end together.
        self._waiting = deque(sorted(folder.files.items(), key=lambda item: _size(item[1]), reverse=True))
        self._count = len(self._waiting)
        self._done: SimpleQueue[tuple[str, Hashed | Exception]] = SimpleQueue()
        for _ in range(min(available_cores(), self._count)):
            Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                name, path = self._waiting.popleft()
            except IndexError:
                return
            try:
                self._done.put((name, _hash(name, path)))
            except Exception as error:
                self._done.put((name, error))

    def result(self, machine: Machine) -> dict[str, Hashed | OSError]:
        """Every file in the order of names, with its hashes or why it cannot be read; waits for the last one."""
        found: dict[str, Hashed | OSError] = {}
        with machine.bar("hashing", self._count, "files") as bar:
            while len(found) < self._count:
                name, hashed = self._done.get()
                if isinstance(hashed, Exception) and not isinstance(hashed, OSError):
                    raise hashed
                found[name] = hashed
                bar.advance()
        return dict(sorted(found.items()))


def _hash(name: str, path: Path) -> Hashed:
    size = path.stat().st_size
    if _OF_TOKENS.search(name):
        found = hash_chunks(path)
        return Hashed(found.digest, size, found.root)
    return Hashed(digest_file(path), size, None)


def _size(path: Path) -> int:
    """For the order alone: what cannot be read is said where it is read."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
