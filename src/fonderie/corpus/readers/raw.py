"""What a reader yields, and how it opens files."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from fonderie.core.errors import InputError

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Raw:
    """One document as its file has it, before the recipe's say."""

    text: str
    fragment: str = ""
    """Where in the file: "#L12", "#chapter-3"; empty if the file is the document."""
    licence: str | None = None
    """What the file itself states, as written there."""
    language: str | None = None
    created: str | None = None
    author: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


@contextmanager
def open_binary(path: Path) -> Iterator[io.BufferedIOBase]:
    """Open a file for reading, through gzip or zstandard if its name ends so.

    InputError names the file, and the offset in the decompressed stream where it is truncated or corrupt.
    """
    with path.open("rb") as file:
        if path.suffix == ".gz":
            yield io.BufferedReader(_Chunks(_gunzip(file), path), CHUNK_BYTES)
        elif path.suffix == ".zst":
            yield io.BufferedReader(_Chunks(_unzstd(file), path), CHUNK_BYTES)
        else:
            yield file  # a BufferedReader already


def _gunzip(file: BinaryIO) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file) as stream:
        while data := stream.read(CHUNK_BYTES):
            yield data


def _unzstd(file: BinaryIO) -> Iterator[bytes]:
    # The library's own stream reader ends a truncated file as if it were whole; an object knows its frame's end.
    frame = zstandard.ZstdDecompressor().decompressobj()
    pending = False
    while data := file.read(CHUNK_BYTES):
        while data:
            yield frame.decompress(data)
            pending = not frame.eof
            data = frame.unused_data if frame.eof else b""
            if frame.eof:
                frame = zstandard.ZstdDecompressor().decompressobj()
    if pending:
        raise EOFError("the last frame has no end")


class _Chunks(io.RawIOBase):
    """Chunks as a file, with the codec's errors turned into ours."""

    def __init__(self, chunks: Iterator[bytes], path: Path) -> None:
        self._chunks = chunks
        self._path = path
        self._offset = 0
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            try:
                self._rest = memoryview(next(self._chunks))
            except StopIteration:
                return 0
            except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError) as error:
                raise InputError(
                    f"{self._path} is truncated or corrupt after {self._offset:,} decompressed bytes: {error}",
                    hint="Fetch the file again, or take it out of the recipe's path.",
                ) from error
        count = min(len(self._rest), len(buffer))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        self._offset += count
        return count


def decode(data: bytes, path: Path, *, start: int = 0) -> str:
    """UTF-8 text; InputError names the file and the first offset that is not. A byte-order mark is dropped."""
    try:
        return data.decode("utf-8-sig" if start == 0 else "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8: byte 0x{data[error.start]:02x} at offset {start + error.start:,}",
            hint="Convert it first, for instance: iconv -f WINDOWS-1252 -t UTF-8",
        ) from error
