"""Rules that drop lines, not documents, after C4 (arXiv 1910.10683, section 2.2), in the order of its code."""

from typing import Any

import numpy as np

from fonderie.corpus.kernels.classes import DECIMAL, LINE_BREAK, SPACE
from fonderie.corpus.kernels.compiled import inner
from fonderie.corpus.kernels.lines import after_break, ends_with_ellipsis, sentences

_OPEN, _CLOSE = 0x5B, 0x5D
_NEWLINE = 0x0A
_KELVIN = 0x212A
_BRACKET = np.uint64(1 << (_OPEN & 63))
_BY_FREQUENCY = np.array([ord(letter) for letter in " esaintrulodcmpvéqfbghjxyzwk"], np.int32)
"""Characters from the most to the least frequent in French prose; those that are not here are rarer still."""

KEPT, DROPPED_LINE = -1, -2


@inner
def _lower(point: int) -> int:
    """Lower case, as far as phrases of ASCII letters can tell: of others only the Kelvin sign becomes one."""
    if 0x41 <= point <= 0x5A:
        return point + 32
    return 0x6B if point == _KELVIN else point


@inner
def contains(points: Any, first: int, last: int, phrases: Any, start: int, end: int) -> bool:
    """Whether [first, last) holds the phrase phrases[start:end], which is in lower case, without regard to case."""
    size = end - start
    anchor = _rarest(phrases, start, end)
    wanted = np.int64(phrases[start + anchor])
    upper = wanted - 32 if 0x61 <= wanted <= 0x7A else wanted
    stranger = _KELVIN if wanted == 0x6B else wanted
    for i in range(first + anchor, last - size + anchor + 1):
        point = np.int64(points[i])
        if point not in (wanted, upper, stranger):
            continue
        begin = i - anchor
        j = 0
        while j < size and _lower(points[begin + j]) == phrases[start + j]:
            j += 1
        if j == size:
            return True
    return False


@inner
def _rarest(phrases: Any, start: int, end: int) -> int:
    """Which of a phrase's characters is best to look for: the one that prose has least."""
    best, place = -1, 0
    for i in range(start, end):
        rank = 0
        while rank < _BY_FREQUENCY.size and _BY_FREQUENCY[rank] != phrases[i]:
            rank += 1
        if rank > best:
            best, place = rank, i - start
    return place


def letters_of(phrase: str) -> int:
    """The bits that a line must have to hold a phrase: cheaper to compare than to look for it."""
    mask = 0
    for character in phrase:
        mask |= 1 << (ord(character) & 63)
    return mask


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
def _scan(points: Any, classes: Any, start: int, count: int) -> tuple[int, int, int, int, int, Any]:
    """A line in one pass: its end; where it begins and ends once stripped; words, the longest, and its letters.

    Letters are one bit for each character below 64 and each letter; see `letters_of`.
    """
    words = longest = length = 0
    first = last = -1
    letters = np.uint64(0)
    i = start
    while i < count and not classes[i] & LINE_BREAK:
        letters |= np.uint64(1) << np.uint64(_lower(points[i]) & 63)
        if classes[i] & SPACE:
            longest = max(longest, length)
            length = 0
        else:
            words += length == 0
            length += 1
            last = i + 1
            if first < 0:
                first = i
        i += 1
    if first < 0:
        first = last = i
    return i, first, last, words, max(longest, length), letters


@inner
def _copy(
    points: Any, classes: Any, first: int, last: int, rules: Any, into: Any, into_classes: Any, at: int
) -> int:
    """Copy a line without its citations; returns where the copy ends."""
    _, _, _, _, citations, citation_places, _, _, _, _ = rules
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
def _judge(points: Any, first: int, last: int, letters: Any, rules: Any) -> int:
    """KEPT, DROPPED_LINE, or the number of the phrase that drops the whole document."""
    _, _, ends, no_ellipsis, _, _, phrases, places, masks, drops_document = rules
    if ends.size:
        finished = False
        for end in ends:
            finished = finished or (last > first and points[last - 1] == end)
        if not finished or (no_ellipsis and _three_dots(points, first, last)):
            return DROPPED_LINE
    for phrase in range(places.size - 1):
        if masks[phrase] & ~letters:
            continue
        if contains(points, first, last, phrases, places[phrase], places[phrase + 1]):
            return phrase if drops_document[phrase] else DROPPED_LINE
    return KEPT


@inner
def _three_dots(points: Any, first: int, last: int) -> bool:
    return ends_with_ellipsis(points, first, last) and points[last - 1] == 0x2E


@inner
def keep_lines(points: Any, classes: Any, count: int, rules: Any, into: Any, into_classes: Any, result: Any) -> int:
    """Write the lines that go on, stripped and joined by "\\n"; returns the length of that text, or -1 - phrase.

    `result` is int64[4]: lines, lines kept, sentences kept, where the text begins in `into` once it is stripped.
    """
    longest_word, fewest_words, _, _, _, _, _, _, _, _ = rules
    result[:] = 0
    at = start = 0
    while start < count:
        end, first, last, words, longest, letters = _scan(points, classes, start, count)
        start = after_break(points, end, count)
        result[0] += 1
        if longest > longest_word or words < fewest_words:
            continue
        begin = at + (result[1] > 0)
        if letters & _BRACKET:
            stop = _copy(points, classes, first, last, rules, into, into_classes, begin)
            verdict = _judge(into, begin, stop, letters, rules)
        else:
            stop = begin + last - first
            verdict = _judge(points, first, last, letters, rules)
            if verdict == KEPT:
                into[begin:stop] = points[first:last]
                into_classes[begin:stop] = classes[first:last]
        if verdict >= 0:
            return -1 - verdict
        if verdict == KEPT:
            if result[1]:
                into[at] = _NEWLINE
                into_classes[at] = SPACE
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
