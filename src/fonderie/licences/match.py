"""Which reference texts a text holds, and where.

Similarity is Dice's coefficient over sets of word bigrams, as licence matchers use it (askalono, Licensee). It only
proposes: what differs from the reference is read afterwards (`residue.py`), and decides.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from fonderie.licences.texts import reference_texts
from fonderie.licences.words import Span, Words, split

MIN_HELD = 0.72
"""Share of a reference's bigrams that must stand in one window of the text for it to be a claim. SPDX texts with
their optional parts removed stay above it (tests/licences/test_match.py); below it, the text is one of its own."""

MAX_CLAIMS = 200
"""Licence texts read in one file; the rest of a longer file is left unread, and so is never free."""

_DENSE = 9
"""Bigrams around a place over which density is taken."""

_RIVALS = 8
"""Near-identical references (BSD, HPND, Creative Commons) that are compared word by word before one is chosen."""


@dataclass(frozen=True)
class Reference:
    """One reference text, as numbers."""

    identifier: str
    same_as: tuple[str, ...]
    """Other identifiers with the very same words."""
    words: tuple[str, ...]
    bigrams: Any
    """Sorted distinct bigram codes, (n,) int64."""


@dataclass(frozen=True)
class Claim:
    """A reference text that a window of the text resembles."""

    reference: Reference
    rivals: tuple[Reference, ...]
    """References that fit the window nearly as well; reading word by word decides between them."""
    window: Span
    similarity: float
    """Dice's coefficient over the bigrams of the window, 0 to 1."""


class Index:
    """All reference texts, ready to be compared with one text."""

    def __init__(self, texts: dict[str, str]) -> None:
        by_words: dict[tuple[str, ...], list[str]] = {}
        # The shortest name speaks for all that have the same words: GFDL-1.3-only, not GFDL-1.3-invariants-only.
        for identifier, text in sorted(texts.items(), key=lambda item: (len(item[0]), item[0])):
            by_words.setdefault(tuple(split(text)), []).append(identifier)
        distinct = sorted(set().union(*by_words))
        self.vocabulary = {word: number for number, word in enumerate(distinct)}
        number = self.vocabulary.__getitem__
        coded = [np.fromiter(map(number, words), np.int64, len(words)) for words in by_words]
        self.base = len(self.vocabulary) + 1
        self.references = [
            Reference(names[0], tuple(names[1:]), words, _distinct(self._bigrams(numbers)))
            for (words, names), numbers in zip(by_words.items(), coded, strict=True)
        ]
        self.by_identifier = {
            name: reference for reference in self.references for name in (reference.identifier, *reference.same_as)
        }
        self.sizes = np.array([len(reference.bigrams) for reference in self.references])
        codes = np.concatenate([reference.bigrams for reference in self.references])
        owners = np.repeat(np.arange(len(self.references)), self.sizes)
        order = np.argsort(codes, kind="stable")
        self.codes, self.owners = codes[order], owners[order]

    def _bigrams(self, numbers: Any) -> Any:
        return numbers[:-1] * self.base + numbers[1:]

    def bigrams(self, words: list[str]) -> Any:
        """Bigram code at each position of a text, (n - 1,); negative where a word is in no reference."""
        numbers = np.fromiter((self.vocabulary.get(word, -1) for word in words), np.int64, len(words))
        codes = self._bigrams(numbers)
        codes[(numbers[:-1] < 0) | (numbers[1:] < 0)] = -1
        return codes

    def claims(self, words: Words) -> list[Claim]:
        """Non-overlapping claims, in the order of the text; the one that explains the most words wins a place."""
        if len(words) < 2:
            return []
        at_position = self.bigrams(words.words)
        proposals: list[tuple[int, Span, Reference]] = []
        for reference in self._held(_distinct(at_position[at_position >= 0])):
            proposals += [(value, span, reference) for value, span in _windows(at_position, reference)]
        proposals.sort(key=lambda proposal: (-proposal[0], proposal[1], proposal[2].identifier))
        return sorted(_choose(proposals, at_position), key=lambda claim: claim.window)

    def _held(self, present: Any) -> list[Reference]:
        """References of which enough bigrams stand somewhere in the text."""
        first = np.searchsorted(self.codes, present, "left")
        last = np.searchsorted(self.codes, present, "right")
        counts = last - first
        where = np.repeat(first - np.concatenate(([0], np.cumsum(counts)[:-1])), counts) + np.arange(counts.sum())
        held = np.bincount(self.owners[where], minlength=len(self.references))
        return [self.references[number] for number in np.flatnonzero(held >= MIN_HELD * self.sizes)]


