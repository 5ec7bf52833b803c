"""Salted fingerprints of texts: enough to know a text again, changed or inside another, without holding any of it.

Words are folded (fonderie.corpus.folding) and hashed under the salt; a *gram* is a run of four words, hashed to 24
bits. A sketch holds a few dozen grams of a text, rare ones, in the order of their values. Billions of runs of four
words share each value; a given value is among those of an unrelated text of 4,000 words once in 4,000.
What a sketch does not hide, and the experiment behind the constants: docs/decisions/0015-erasure.md and
docs/log/0004-tombstones.md.
"""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]

GRAM = 4
"""Words in a gram: with five, too many copies with a fifth of their words changed are lost."""
BITS = 24
"""Bits of a gram's hash that are kept."""
SALT_BYTES = 32

_CACHED_WORDS = 1 << 20
# Odd, hence invertible modulo 2^64; the digits are those of the golden ratio, as in SplitMix64.
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)


class Hasher:
    """Hashes under one salt; words met before are remembered, which makes it ten times as fast."""

    def __init__(self, salt: bytes) -> None:
        if len(salt) != SALT_BYTES:
            raise ValueError(f"a salt has {SALT_BYTES} bytes, not {len(salt)}")
        self.salt = salt
        self._words: dict[str, int] = {}

    def name(self, text: str) -> str:
        """A short text under the salt: 128 bits in hexadecimal."""
        return hashlib.blake2b(text.encode("utf-8"), key=self.salt, digest_size=16).hexdigest()

    def words(self, words: Sequence[str]) -> U64:
        """One hash per word."""
        known = self._words
        if len(known) > _CACHED_WORDS:
            known.clear()
        for word in set(words).difference(known):
            known[word] = int.from_bytes(
                hashlib.blake2b(word.encode("utf-8"), key=self.salt, digest_size=8).digest(), "little"
            )
        return np.fromiter((known[word] for word in words), dtype=np.uint64, count=len(words))


def runs(words: U64, length: int) -> U64:
    """Hashes (64 bits) of every run of `length` words, in order: a polynomial of the words, mixed."""
    if not 0 < length <= len(words):
        return words[:0]
    powers = _powers(_BASE, len(words))
    sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(words * powers, dtype=np.uint64)])
    # Each difference has the power of its place as a factor; the inverse takes it out.
    return _mix((sums[length:] - sums[:-length]) * _powers(_INVERSE, len(words) - length + 1))


def grams(words: U64) -> U64:
    """The distinct grams of a text, sorted; empty if it has fewer than four words."""
    return np.unique(runs(words, GRAM) >> np.uint64(64 - BITS))


def gram_windows(words: U64, size: int) -> Iterator[U64]:
    """The distinct grams of each piece of `size` grams, half overlapping; of the whole, if it is no longer."""
    every = runs(words, GRAM) >> np.uint64(64 - BITS)
    for start in range(0, max(1, len(every) - size // 2), size // 2):
        yield np.unique(every[start : start + size])


def whole(words: U64) -> str:
    """The hash of all words in order, 64 bits in hexadecimal."""
    return f"{int(runs(words, len(words))[0]):016x}" if len(words) else "0" * 16


def _powers(base: int, count: int) -> U64:
    factors = np.full(count, base, dtype=np.uint64)
    factors[:1] = 1
    return np.multiply.accumulate(factors)


def _mix(x: U64) -> U64:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): every bit in reaches every bit out."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
