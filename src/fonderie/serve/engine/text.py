"""From tokens to the text that may be shown: whole characters, nothing of a stop text, nothing taken back."""

from dataclasses import dataclass, field
from typing import Protocol

BROKEN = "\ufffd"
LONGEST_START = 3
"""Bytes of a character that is not whole yet, at most; they may read as so many replacement characters, or one."""
WINDOW = 16
"""Tokens kept to decode the next one with: what a token reads as depends on those just before it, no further."""


class Decodes(Protocol):
    """What is needed of a tokenizer."""

    def decode(self, ids: list[int]) -> str:
        """The text of ids, special tokens left out."""
        ...


@dataclass
class Writer:
    """The text of one answer as its tokens come."""

    tokenizer: Decodes
    stops: tuple[str, ...] = ()
    stopped: bool = False
    """Whether a stop text has been reached."""
    _ids: list[int] = field(default_factory=list)
    _settled: str = ""
    """The text of `_ids` that has been taken."""
    _held: str = ""
    """Text that may be the beginning of a stop text."""

    def add(self, token: int) -> str:
        """One more token; the text that is now certain."""
        self._ids.append(token)
        text = self.tokenizer.decode(self._ids)
        broken = min(len(text) - len(text.rstrip(BROKEN)), LONGEST_START)
        text = text[: len(text) - broken]
        new = text[len(self._settled) :]
        self._settled = text
        if len(self._ids) > 4 * WINDOW and not broken:
            self._ids = self._ids[-WINDOW:]
            self._settled = self.tokenizer.decode(self._ids)
        return self._released(new)

    def end(self) -> str:
        """What is left when no token follows: a character cut short reads as the replacement character."""
        new = self.tokenizer.decode(self._ids)[len(self._settled) :]
        text, self._held = self._cut(self._held + new)[0], ""
        return text

    def _released(self, new: str) -> str:
        text, stopped = self._cut(self._held + new)
        if stopped:
            self._held = ""
            return text
        hold = max((_overlap(text, stop) for stop in self.stops), default=0)
        self._held = text[len(text) - hold :]
        return text[: len(text) - hold]

    def _cut(self, text: str) -> tuple[str, bool]:
        places = [place for stop in self.stops if (place := text.find(stop)) >= 0]
        if not places:
            return text, False
        self.stopped = True
        return text[: min(places)], True


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of the text that begins the stop text."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