@cache
def index() -> Index:
    """The index of the SPDX texts, made at the first question."""
    return Index(reference_texts())


def _distinct(codes: Any) -> Any:
    """Sorted distinct values; np.unique hashes first, which is slower for what is mostly distinct."""
    ordered = np.sort(codes)
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))] if len(ordered) else ordered


def _isin(codes: Any, ordered: Any) -> Any:
    place = np.minimum(np.searchsorted(ordered, codes), len(ordered) - 1)
    return ordered[place] == codes


def _dice(codes: Any, bigrams: Any) -> float:
    return 2 * _shared(codes, bigrams) / max(len(_distinct(codes)) + len(bigrams), 1)


def _choose(proposals: list[tuple[int, Span, Reference]], at_position: Any) -> list[Claim]:
    """The best claim for each place; what fits the same place nearly as well comes with it as rivals."""
    chosen: list[Claim] = []
    taken = np.zeros(len(at_position) + 1, dtype=bool)
    values = np.array([value for value, _, _ in proposals])
    firsts = np.array([span.first for _, span, _ in proposals])
    lasts = np.array([span.last for _, span, _ in proposals])
    for value, span, reference in proposals:
        if len(chosen) == MAX_CLAIMS:
            break
        if taken[span.first : span.last].mean() > 0.3:
            continue
        taken[span.first : span.last] = True
        shared = np.minimum(lasts, span.last) - np.maximum(firsts, span.first)
        near = (values >= 0.7 * value) & (shared > 0.6 * np.maximum(lasts - firsts, span.last - span.first))
        rivals = [proposals[number][2] for number in np.flatnonzero(near)[: _RIVALS + 1]]
        similarity = _dice(at_position[span.first : span.last - 1], reference.bigrams)
        others = tuple(rival for rival in rivals if rival is not reference)
        chosen.append(Claim(reference, others[:_RIVALS], span, similarity))
    return chosen


def _windows(at_position: Any, reference: Reference) -> list[tuple[int, Span]]:
    """Windows of the text that hold a reference, with value: bigrams found less bigrams missing.

    A window starts as long as the reference, then shrinks and grows to where its words stand densely, by no more
    than it still lacks: what was inserted stays inside; what stands around it, such as the next copy, outside.
    """
    hits = _isin(at_position, reference.bigrams)
    width = min(len(reference.words) - 1, len(hits))
    sums = np.concatenate(([0], np.cumsum(hits)))
    density = sums[width:] - sums[:-width]
    dense = np.convolve(hits, np.ones(_DENSE), "same") >= _DENSE * 0.55
    size = len(reference.bigrams)
    found: list[tuple[int, Span]] = []
    while len(found) < MAX_CLAIMS:
        start = int(np.argmax(density))
        if density[start] < 0.5 * width:
            return found
        lacking = size - _shared(at_position[start : start + width], reference.bigrams)
        first, last = _edges(dense, start, start + width, lacking + lacking // 2 + _DENSE)
        density[max(start - width + 1, 0) : start + width] = 0
        dense[first:last] = False
        held = _shared(at_position[first:last], reference.bigrams)
        if held >= MIN_HELD * size:
            found.append((2 * held - size, Span(first, last + 1)))
    return found


def _shared(codes: Any, bigrams: Any) -> int:
    """How many of a reference's distinct bigrams stand in a stretch of the text."""
    return int(_isin(bigrams, _distinct(codes)).sum())


def _edges(dense: Any, first: int, last: int, slack: int) -> tuple[int, int]:
    """A window grown by at most `slack` while the text around is dense, then cut back to where it is."""
    lowest, highest = max(first - slack, 0), min(last + slack, len(dense))
    before = np.flatnonzero(~dense[lowest:first])
    after = np.flatnonzero(~dense[last:highest])
    first = lowest + int(before[-1]) + 1 if len(before) else lowest
    last = last + int(after[0]) if len(after) else highest
    inside = np.flatnonzero(dense[first:last])
    return (first + int(inside[0]), first + int(inside[-1]) + 1) if len(inside) else (first, last)
