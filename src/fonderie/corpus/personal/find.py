"""Personal data found in a text, and replaced."""

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np

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


def find(text: bytes, kinds: Iterable[Kind]) -> list[Span]:
    """What a UTF-8 text holds of these kinds, in order, without overlaps."""
    return [Span(KINDS[kind], start, stop) for kind, start, stop in _spans(text, kinds).tolist()]


def _spans(text: bytes, kinds: Iterable[Kind]) -> "np.ndarray[tuple[int, int], np.dtype[np.int64]]":
    wanted = sum(1 << KINDS.index(kind) for kind in set(kinds))
    spans = np.empty((len(text) // SMALLEST_SPAN + 1, 3), np.int64)
    count = _scan()(np.frombuffer(text, np.uint8), wanted, spans)
    return spans[:count]


def replace(text: str, kinds: Iterable[Kind], marks: dict[Kind, str]) -> tuple[str, dict[Kind, int]]:
    """A text with marks in place of what was found, and how many of each kind, in the order of KINDS."""
    data = text.encode()
    spans = find(data, kinds)
    if not spans:
        return text, {}
    counts = dict.fromkeys(KINDS, 0)
    encoded = {kind: mark.encode() for kind, mark in marks.items()}
    pieces: list[bytes] = []
    position = 0
    for kind, start, stop in spans:
        pieces += data[position:start], encoded[kind]
        counts[kind] += 1
        position = stop
    pieces.append(data[position:])
    return b"".join(pieces).decode(), {kind: count for kind, count in counts.items() if count}
