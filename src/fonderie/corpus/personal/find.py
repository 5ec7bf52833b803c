"""Personal data found in a text, and replaced."""

from functools import cache
from typing import NamedTuple

import numpy as np

from fonderie.corpus.personal.compiled import Numbers
from fonderie.corpus.personal.kinds import KINDS, Kind
from fonderie.corpus.personal.scan import SMALLEST_SPAN, Scan, build


class Span(NamedTuple):
    """One thing found."""

    kind: Kind
    start: int
    """Byte offset in the text's UTF-8, as is `stop`."""
    stop: int


@cache
def _scan() -> Scan:
    return build()


def find(text: bytes, kinds: tuple[Kind, ...]) -> list[Span]:
    """What a UTF-8 text holds of these kinds, in order, without overlaps."""
    return [Span(KINDS[kind], start, stop) for kind, start, stop in _spans(text, kinds).tolist()]


@cache
def _wanted(kinds: tuple[Kind, ...]) -> int:
    """Kinds as bits."""
    return sum(1 << KINDS.index(kind) for kind in set(kinds))


def _spans(text: bytes, kinds: tuple[Kind, ...]) -> Numbers:
    spans = np.empty((len(text) // SMALLEST_SPAN + 1, 3), np.int64)
    count = _scan()(np.frombuffer(text, np.uint8), _wanted(kinds), spans)
    return spans[:count]


def replace(text: str, kinds: tuple[Kind, ...], marks: dict[Kind, str]) -> tuple[str, dict[Kind, int]]:
    """A text with marks in place of what was found, and how many of each kind, in the order of KINDS."""
    data = text.encode()
    spans = _spans(data, kinds)
    if not len(spans):
        return text, {}
    encoded = [marks[kind].encode() for kind in KINDS]
    pieces: list[bytes] = []
    position = 0
    for kind, start, stop in zip(*spans.T.tolist(), strict=True):
        pieces += data[position:start], encoded[kind]
        position = stop
    pieces.append(data[position:])
    counts = np.bincount(spans[:, 0], minlength=len(KINDS)).tolist()
    found: dict[Kind, int] = {kind: count for kind, count in zip(KINDS, counts, strict=True) if count}
    return b"".join(pieces).decode(), found
