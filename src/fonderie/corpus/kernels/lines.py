"""What the rules measure on lines: each kind of rule has its own idea of what a line is, and keeps it here.

- split at "\\n", blank ones left out: FineWeb (arXiv 2406.17557) and this project's own rules, which strip them;
- split at runs of "\\n", empty first and last ones included: Gopher's duplicate lines as datatrove counts them;
- split as `str.splitlines` does: Gopher's bullets and ellipses, sentences, C4.
"""

from typing import Any, Final

from fonderie.corpus.kernels.classes import FINISHED, LINE_BREAK, SPACE, TERMINAL
from fonderie.corpus.kernels.compiled import inner
from fonderie.corpus.kernels.tables import hash_range, insert, mask_for

_NEWLINE, _RETURN = 0x0A, 0x0D
_BULLET, _HYPHEN, _DOT, _ELLIPSIS, _GUILLEMET = 0x2022, 0x2D, 0x2E, 0x2026, 0xBB

# Places in what `newline_lines` counts.
NEWLINES, FILLED, FINISHED_LINES, TERMINAL_LINES, SHORT, REPEATED, REPEATED_CHARACTERS = range(7)
PIECES, PIECES_REPEATED, PIECES_CHARACTERS = range(7, 10)
LINE_COUNTS = 10
SHORT_LINE: Final = 30
"""Characters of a line that FineWeb calls short (arXiv 2406.17557, section 3.5)."""


@inner
def newline_places(points: Any, count: int, places: Any) -> int:
    """Fill in where each "\\n" is, and then -1; returns how many there are."""
    found = 0
    for i in range(count):
        places[found] = i
        found += points[i] == _NEWLINE
    places[found] = -1
    return found


@inner
def newline_lines(
    points: Any, classes: Any, count: int, places: Any, newlines: int, raw: Any, stripped: Any, counts: Any
) -> None:
    """Count lines between "\\n" into `counts`; the tables are for lines as they are, and stripped."""
    keys, stamps, _, state = raw
    own_keys, own_stamps, _, own_state = stripped
    counts[:] = 0
    counts[NEWLINES] = newlines
    mask = mask_for(newlines + 1)
    state[0] += 1
    stamp = state[0]
    own_state[0] += 1
    own_stamp = own_state[0]
    start = 0
    for line in range(newlines + 1):
        end = places[line] if line < newlines else count
        first, last = start, end
        while first < last and classes[first] & SPACE:
            first += 1
        while last > first and classes[last - 1] & SPACE:
            last -= 1
        # Runs of "\n" are one separator: an empty piece stands only at the beginning and at the end.
        if end > start or start == 0 or end == count:
            counts[PIECES] += 1
            key = hash_range(points, start, end)
            known = insert(keys, stamps, mask, stamp, key)
            if known:
                counts[PIECES_REPEATED] += 1
                counts[PIECES_CHARACTERS] += end - start
            if first < last:
                counts[FILLED] += 1
                counts[FINISHED_LINES] += (classes[last - 1] & FINISHED) > 0
                counts[TERMINAL_LINES] += (classes[end - 1] & TERMINAL) > 0
                counts[SHORT] += end - start <= SHORT_LINE
                counts[REPEATED_CHARACTERS] += known * (end - start)
                if end - start != last - first:
                    key = hash_range(points, first, last)
                counts[REPEATED] += insert(own_keys, own_stamps, mask, own_stamp, key)
        start = end + 1


@inner
def line_end(classes: Any, start: int, count: int) -> int:
    """Where the line that begins at `start` ends, as `str.splitlines` sees it."""
    while start < count and not classes[start] & LINE_BREAK:
        start += 1
    return start


@inner
def after_break(points: Any, end: int, count: int) -> int:
    """Where the next line begins: "\\r\\n" is one break."""
    if end + 1 < count and points[end] == _RETURN and points[end + 1] == _NEWLINE:
        return end + 2
    return end + 1


@inner
def bullets_and_ellipses(points: Any, classes: Any, count: int) -> tuple[int, int, int]:
    """Lines, those that begin with a bullet or hyphen, and those that end with an ellipsis."""
    lines = bullets = ellipses = 0
    start = 0
    while start < count:
        end = line_end(classes, start, count)
        lines += 1
        first, last = start, end
        while first < last and classes[first] & SPACE:
            first += 1
        while last > first and classes[last - 1] & SPACE:
            last -= 1
        if first < last:
            bullets += points[first] == _BULLET or points[first] == _HYPHEN
            ellipses += ends_with_ellipsis(points, first, last)
        start = after_break(points, end, count)
    return lines, bullets, ellipses


@inner
def all_sentences(points: Any, classes: Any, count: int) -> int:
    """Sentences of a text: those of its lines that are not blank."""
    total = start = 0
    while start < count:
        end = line_end(classes, start, count)
        first = start
        while first < end and classes[first] & SPACE:
            first += 1
        if first < end:
            total += sentences(points, classes, first, end)
        start = after_break(points, end, count)
    return total


@inner
def ends_with_ellipsis(points: Any, first: int, last: int) -> bool:
    """Whether [first, last) ends with "…" or "..."."""
    if last > first and points[last - 1] == _ELLIPSIS:
        return True
    return last - first >= 3 and points[last - 1] == points[last - 2] == points[last - 3] == _DOT


@inner
def sentences(points: Any, classes: Any, first: int, last: int) -> int:
    """Sentences of a line; what follows the last end is one more, and any line has at least one.

    A sentence ends with `[.!?…]++["'”’»)\\]]*+(?:\\s*»["'”’»)\\]]*+)?+` before a space or the end of the line:
    French puts a space before the guillemet that closes.
    """
    while last > first and classes[last - 1] & SPACE:
        last -= 1
    found = 0
    ended = first
    i = first
    while i < last:
        # What stops is among the few characters that finish a line: the flag is one look for all of them.
        if not classes[i] & FINISHED or not is_stop(points[i]):
            i += 1
            continue
        while i < last and is_stop(points[i]):
            i += 1
        while i < last and is_closing(points[i]):
            i += 1
        closing = i
        while closing < last and classes[closing] & SPACE:
            closing += 1
        if closing > i and closing < last and points[closing] == _GUILLEMET:
            i = closing + 1
            while i < last and is_closing(points[i]):
                i += 1
        if i == last or classes[i] & SPACE:
            found += 1
            ended = i
    return max(found + (ended < last), 1)


@inner
def is_stop(point: int) -> bool:
    """One of . ! ? …"""
    return point in (0x2E, 0x21, 0x3F, 0x2026)


@inner
def is_closing(point: int) -> bool:
    """One of \" ' ” ’ » ) ]"""
    return point in (0x22, 0x27, 0x201D, 0x2019, 0xBB, 0x29, 0x5D)


@inner
def symbols(points: Any, classes: Any, count: int) -> tuple[int, int, int, int]:
    """Hash signs, ellipses ("..." without overlap, and "…"), opening braces, and characters that are no space."""
    hashes = ellipses = braces = spaces = 0
    for i in range(count):
        hashes += points[i] == 0x23
        braces += points[i] == 0x7B
        ellipses += points[i] == _ELLIPSIS
    for i in range(count):
        spaces += (classes[i] & SPACE) > 0
    dots = 0
    for i in range(count):
        if points[i] != _DOT:
            dots = 0
            continue
        dots += 1
        if dots == 3:
            ellipses += 1
            dots = 0
    return hashes, ellipses, braces, count - spaces
