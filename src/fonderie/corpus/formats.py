"""From a format to its reader: the one place that knows them all."""

from collections.abc import Callable, Iterator
from pathlib import Path

from fonderie.core.errors import InputError
from fonderie.corpus.read_parameters import ReadParameters
from fonderie.corpus.readers.dialogue import read_claire, read_drama
from fonderie.corpus.readers.mediawiki import read_mediawiki
from fonderie.corpus.readers.ocr import read_alto, read_ocr_text, read_tesseract
from fonderie.corpus.readers.pages import read_html
from fonderie.corpus.readers.pdf import read_pdf
from fonderie.corpus.readers.prose import read_markdown, read_text, split_front_matter
from fonderie.corpus.readers.raw import Raw, decode, need, read_whole
from fonderie.corpus.readers.tables import read_jsonl, read_parquet
from fonderie.corpus.readers.tei import read_tei, stated_licence
from fonderie.corpus.readers.warc import read_warc, read_wet

_LIBRARIES = {
    "html": ("resiliparse",),
    "warc": ("fastwarc", "resiliparse"),
    "wet": ("fastwarc",),
    "pdf": ("pypdf",),
}


def _by_ending(path: Path, text_field: str) -> Iterator[Raw]:
    if path.suffix == ".parquet":
        return read_parquet(path, text_field)
    if ".jsonl" in path.suffixes[-2:]:
        return read_jsonl(path, text_field)
    raise InputError(
        f"{path} is neither Parquet nor JSON Lines by its ending",
        hint='Leave it out of the path, or give its own format instead of "hub".',
    )


_READERS: dict[str, Callable[[Path, ReadParameters], Iterator[Raw]]] = {
    "jsonl": lambda path, params: read_jsonl(path, params.text_field),
    "parquet": lambda path, params: read_parquet(path, params.text_field),
    "hub": lambda path, params: _by_ending(path, params.text_field),
    "text": lambda path, _: read_text(path),
    "markdown": lambda path, params: read_markdown(path, parts=params.in_parts),
    "tei": lambda path, params: read_tei(path, parts=params.in_parts),
    "html": lambda path, params: read_html(path, text=params.page_text),
    "warc": lambda path, params: read_warc(path, text=params.page_text),
    "wet": lambda path, _: read_wet(path),
    "mediawiki": lambda path, params: read_mediawiki(path, namespaces=params.namespaces),
    "pdf": lambda path, params: read_pdf(path, parts=params.in_parts),
    "alto": lambda path, params: read_alto(path, parts=params.in_parts),
    "tesseract": lambda path, params: read_tesseract(path, parts=params.in_parts),
    "ocr": lambda path, params: read_ocr_text(path, parts=params.in_parts),
    "claire": lambda path, params: read_claire(path, params.dialogues),
    "drama": lambda path, params: read_drama(path, params.dialogues),
}


def check_libraries(params: ReadParameters) -> None:
    """UsageError if a library that the format needs is not installed."""
    for library in _LIBRARIES.get(params.format, ()):
        need(library, f'format = "{params.format}"')


def raws(path: Path, params: ReadParameters) -> Iterator[Raw]:
    """The documents in a file, as they are read; InputError names the file and the place where it breaks."""
    return _READERS[params.format](path, params)


def stated_by(path: Path, params: ReadParameters) -> str | None:
    """The licence that a file states in its header, reading little more; None for formats that state none there."""
    if params.format in ("tei", "drama"):
        return stated_licence(path)
    if params.format == "markdown":
        front, _ = split_front_matter(decode(read_whole(path), path).replace("\r\n", "\n"), path)
        stated = front.get("licence", front.get("license"))
        return None if stated is None else str(stated)
    return None
