"""What an edit did to a text: stretches that stayed, went, or came, in order.

Edits of a corpus put a short mark in place of something, or take whole stretches out. So the texts are walked side
by side, and where they part, the next few words of the new text are looked for in the old one, near first. That is
linear in the texts, however long, where a shortest edit script is not; what is found may be longer than the
shortest, and is never wrong: what stayed and went makes up the old text, what stayed and came the new one.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

REACH = 200
"""Characters that may have come in one place before the texts are said to have nothing more in common."""
SEARCHES = ((10, 1 << 8), (24, 1 << 12), (24, 1 << 16), (24, 1 << 40))
"""How many characters must agree for the texts to have met again, and how far ahead the old one is searched for
them, the near first: most edits are short, and some cut a chapter. Few characters are found anywhere, if one looks
far."""
CHANGES_SHOWN = 8
AROUND = 60
"""Characters shown on each side of a change."""
REMOVED_SHOWN = 300
_BORDER = re.compile(r"\b|(?<=\W)")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one text or of both."""

    kind: Literal["same", "removed", "added"]
    text: str


def changes(before: str, after: str) -> Iterator[Piece]:
    """The pieces, in order, as they are found; what went comes before what came in its place."""
    end = _alike_at_end(before, after)
    old, new = before[: len(before) - end], after[: len(after) - end]
    i = j = 0
    same = ""
    while i < len(old) or j < len(new):
        alike = _alike(old, new, i, j)
        same += old[i : i + alike]
        i, j = i + alike, j + alike
        if i == len(old) and j == len(new):
            break
        # A difference begins with a word, never within one.
        back = _within_word(same, old[i : i + 1], new[j : j + 1])
        i, j, same = i - back, j - back, same[: len(same) - back]
        p, q = _meet(old, new, i, j)
        if same:
            yield Piece("same", same)
        if p > i:
            yield Piece("removed", old[i:p])
        if q > j:
            yield Piece("added", new[j:q])
        i, j, same = p, q, ""
    same += before[len(before) - end :]
    if same:
        yield Piece("same", same)


def _within_word(same: str, old: str, new: str) -> int:
    """How many characters of a word the texts share before they part in it."""
    if not (old[:1].isalnum() or new[:1].isalnum()):
        return 0
    back = 0
    while back < len(same) and back < REACH and same[-1 - back].isalnum():
        back += 1
    return back


def _meet(old: str, new: str, i: int, j: int) -> tuple[int, int]:
    """Where the texts agree again after parting at i and j; their ends if they never do."""
    starts = [found.start() for found in _BORDER.finditer(new, j, min(len(new), j + REACH))]
    for probe, reach in SEARCHES:
        best: tuple[int, int, int] | None = None
        for q in starts:
            if q + probe > len(new) or (best is not None and q - j >= best[0]):
                break
            # They part within the word that begins here, so they do not meet where it begins.
            p = old.find(new[q : q + probe], i + (q == j), min(len(old), i + reach))
            if p >= 0 and (best is None or (p - i) + (q - j) < best[0]):
                best = (p - i) + (q - j), p, q
        if best is not None:
            return best[1:]
        if i + reach >= len(old):
            break
    return len(old), len(new)


def _alike(old: str, new: str, i: int, j: int) -> int:
    """How many characters agree from i and j on."""
    low, step = 0, 64
    while True:
        part = old[i + low : i + low + step]
        if not part or part != new[j + low : j + low + len(part)]:
            break
        low, step = low + len(part), step * 2
    high = low + min(step, len(old) - i - low, len(new) - j - low)
    while low < high:
        middle = (low + high + 1) // 2
        if old[i + low : i + middle] == new[j + low : j + middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _alike_at_end(before: str, after: str) -> int:
    """How many characters agree at the end, and stand after the words that agree at the beginning of both."""
    start = _alike(before, after, 0, 0)
    start -= _within_word(
        before[max(0, start - REACH) : start], before[start : start + 1], after[start : start + 1]
    )
    low, high = 0, min(len(before), len(after)) - start
    while low < high:
        middle = (low + high + 1) // 2
        if before[len(before) - middle : len(before) - low] == after[len(after) - middle : len(after) - low]:
            low = middle
        else:
            high = middle - 1
    # A word that ends alike is not said to have changed by half.
    while low and before[len(before) - low].isalnum() and _joined(before, after, low):
        low -= 1
    return low


def _joined(before: str, after: str, end: int) -> bool:
    return any(text[len(text) - end - 1 : len(text) - end].isalnum() for text in (before, after))


def shown(pieces: Iterable[Piece], most: int = CHANGES_SHOWN) -> tuple[Piece, ...]:
    """The first changes, each with a little of what stands around it; an ellipsis for what is left out."""
    kept: list[Piece] = []
    count = 0
    for piece in pieces:
        follows = bool(kept) and kept[-1].kind == "removed" and piece.kind == "added"
        if piece.kind != "same" and not follows:
            if count == most:
                break
            count += 1
        kept.append(piece)
    last = len(kept) - 1
    return tuple(
        _around(piece, first=number == 0, last=number == last)
        if piece.kind == "same"
        else Piece(piece.kind, _middle_out(piece.text, REMOVED_SHOWN))
        for number, piece in enumerate(kept)
    )


def _around(piece: Piece, *, first: bool, last: bool) -> Piece:
    text = piece.text
    if first and last:
        text = _middle_out(text, 2 * AROUND)
    elif first:
        text = text if len(text) <= AROUND else "…" + _after_half_a_word(text[-AROUND:])
    elif last:
        text = text if len(text) <= AROUND else _after_half_a_word(text[AROUND - 1 :: -1])[::-1] + "…"
    else:
        text = _middle_out(text, 2 * AROUND)
    return Piece("same", text)


def _after_half_a_word(text: str) -> str:
    """What follows the first space, if that is near: a word is not shown by half, a very long one is."""
    space = text.find(" ", 0, AROUND // 2)
    return text[space:].lstrip() if space >= 0 else text


def _middle_out(text: str, longest: int) -> str:
    """A text without its middle if it is longer than that."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]} … {text[-half:]}"
