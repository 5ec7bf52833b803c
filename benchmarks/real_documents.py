"""Documents of a page or so, cut from the real corpora: novels, laws, plays and foreign novels, as they are read.

Lengths are drawn, the same every time, from a few lines to several pages: every rule has something to judge.
"""

import random
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from fonderie.corpus.readers.prose import split_front_matter
from fonderie.corpus.readers.tei import read_tei

SHORTEST, LONGEST = 200, 5_000
_BREAK = re.compile(r"(?<=\n)")


def real_texts(corpora: Path, limit: int | None = None, longest: int = LONGEST) -> Iterator[str]:
    """Texts from every corpus in turn, so that any number of them is a mixture."""
    sources = [_laws(corpora), *(_tei(corpora / name) for name in ("romans", "theatre-nc", "langues"))]
    cuts = [_cut(source, longest) for source in sources]
    given = 0
    while cuts:
        for texts in list(cuts):
            text = next(texts, None)
            if text is None:
                cuts.remove(texts)
                continue
            yield text
            given += 1
            if given == limit:
                return


def _tei(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*.xml")):
        for raw in read_tei(path, parts=False):
            yield raw.text


def _laws(corpora: Path) -> Iterator[str]:
    for path in sorted((corpora / "lois").glob("*.md")):
        # As they stand: headings, lists and tables are what the rules on lines and repetitions judge.
        yield split_front_matter(path.read_text(encoding="utf-8"), path)[1]


def _cut(texts: Iterable[str], longest: int) -> Iterator[str]:
    lengths = random.Random(0)
    for text in texts:
        piece = ""
        wanted = lengths.randint(SHORTEST, longest)
        for line in _BREAK.split(text):
            piece += line
            if len(piece) >= wanted:
                yield piece
                piece = ""
                wanted = lengths.randint(SHORTEST, longest)
        if piece:
            yield piece
