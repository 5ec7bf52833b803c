"""Word 5-grams, their MinHash buckets, and the exact similarity of two documents, as kernels over raw UTF-8.

A *gram* is the hash (32 bits) of five words in a row; a text of fewer words has one gram, of them all. The
similarity of two documents is Jaccard's over their sets of grams. MinHash with banding (Broder 1997; Leskovec et
al., Mining of Massive Datasets, chapter 3) proposes pairs: with b buckets of r hashes, two documents alike by s
share one with probability 1 - (1 - s^r)^b. What it proposes is then compared exactly.

Array shapes: N documents of a batch, G grams of all of them, B buckets, H = B·r hashes.
"""

import math
import re
import sys
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fonderie.corpus.kernels.compiled import entry, inner

NGRAM = 5
"""Words in a gram, as Lucie and FineWeb have it (arXiv 2503.12294, 2406.17557)."""
RECALL = 0.99
"""Chance that two documents of exactly the wanted similarity share a bucket. The 14 buckets of 8 hashes in common
use give 0.924 at 0.8 (docs/decisions/0018-deduplication.md)."""
MOST_HASHES = 256
"""Hashes a document may cost."""

U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


class Layout(NamedTuple):
    """How a signature is cut into buckets."""

    buckets: int
    hashes: int
    """Per bucket."""

    def chance(self, similarity: float) -> float:
        """That two documents of this similarity share a bucket."""
        return float(1 - (1 - similarity**self.hashes) ** self.buckets)


def layout_for(near: float) -> Layout:
    """The layout with most hashes to a bucket, hence fewest chance meetings, that finds RECALL at `near`."""
    for hashes in range(MOST_HASHES, 0, -1):
        share = near**hashes
        if share * MOST_HASHES < 1:  # a bucket would be shared too seldom for any number of them
            continue
        buckets = math.ceil(math.log(1 - RECALL) / math.log1p(-share))
        if buckets * hashes <= MOST_HASHES:
            return Layout(buckets, hashes)
    return Layout(MOST_HASHES, 1)


@cache
def folding() -> I32:
    """For each code point, its lower case if it belongs to words (`\\w`), else 0.

    One code point for one: what folds to several (ß) stays as it is.
    """
    table = np.zeros(sys.maxunicode + 1, dtype=np.int32)
    everything = "".join(map(chr, [*range(0xD800), *range(0xE000, sys.maxunicode + 1)]))
    for found in re.finditer(r"\w", everything):
        folded = found.group().casefold()
        table[ord(found.group())] = ord(folded if len(folded) == 1 else found.group())
    return table


