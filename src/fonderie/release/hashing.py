"""Hashing a whole folder at the speed of its cores: every byte is read once, whatever is asked of it."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from fonderie.core.digest import digest_file
from fonderie.core.machine import Machine, available_cores
from fonderie.core.merkle import hash_chunks
from fonderie.release.folder import Folder
from fonderie.release.layout import TOKENS

WAITING = 64
"""Files handed out ahead of the one whose result is awaited."""


@dataclass(frozen=True)
class Hashed:
    """What one file's bytes come to."""

    digest: str
    size_bytes: int
    root: str | None
    """Over its chunks; for token shards only, which a commitment names by it."""


def hash_files(folder: Folder, machine: Machine) -> Iterator[tuple[str, Hashed | OSError]]:
    """Every file of a folder in the order of names, with its hashes or why it cannot be read."""
    files = sorted(folder.files.items())
    # Threads are enough: hashing and reading both run outside the interpreter's lock.
    with machine.bar("hashing", len(files), "files") as bar, ThreadPoolExecutor(available_cores()) as pool:
        work = iter(files)
        pending: deque[tuple[str, Future[Hashed | OSError]]] = deque()
        while True:
            for name, path in islice(work, WAITING - len(pending)):
                pending.append((name, pool.submit(_hash, name, path)))
            if not pending:
                return
            name, future = pending.popleft()
            yield name, future.result()
            bar.advance()


def _hash(name: str, path: Path) -> Hashed | OSError:
    try:
        size = path.stat().st_size
        if name.startswith(f"{TOKENS}/"):
            found = hash_chunks(path)
            return Hashed(found.digest, size, found.root)
        return Hashed(digest_file(path), size, None)
    except OSError as error:
        return error
