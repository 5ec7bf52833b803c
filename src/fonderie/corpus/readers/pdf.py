"""PDF files: the text that is in them (ISO 32000-2, section 9.10), page by page. No image is read.

A page without text is most often a scan: it is counted, and a file of such pages alone is left out and says so.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fonderie.core.errors import InputError
from fonderie.corpus.readers.raw import DOCUMENT_BYTES, Raw

_TAIL_BYTES = 1024
"""Within so many bytes of its end a file must have its end mark, as the common readers ask."""
FILE_BYTES = 4 * DOCUMENT_BYTES
"""The largest file: most of a large one is images, which are not read."""


def read_pdf(path: Path, *, parts: bool) -> Iterator[Raw]:
    """The file is one document, or each page with text is one.

    An encrypted file is opened with the empty password, which is how files that only forbid printing are made; any
    other is left out, and so is one encrypted in a way that is not known. InputError names the file and its end, or
    the page that cannot be read.
    """
    from pypdf import PdfReader

    # It logs every oddity that it copes with, of some a page long; what it does not cope with it raises.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    _check_whole(path)
    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            yield Raw("", left_out="PDF is encrypted", counted={"PDF files encrypted": 1})
            return
        metadata, count = _metadata(reader), len(reader.pages)
    except NotImplementedError as error:  # of an encryption alone: the page's own are met below
        yield Raw("", left_out="PDF is encrypted", detail=str(error), counted={"PDF files encrypted": 1})
        return
    except Exception as error:  # a corrupt file can make pypdf fail in any way
        raise InputError(f"{path} is truncated or corrupt: {type(error).__name__}: {error}") from error
    author = metadata.pop("author", None)
    pages = _pages(path, reader, count)
    if parts:
        for number, text in pages:
            counted = {"PDF pages": 1, "PDF pages without text": int(not text)}
            left_out = None if text else "PDF page has no text (scanned?)"
            yield Raw(text, f"#page-{number}", author=author, metadata=metadata, left_out=left_out, counted=counted)
        return
    texts = [text for _, text in pages]
    empty = sum(not text for text in texts)
    yield Raw(
        "\n\n".join(text for text in texts if text),
        author=author,
        metadata={**metadata, "pages": str(count), "pages_without_text": str(empty)},
        left_out=None if empty < count else "PDF has no text (scanned?)",
        detail=f"{count} pages",
        counted={"PDF pages": count, "PDF pages without text": empty},
    )


def _check_whole(path: Path) -> None:
    # pypdf rebuilds the index of a file that is cut, and gives what pages it finds as if they were all.
    size = path.stat().st_size
    if size > FILE_BYTES:
        raise InputError(f"{path} has {size:,} bytes: PDF files are read up to {FILE_BYTES >> 20} MiB")
    with path.open("rb") as file:
        head = file.read(_TAIL_BYTES)
        file.seek(max(size - _TAIL_BYTES, 0))
        tail = file.read()
    if b"%PDF-" not in head:
        raise InputError(f"{path} is not a PDF file: no %PDF- in its first {_TAIL_BYTES:,} bytes")
    if b"%%EOF" not in tail:
        raise InputError(
            f"{path} is truncated: no end mark before offset {size:,}",
            hint="Fetch the file again, or take it out of the recipe's path.",
        )


def _pages(path: Path, reader: Any, count: int) -> Iterator[tuple[int, str]]:
    characters = 0
    for number in range(1, count + 1):
        try:
            text = reader.pages[number - 1].extract_text()
        except Exception as error:  # a corrupt page can make pypdf fail in any way; whichever, it is this page
            raise InputError(f"{path}, page {number}: cannot be read: {type(error).__name__}: {error}") from error
        # A font without a table of characters gives half surrogate pairs, which are no text.
        text = text.encode("utf-8", errors="ignore").decode("utf-8").replace("\x00", "")
        lines = [line.strip() for line in text.splitlines()]
        text = "\n".join(line for line in lines if line)
        characters += len(text)
        if characters > DOCUMENT_BYTES:
            raise InputError(f"{path}, page {number}: more than {DOCUMENT_BYTES:,} characters so far")
        yield number, text


def _metadata(reader: Any) -> dict[str, str]:
    """Title and author as the file states them; nothing where it states them in a form that is no text."""
    found = {}
    for name in ("title", "author"):
        value = getattr(reader.metadata, name, None)
        if isinstance(value, str) and value.strip():
            found[name] = value.strip().encode("utf-8", errors="ignore").decode("utf-8")
    return found
