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
        self.vocabulary: dict[str, int] = {}
        by_words: dict[tuple[str, ...], list[str]] = {}
        # The shortest name speaks for all that have the same words: GFDL-1.3-only, not GFDL-1.3-invariants-only.
        for identifier, text in sorted(texts.items(), key=lambda item: (len(item[0]), item[0])):
            by_words.setdefault(tuple(split(text)), []).append(identifier)
        coded = []
        for words in by_words:
            coded.append(np.fromiter((self._number(word) for word in words), np.int64, len(words)))
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

    def _number(self, word: str) -> int:
        return self.vocabulary.setdefault(word, len(self.vocabulary))

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
            hits = _isin(at_position, reference.bigrams)
            proposals += [(value, span, reference) for value, span in _windows(hits, reference)]
        proposals.sort(key=lambda proposal: (-proposal[0], proposal[1], proposal[2].identifier))
        chosen: list[Claim] = []
        taken = np.zeros(len(words), dtype=bool)
        for value, span, reference in proposals:
            if len(chosen) == MAX_CLAIMS:
                break
            if taken[span.first : span.last].mean() > 0.3:
                continue
            taken[span.first : span.last] = True
            rivals = [
                other
                for rival_value, rival_span, other in proposals
                if other is not reference and rival_value >= 0.7 * value and _overlap(span, rival_span) > 0.6
            ]
            similarity = _dice(at_position[span.first : span.last - 1], reference.bigrams)
            chosen.append(Claim(reference, tuple(rivals[:_RIVALS]), span, similarity))
        return sorted(chosen, key=lambda claim: claim.window)

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
    present = _distinct(codes)
    shared = int(_isin(present[present >= 0], bigrams).sum())
    return 2 * shared / max(len(present) + len(bigrams), 1)


def _windows(hits: Any, reference: Reference) -> list[tuple[int, Span]]:
    """Windows of the text that hold a reference, with value: bigrams found less bigrams missing.

    A window starts as long as the reference, then shrinks and grows to where its words stand densely: what was
    inserted stays inside, what stands around it stays outside.
    """
    length = len(reference.words) - 1
    width = min(length, len(hits))
    sums = np.concatenate(([0], np.cumsum(hits)))
    dense = np.convolve(hits, np.ones(_DENSE), "same") >= _DENSE * 0.55
    found: list[tuple[int, Span]] = []
    free = hits.astype(np.int64)
    while len(found) < MAX_CLAIMS:
        totals = np.concatenate(([0], np.cumsum(free)))
        density = totals[width:] - totals[:-width]
        start = int(np.argmax(density))
        if density[start] < 0.5 * width:
            return found
        first, last = _edges(dense & (free >= 0), start, start + width)
        inside = int(sums[last] - sums[first])
        free[start : start + width] = -1
        free[first:last] = -1
        if inside >= MIN_HELD * length:
            found.append((2 * min(inside, length) - length, Span(first, last + 1)))
    return found


def _edges(dense: Any, first: int, last: int) -> tuple[int, int]:
    """The core of a window, grown while the text around it is dense, then cut back to where it is."""
    rarefied = np.flatnonzero(~dense[:first])
    after = np.flatnonzero(~dense[last:])
    first = int(rarefied[-1]) + 1 if len(rarefied) else 0
    last = last + int(after[0]) if len(after) else len(dense)
    inside = np.flatnonzero(dense[first:last])
    return (first + int(inside[0]), first + int(inside[-1]) + 1) if len(inside) else (first, last)


def _overlap(one: Span, other: Span) -> float:
    shared = min(one.last, other.last) - max(one.first, other.first)
    return shared / max(one.last - one.first, other.last - other.first)