@cache
def coefficients(hashes: int) -> tuple[U32, U32]:
    """Multipliers (odd) and offsets of the permutations: the SplitMix64 sequence from 0, high and low halves."""
    states = np.arange(1, hashes + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    states = (states ^ (states >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    states = (states ^ (states >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    states ^= states >> np.uint64(31)
    return (states >> np.uint64(32)).astype(np.uint32) | np.uint32(1), states.astype(np.uint32)


class Sketches(NamedTuple):
    """What a batch of texts is compared by."""

    grams_G: U32
    lengths_N: I64
    """Grams of each text, repeated ones included; 0 if it has no words."""
    keys_NB: U64
    """A key per bucket; of no meaning for a text without grams."""


def sketch(offsets_N: I32, data: U8, layout: Layout) -> Sketches:
    """Sketch the texts data[offsets[i] : offsets[i + 1]], UTF-8."""
    multipliers, shifts = coefficients(layout.buckets * layout.hashes)
    texts = len(offsets_N) - 1
    # A gram needs a letter and a separator at least: two bytes. Pages never written to cost no memory.
    grams = np.empty((int(offsets_N[-1]) - int(offsets_N[0])) // 2 + 2 * texts, dtype=np.uint32)
    lengths = np.empty(texts, dtype=np.int64)
    keys = np.empty((texts, layout.buckets), dtype=np.uint64)
    count = _sketch(offsets_N, data, folding(), multipliers, shifts, layout.hashes, grams, lengths, keys)
    return Sketches(grams[:count].copy(), lengths, keys)


def grams(text: str) -> U32:
    """The gram hashes of one text in order, repeated ones included."""
    data = np.frombuffer(text.encode("utf-8"), dtype=np.uint8)
    out = np.empty(len(data) // 2 + 2, dtype=np.uint32)
    return out[: _grams(data, 0, len(data), folding(), out, 0)].copy()


@inner
def _mix(x: Any) -> Any:
    # The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@inner
def _decode(data: Any, at: Any, end: Any) -> Any:
    """Code point and length of the character at `at`; a cut or impossible sequence is one strange character."""
    lead = np.int64(data[at])
    if lead < 0x80:
        return lead, 1
    if lead < 0xE0 and at + 1 < end:
        return ((lead & 0x1F) << 6) | (np.int64(data[at + 1]) & 0x3F), 2
    if lead < 0xF0 and at + 2 < end:
        return ((lead & 0x0F) << 12) | ((np.int64(data[at + 1]) & 0x3F) << 6) | (np.int64(data[at + 2]) & 0x3F), 3
    if lead < 0xF5 and at + 3 < end:
        code = ((lead & 0x07) << 18) | ((np.int64(data[at + 1]) & 0x3F) << 12)
        code |= ((np.int64(data[at + 2]) & 0x3F) << 6) | (np.int64(data[at + 3]) & 0x3F)
        return min(code, 0x10FFFF), 4
    return 0xFFFD, 1


@entry
def _grams(data: Any, begin: Any, end: Any, folding: Any, out: Any, to: Any) -> Any:
    """Write the grams of one text from out[to] on; returns where they end.

    Words are those of every rule, \\w+(?:-\\w+)*['’]?, in lower case and with one apostrophe for both.
    """
    prime, basis = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xCBF29CE484222325)
    w0 = w1 = w2 = w3 = w4 = np.uint64(0)
    words = 0
    inside = False
    word = basis
    at = begin
    while at <= end:
        code, size = (32, 1) if at == end else _decode(data, at, end)
        folded = folding[code]
        if folded != 0:
            word = (word ^ np.uint64(folded)) * prime
            inside = True
        elif inside:
            after = at + size
            if code == 45 and after < end and folding[_decode(data, after, end)[0]] != 0:
                word = (word ^ np.uint64(45)) * prime
            else:
                if code in (39, 0x2019):
                    word = (word ^ np.uint64(39)) * prime
                w0, w1, w2, w3, w4 = w1, w2, w3, w4, _mix(word)
                words += 1
                if words >= 5:
                    out[to] = _gram(w0, w1, w2, w3, w4)
                    to += 1
                word = basis
                inside = False
        at += size
    if 0 < words < 5:
        out[to] = _gram(w0, w1, w2, w3, w4)
        to += 1
    return to


@inner
def _gram(w0: Any, w1: Any, w2: Any, w3: Any, w4: Any) -> Any:
    total = w0 * np.uint64(0xD6E8FEB86659FD93) + w1 * np.uint64(0xA0761D6478BD642F)
    total += w2 * np.uint64(0xE7037ED1A0B428DB) + w3 * np.uint64(0x8EBC6AF09C88C6E3) + w4
    return np.uint32(_mix(total) >> np.uint64(32))


@inner
def _minima(grams: Any, first: Any, last: Any, multipliers: Any, shifts: Any, minima: Any) -> None:
    """Lower each minimum to the least value of its permutation over grams[first:last].

    x -> (x ^ shift) * odd mod 2^32 is a permutation. Grams are hashes already, so that permutations as plain as
    these estimate without bias (Broder et al. 1998 on linear ones; tests/corpus/test_minhash.py).
    """
    at = first
    while at + 4 <= last:
        # Four at a time: a minimum is loaded and stored once for them all.
        a, b, c, d = grams[at], grams[at + 1], grams[at + 2], grams[at + 3]
        for k in range(len(minima)):
            multiplier, shift = multipliers[k], shifts[k]
            one = min(np.uint32((a ^ shift) * multiplier), np.uint32((b ^ shift) * multiplier))
            other = min(np.uint32((c ^ shift) * multiplier), np.uint32((d ^ shift) * multiplier))
            minima[k] = min(minima[k], one, other)
        at += 4
    while at < last:
        for k in range(len(minima)):
            minima[k] = min(minima[k], np.uint32((grams[at] ^ shifts[k]) * multipliers[k]))
        at += 1


@entry
def _sketch(
    offsets: Any,
    data: Any,
    folding: Any,
    multipliers: Any,
    shifts: Any,
    hashes: Any,
    grams: Any,
    lengths: Any,
    keys: Any,
) -> Any:
    minima = np.empty(len(multipliers), dtype=np.uint32)
    to = 0
    for text in range(len(offsets) - 1):
        start = to
        to = _grams(data, offsets[text], offsets[text + 1], folding, grams, start)
        lengths[text] = to - start
        minima[:] = np.uint32(0xFFFFFFFF)
        _minima(grams, start, to, multipliers, shifts, minima)
        for bucket in range(keys.shape[1]):
            key = _mix(np.uint64(bucket + 1))
            for k in range(bucket * hashes, (bucket + 1) * hashes):
                key = _mix(key ^ np.uint64(minima[k])) + np.uint64(k)
            keys[text, bucket] = key
    return to


class Table(NamedTuple):
    """An open-addressing table of grams that is never cleared: a slot counts if its stamp is of this comparison."""

    slots: U32
    stamps: I64
    """Twice the number of the comparison, plus 1 once both texts have the gram; int64."""
    clock: I64
    """The number of the last comparison, one element."""


def table_for(longest: int) -> Table:
    """A table for two texts of at most `longest` grams each."""
    size = 1 << (4 * max(longest, 1)).bit_length()
    return Table(np.zeros(size, dtype=np.uint32), np.zeros(size, dtype=np.int64), np.zeros(1, dtype=np.int64))


def jaccard(one: str, other: str) -> float:
    """The similarity of two texts; 0 if one of them has no words."""
    first, second = grams(one), grams(other)
    both = np.concatenate([first, second])
    return float(similarity(both, 0, len(first), len(first), len(second), *table_for(max(len(first), len(second)))))


@entry
def similarity(
    grams: Any, one: Any, one_length: Any, other: Any, other_length: Any, slots: Any, stamps: Any, clock: Any
) -> Any:
    """Jaccard's similarity of the sets grams[one : one + one_length] and grams[other : other + other_length]."""
    clock[0] += 1
    once, twice = 2 * clock[0], 2 * clock[0] + 1
    # Grams are hashes, so that their lowest bits choose the slot well.
    mask = np.int64(len(slots) - 1)
    union = common = 0
    for at in range(one, one + one_length):
        slot = np.int64(grams[at]) & mask
        while stamps[slot] >= once and slots[slot] != grams[at]:
            slot = (slot + 1) & mask
        if stamps[slot] < once:
            slots[slot] = grams[at]
            stamps[slot] = once
            union += 1
    for at in range(other, other + other_length):
        slot = np.int64(grams[at]) & mask
        while stamps[slot] >= once and slots[slot] != grams[at]:
            slot = (slot + 1) & mask
        if stamps[slot] < once:
            slots[slot] = grams[at]
            stamps[slot] = twice
            union += 1
        elif stamps[slot] == once:
            stamps[slot] = twice
            common += 1
    return common / union if union else 0.0
