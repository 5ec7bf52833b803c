"""Rules that drop lines, not documents, after C4 (arXiv 1910.10683, section 2.2), in the order of its code."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from fonderie.corpus.kernels.classes import DECIMAL, LINE_BREAK, SPACE
from fonderie.corpus.kernels.compiled import inner
from fonderie.corpus.kernels.lines import after_break, ends_with_ellipsis, sentences

_OPEN, _CLOSE = 0x5B, 0x5D
_NEWLINE = 0x0A
_KELVIN = 0x212A
_K = 0x6B
_ASCII = 0x80
_BY_FREQUENCY = " esaintrulodcmpvéqfbghjxyzwk"
"""Characters from the most to the least frequent in French prose; those that are not here are rarer still."""

KEPT, DROPPED_LINE = -1, -2


@inner
def _lower(point: int) -> int:
    """Lower case, as far as phrases of ASCII letters can tell: of others only the Kelvin sign becomes one."""
    if 0x41 <= point <= 0x5A:
        return point + 32
    return 0x6B if point == _KELVIN else point


@inner
def first_phrase(points: Any, first: int, last: int, phrases: Any) -> int:
    """The first of the phrases, in their order, that [first, last) holds without regard to case; -1 if none.

    Looks only where a character stands that is some phrase's anchor, and for those alone; see `phrase_arrays`.
    """
    text, places, anchors, by_anchor, order = phrases
    found = anchors.size
    for i in range(first, last):
        point = points[i] if points[i] != _KELVIN else _K
        if point + 1 >= by_anchor.size:
            continue
        for at in range(by_anchor[point], by_anchor[point + 1]):
            phrase = order[at]
            if phrase >= found:
                break
            begin = i - anchors[phrase]
            start, end = places[phrase], places[phrase + 1]
            if begin < first or begin + end - start > last:
                continue
            j = 0
            while j < end - start and _lower(points[begin + j]) == text[start + j]:
                j += 1
            if j == end - start:
                found = phrase
    return found if found < anchors.size else -1


Phrases = tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64], Any]


def phrase_arrays(phrases: Sequence[str]) -> Phrases:
    """Phrases as the kernel looks for them: their characters, where each begins, the place in it of its anchor; and
    of each ASCII character where those that have it as anchor begin in the last array.

    The anchor is the character that prose has least: few characters of a text are worth a look.
    """
    text, places = flat(phrases)
    anchors = [max(range(len(phrase)), key=lambda i: _rank(phrase[i])) for phrase in phrases]
    by_anchor: list[list[int]] = [[] for _ in range(_ASCII)]
    for number, (phrase, anchor) in enumerate(zip(phrases, anchors, strict=True)):
        for point in {ord(phrase[anchor].lower()), ord(phrase[anchor].upper())}:
            by_anchor[point].append(number)
    begins = np.cumsum([0, *map(len, by_anchor)])
    return text, places, np.array(anchors, np.int64), begins, np.array([*chain(*by_anchor)], np.int64)


def _rank(character: str) -> int:
    place = _BY_FREQUENCY.find(character)
    return place if place >= 0 else len(_BY_FREQUENCY)


def flat(texts: Iterable[str]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Texts as code points one after the other, and where each begins and the last ends."""
    points: list[int] = []
    places = [0]
    for text in texts:
        points.extend(map(ord, text))
        places.append(len(points))
    return np.array(points, np.int32), np.array(places, np.int64)


@inner
def _citation(points: Any, classes: Any, i: int, last: int, citations: Any, places: Any) -> int:
    """Where a citation that begins at `i` ends, or `i` if none does: "[12]", "[]", or one that is listed."""
    j = i + 1
    while j < last and classes[j] & DECIMAL:
        j += 1
    if j < last and points[j] == _CLOSE:
        return j + 1
    for k in range(places.size - 1):
        size = places[k + 1] - places[k]
        if i + size <= last:
            j = 0
            while j < size and points[i + j] == citations[places[k] + j]:
                j += 1
            if j == size:
                return i + int(size)
    return i


@inner
def _scan(points: Any, classes: Any, start: int, count: int) -> tuple[int, int, int, bool]:
    """A line: its end; where it begins and ends once stripped; whether it has a "["."""
    end = start
    bracket = False
    while end < count and not classes[end] & LINE_BREAK:
        bracket |= points[end] == _OPEN
        end += 1
    first, last = start, end
    while first < last and classes[first] & SPACE:
        first += 1
    while last > first and classes[last - 1] & SPACE:
        last -= 1
    return end, first, last, bracket


