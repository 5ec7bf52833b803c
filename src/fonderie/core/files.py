"""Writing files so that a crash leaves the old one or the new one, never half of one."""

import errno
import os
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_TEXTS = tuple(os.strerror(number) for number in _FULL)


def disk_full(error: BaseException) -> bool:
    """Whether an error comes of a full disk, quota or file-size limit; libraries often keep only its text."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return True
        if any(text in str(cause) for text in _FULL_TEXTS):
            return True
        seen.append(cause)
        cause = cause.__cause__ or cause.__context__
    return False


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable (fsync of the folder itself)."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Make a file's bytes durable."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_tree(folder: Path) -> None:
    """Make every file and folder below a folder durable."""
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_folder(path)
        else:
            sync_file(path)
    sync_folder(folder)


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file: write beside it, sync, rename."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
