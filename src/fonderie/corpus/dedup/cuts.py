"""Stretches cut out of documents: which, how they are made whole words, and what the ledger says of them."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fonderie.core.document import Document
from fonderie.corpus.transform import Decision, drop, edit, keep

CUTS_NAMED = 8
"""Cuts that the ledger describes; of the others it gives the number."""
PASSAGE: dict[str, Any] = {"row": np.uint32, "begin": np.uint32, "end": np.uint32}
"""A passage in a run: its document's row in the shard, and its bytes of that text."""

_INSIDE = re.compile(r"\w\w")


class Cuts(NamedTuple):
    """What is to be cut, one row for each place, by document and place once they are sorted."""

    documents: npt.NDArray[np.int64]
    begins: npt.NDArray[np.int64]
    """UTF-8 bytes from the beginning of the text."""
    ends: npt.NDArray[np.int64]
    keepers: npt.NDArray[np.int64]
    """The document that holds the copy that stays, by its place in the order of preference."""

    @classmethod
    def join(cls, parts: Sequence["Cuts"]) -> "Cuts":
        """Those of all parts, by document, beginning and keeper."""
        columns = [np.concatenate([np.empty(0, np.int64), *column]) for column in zip(*parts, strict=True)]
        columns = columns or [np.empty(0, np.int64)] * 4
        order = np.lexsort((columns[2], columns[3], columns[1], columns[0]))
        return cls(*(column[order] for column in columns))


class Cut(NamedTuple):
    """A stretch of one text."""

    begin: int
    end: int
    keeper: str
    """The id of the document that holds it still."""


def cut(document: Document, cuts: Sequence[Cut], reason: str, *, words: bool) -> tuple[Decision, int]:
    """A document without some stretches, whole words only if wanted; and how many bytes it lost."""
    text = document.text.encode("utf-8")
    merged = [at_words(text, span) if words else span for span in joined(cuts)]
    merged = [span for span in merged if span.begin < span.end]
    if not merged:
        return keep(document), 0
    kept, at = [], 0
    for span in merged:
        kept.append(text[at : span.begin])
        at = span.end
    left = b"".join([*kept, text[at:]]).decode("utf-8")
    size = sum(span.end - span.begin for span in merged)
    detail = f"{size} bytes: " + ", ".join(_said(text, span) for span in merged[:CUTS_NAMED])
    if len(merged) > CUTS_NAMED:
        detail += f" and {len(merged) - CUTS_NAMED} more"
    if not left.strip():
        return drop(reason, detail), size
    return edit(document.with_text(left), reason, detail), size


def _said(text: bytes, span: Cut) -> str:
    begin = len(text[: span.begin].decode("utf-8"))
    return f"characters {begin} to {begin + len(text[span.begin : span.end].decode('utf-8'))} are in {span.keeper}"


def joined(cuts: Sequence[Cut]) -> list[Cut]:
    """Overlapping and touching stretches as one, which names the first one's keeper."""
    found: list[Cut] = []
    for span in sorted(cuts, key=lambda span: span.begin):
        if found and span.begin <= found[-1].end:
            found[-1] = found[-1]._replace(end=max(found[-1].end, span.end))
        else:
            found.append(span)
    return found


def at_words(text: bytes, span: Cut) -> Cut:
    """The stretch without the parts of words and characters at its ends; empty if there is nothing else in it."""
    begin, end = span.begin, span.end
    while begin < end and not _between_words(text, begin):
        begin += 1
    while begin < end and not _between_words(text, end):
        end -= 1
    return span._replace(begin=begin, end=end)


def _between_words(text: bytes, at: int) -> bool:
    """Whether a place in UTF-8 text parts two characters that are not both of one word."""
    if at in (0, len(text)):
        return True
    if text[at] & 0xC0 == 0x80:  # within a character
        return False
    around = (
        text[max(0, at - 4) : at].decode("utf-8", "ignore")[-1:] + text[at : at + 4].decode("utf-8", "ignore")[:1]
    )
    return _INSIDE.fullmatch(around) is None
