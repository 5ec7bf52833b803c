"""What a reader yields, and how it opens files."""

import bz2
import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from fonderie.core.errors import InputError, UsageError

CHUNK_BYTES = 1 << 20
PIECE_BYTES = 1 << 13
"""Given to a decompressor at once, for what comes of it is held: of the most hostile Zstandard, 256 MiB."""
DOCUMENT_BYTES = 64 << 20
"""The largest single document, page of markup or line: the bound on what a reader holds at once. The longest novel
of Project Gutenberg has 6 MB, Common Crawl cuts pages at 5; what is larger is several documents in one."""

ISO_639_1 = {
    **{"fra": "fr", "fre": "fr", "deu": "de", "ger": "de", "eng": "en", "ita": "it", "spa": "es", "por": "pt"},
    **{"nld": "nl", "dut": "nl", "cat": "ca", "eus": "eu", "baq": "eu", "bre": "br", "oci": "oc", "cos": "co"},
}
"""Two letters for the three-letter codes (ISO 639-2, both kinds) that archives and headers use; others stay."""


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
    left_out: str | None = None
    """Why the reader itself leaves it out (a redirect, an encrypted file): it goes to the ledger and no further."""
    detail: str | None = None
    """What of it made the reader leave it out."""
    counted: Mapping[str, int] = field(default_factory=dict)
    """What a person should know of how it was read, to be added up: pages without text, words unsure."""


def language_code(declared: str | None) -> str | None:
    """The language of "fr-FR", "fra" or "FR" in two letters where there are two, else as it is."""
    if not declared or not declared.strip():
        return None
    code = declared.strip().casefold().replace("_", "-").partition("-")[0]
    return ISO_639_1.get(code, code)


def need(library: str, reads: str) -> None:
    """UsageError with the way out if a reader's library is not installed; nothing is imported."""
    if find_spec(library) is None:
        raise UsageError(
            f"reading {reads} needs {library}, which is not installed",
            hint="Install it: pip install 'fonderie[corpus]'",
        )


def read_whole(path: Path) -> bytes:
    """All of a file that is one document, decompressed; InputError if it is more than one document can be."""
    with open_binary(path) as file:
        data = file.read(DOCUMENT_BYTES + 1)
    if len(data) > DOCUMENT_BYTES:
        raise InputError(
            f"{path} goes on past {DOCUMENT_BYTES >> 20} MiB: too much for one document",
            hint="Cut it into files, or into the lines of a JSON Lines file, one document each.",
        )
    return data


_CODECS: dict[str, tuple[Callable[[], Any], bytes]] = {
    # 31: a gzip header and trailer around deflate. Tapes and tar fill a file's last block with zeros.
    ".gz": (lambda: zlib.decompressobj(31), b"\0"),
    ".bz2": (bz2.BZ2Decompressor, b""),
    ".zst": (lambda: zstandard.ZstdDecompressor().decompressobj(), b""),
}
"""By a file's ending: what makes a decompressor of one member, and what may stand between members."""


@contextmanager
def open_binary(path: Path) -> Iterator[io.BufferedIOBase]:
    """Open a file for reading, through gzip, bzip2 or zstandard if its name ends so.

    InputError names the file, and the offset in the decompressed stream where it is truncated or corrupt.
    """
    with path.open("rb") as file:
        if path.suffix in _CODECS:
            yield io.BufferedReader(_Chunks(_decompressed(file, *_CODECS[path.suffix]), path), CHUNK_BYTES)
        else:
            yield file  # a BufferedReader already


def _decompressed(file: BinaryIO, codec: Callable[[], Any], padding: bytes = b"") -> Iterator[bytes]:
    """What the members of a file hold, one after the other; EOFError if the last has no end, or there is none.

    The libraries' own files are more forgiving: bz2 takes what follows a first stream for rubbish if it is damaged,
    zstandard ends a cut frame as if it were whole, and gzip and zstandard take an empty file for an empty text.
    """
    member, members, begun = codec(), 0, False
    while data := file.read(PIECE_BYTES):
        while data := data if begun else data.lstrip(padding):
            yield member.decompress(data)
            begun, data = not member.eof, member.unused_data
            if member.eof:
                member, members = codec(), members + 1
    if begun or not members:
        raise EOFError("it ends within a compressed stream" if begun else "it holds nothing")


class _Chunks(io.RawIOBase):
    """Chunks as a file, with the codec's errors turned into ours."""

    def __init__(self, chunks: Iterator[bytes], path: Path) -> None:
        self._chunks = chunks
        self._path = path
        self._offset = 0
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Forward only, by reading: all that the reader of archives asks for, where it skips a record."""
        target = offset if whence == io.SEEK_SET else self._offset + offset
        if whence == io.SEEK_END or target < self._offset:
            raise io.UnsupportedOperation(f"{self._path} is compressed: it is read from its start to its end")
        while self._offset < target and self.readinto(bytearray(min(CHUNK_BYTES, target - self._offset))):
            pass
        return self._offset

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            try:
                self._rest = memoryview(next(self._chunks))
            except StopIteration:
                return 0
            except (EOFError, OSError, zlib.error, zstandard.ZstdError) as error:
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
