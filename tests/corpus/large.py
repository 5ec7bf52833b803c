"""Files as large as one wants, written a piece at a time: `factor` times eight megabytes of text, 4 kB a document."""

import bz2
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tests.corpus.crawls import page, record, response
from tests.corpus.test_readers_mediawiki import HEAD, wiki_page

DOCUMENTS = 2_000
"""For each unit of the factor."""


def sentences(number: int) -> str:
    """Four kilobytes of text, no two alike."""
    return " ".join(f"La phrase {number * 80 + i} du texte dit ce qu'elle a à dire." for i in range(80))


def write(name: str, folder: Path, factor: int) -> Path:
    """A file of that format; returns its path."""
    count = DOCUMENTS * factor
    match name:
        case "jsonl":
            return _gzipped(
                folder / "a.jsonl.gz", (json.dumps({"text": sentences(i)}).encode() + b"\n" for i in range(count))
            )
        case "parquet":
            # One row group, as some writers leave it: the hard case.
            pq.write_table(
                pa.table({"text": [sentences(i) for i in range(count)]}), folder / "a.parquet", row_group_size=count
            )
            return folder / "a.parquet"
        case "warc":
            pages = (
                page(foot=f"<p>{sentences(i)}</p>", head=f"<title>{i}</title>").replace("footer", "p")
                for i in range(count)
            )
            return _members(folder / "a.warc.gz", (response(text.encode()) for text in pages))
        case "wet":
            return _members(
                folder / "a.wet.gz", (record("conversion", sentences(i).encode()) for i in range(count))
            )
        case "mediawiki":
            pieces = (
                wiki_page(i, f"Page {i}", f"{{{{Infobox|a={i}}}}} '''{sentences(i)}'''") for i in range(count)
            )
            path = folder / "a.xml.bz2"
            with bz2.open(path, "wt", compresslevel=1, encoding="utf-8") as file:
                file.write(HEAD)
                file.writelines(pieces)
                file.write("</mediawiki>")
            return path
        case "alto":
            return _alto(folder / "a.xml", count)
        case "claire":
            lines = (f"[speaker00{i % 3}:] {sentences(i)}\n{'' if i % 2 else chr(10)}" for i in range(count))
            path = folder / "a.txt"
            with path.open("w", encoding="utf-8") as file:
                file.writelines(lines)
            return path
    raise ValueError(name)


def _gzipped(path: Path, pieces: Iterator[bytes]) -> Path:
    with gzip.open(path, "wb", compresslevel=1) as file:
        for piece in pieces:
            file.write(piece)
    return path


def _members(path: Path, records: Iterator[bytes]) -> Path:
    with path.open("wb") as file:
        for item in records:
            file.write(gzip.compress(item, compresslevel=1))
    return path


def _alto(path: Path, count: int) -> Path:
    # An eighth of the others' text: a word is an element of eighty bytes.
    with path.open("w", encoding="utf-8") as file:
        file.write('<alto xmlns="http://www.loc.gov/standards/alto/ns-v3#"><Layout>')
        for number in range(count):
            words = "".join(f'<String CONTENT="{word}" WC="0.9"/>' for word in sentences(number)[:500].split())
            file.write(f"<Page><PrintSpace><TextBlock><TextLine>{words}</TextLine></TextBlock></PrintSpace></Page>")
        file.write("</Layout></alto>")
    return path
