"""How long answers take, of late: what a place in line is worth in seconds."""

from collections import deque

LAST = 16
"""Answers that are remembered: few, as what people ask for changes; more than one, as lengths differ."""


class Pace:
    """The time from the beginning of an answer, its prompt unread, to its end, over the last few."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=LAST)

    def add(self, seconds: float) -> None:
        """One more answer has ended by itself."""
        self._seconds.append(seconds)

    @property
    def each(self) -> float | None:
        """Their mean; None before any has ended."""
        return sum(self._seconds) / len(self._seconds) if self._seconds else None