@inner
def _enough_words(classes: Any, first: int, last: int, fewest: int, longest: int) -> bool:
    """Whether a stripped line has so many words, between white space, and none that is longer than the longest."""
    words = length = 0
    # A line is most often too short for a word that long: then counting ends with the words that are needed.
    could_be = last - first > longest
    for i in range(first, last):
        if classes[i] & SPACE:
            length = 0
            continue
        words += length == 0
        length += 1
        if length > longest:
            return False
        if words >= fewest and not could_be:
            return True
    return words >= fewest


@inner
def _copy(
    points: Any, classes: Any, first: int, last: int, rules: Any, into: Any, into_classes: Any, at: int
) -> int:
    """Copy a line without its citations; returns where the copy ends."""
    _, _, _, _, citations, citation_places, _, _ = rules
    i = first
    while i < last:
        if points[i] == _OPEN and citation_places.size > 1:
            end = _citation(points, classes, i, last, citations, citation_places)
            if end > i:
                i = end
                continue
        into[at] = points[i]
        into_classes[at] = classes[i]
        at += 1
        i += 1
    return at


@inner
def _judge(points: Any, first: int, last: int, rules: Any) -> int:
    """KEPT, DROPPED_LINE, or the number of the phrase that drops the whole document."""
    _, _, ends, no_ellipsis, _, _, phrases, drops_document = rules
    if ends.size:
        finished = False
        for end in ends:
            finished = finished or (last > first and points[last - 1] == end)
        if not finished or (no_ellipsis and _three_dots(points, first, last)):
            return DROPPED_LINE
    phrase = first_phrase(points, first, last, phrases)
    if phrase < 0:
        return KEPT
    return phrase if drops_document[phrase] else DROPPED_LINE


@inner
def _three_dots(points: Any, first: int, last: int) -> bool:
    return ends_with_ellipsis(points, first, last) and points[last - 1] == 0x2E


@inner
def keep_lines(points: Any, classes: Any, count: int, rules: Any, into: Any, into_classes: Any, result: Any) -> int:
    """Write the lines that go on, stripped and joined by "\\n"; returns the length of that text, or -1 - phrase.

    `result` is int64[4]: lines, lines kept, sentences kept, where the text begins in `into` once it is stripped.
    """
    longest_word, fewest_words, _, _, _, _, _, _ = rules
    result[:] = 0
    at = start = 0
    while start < count:
        end, first, last, bracket = _scan(points, classes, start, count)
        start = after_break(points, end, count)
        result[0] += 1
        if not _enough_words(classes, first, last, fewest_words, longest_word):
            continue
        begin = at + (result[1] > 0)
        if bracket:
            stop = _copy(points, classes, first, last, rules, into, into_classes, begin)
            verdict = _judge(into, begin, stop, rules)
        else:
            stop = begin + last - first
            verdict = _judge(points, first, last, rules)
            if verdict == KEPT:
                for i in range(last - first):
                    into[begin + i] = points[first + i]
                for i in range(last - first):
                    into_classes[begin + i] = classes[first + i]
        if verdict >= 0:
            return -1 - verdict
        if verdict == KEPT:
            if result[1]:
                into[at] = _NEWLINE
                into_classes[at] = SPACE | LINE_BREAK
            result[1] += 1
            result[2] += sentences(into, into_classes, begin, stop)
            at = stop
    first = 0
    while first < at and into_classes[first] & SPACE:
        first += 1
    while at > first and into_classes[at - 1] & SPACE:
        at -= 1
    result[3] = first
    return at - first


@inner
def encode(points: Any, first: int, last: int, into: Any, at: int) -> int:
    """Write code points as UTF-8; returns where the bytes end."""
    for i in range(first, last):
        point = points[i]
        if point < 0x80:
            into[at] = np.uint8(point)
            at += 1
        elif point < 0x800:
            into[at] = np.uint8(0xC0 | point >> 6)
            into[at + 1] = np.uint8(0x80 | point & 0x3F)
            at += 2
        elif point < 0x10000:
            into[at] = np.uint8(0xE0 | point >> 12)
            into[at + 1] = np.uint8(0x80 | point >> 6 & 0x3F)
            into[at + 2] = np.uint8(0x80 | point & 0x3F)
            at += 3
        else:
            into[at] = np.uint8(0xF0 | point >> 18)
            into[at + 1] = np.uint8(0x80 | point >> 12 & 0x3F)
            into[at + 2] = np.uint8(0x80 | point >> 6 & 0x3F)
            into[at + 3] = np.uint8(0x80 | point & 0x3F)
            at += 4
    return at
