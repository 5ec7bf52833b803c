"""Documents of a page or so, cut from the real corpora: novels, laws, plays and foreign novels, as they are read.

Lengths vary with the document, from a few lines to several pages, so that every rule has something to judge.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from fonderie.corpus.readers.prose import split_front_matter
from fonderie.corpus.readers.tei import read_tei

SHORTEST, LONGEST = 200, 5_000
_BREAK = re.compile(r"(?<=\n)")


def real_texts(corpora: Path, limit: int | None = None) -> Iterator[str]:
    """Texts from every corpus in turn, so that any number of them is a mixture."""
    sources = [_laws(corpora), *(_tei(corpora / name) for name in ("romans", "theatre-nc", "langues"))]
    given = 0
    while sources:
        for source in list(sources):
            text = next(source, None)
            if text is None:
                sources.remove(source)
                continue
            yield text
            given += 1
            if given == limit:
                return


def _tei(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*.xml")):
        for raw in read_tei(path, parts=False):
            yield from _cut(raw.text)


def _laws(corpora: Path) -> Iterator[str]:
    for path in sorted((corpora / "lois").glob("*.md")):
        _, body = split_front_matter(path.read_text(encoding="utf-8"), path)
        # As it stands: headings, lists and tables are what the rules on lines and repetitions judge.
        yield from _cut(body)


def _cut(text: str) -> Iterator[str]:
    piece = ""
    for line in _BREAK.split(text):
        piece += line
        if len(piece) >= _length(piece):
            yield piece
            piece = ""
    if piece:
        yield piece


def _length(piece: str) -> int:
    """How long the piece that begins so is to be: the same for the same text, always."""
    drawn = int.from_bytes(hashlib.sha256(piece[:SHORTEST].encode()).digest()[:4], "big") / (1 << 32)
    return int(SHORTEST + (LONGEST - SHORTEST) * drawn)
