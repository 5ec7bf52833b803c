"""Hash tables that are never cleared: a slot counts only if it bears the stamp of the current use.

Open addressing over powers of two. Keys are 64-bit hashes taken as identities: two different texts of one document
share one with a probability of about n²/2^65, which is 10^-11 for a document of twenty thousand words.
"""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fonderie.corpus.kernels.compiled import inner

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio (Knuth, The Art of Computer Programming, volume 3, section 6.4)."""
BASE = np.uint64(0xD6E8FEB86659FD93)
"""Base of the polynomial hashes of texts: any odd number with no pattern does."""
_BASE_2, _BASE_3, _BASE_4 = (np.uint64(pow(int(BASE), exponent, 1 << 64)) for exponent in (2, 3, 4))
_POWERS = 4096
TUPLE_BASE = np.uint64(0xC2B2AE3D27D4EB4F)
"""Base of the hashes of sequences of words, another one, so that joining words is not concatenating them."""


@inner
def spread(value: Any) -> Any:
    """All bits of a hash into the low ones, which choose the slot (the finaliser of MurmurHash3, public domain)."""
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    return value


@inner
def find(keys: Any, stamps: Any, mask: Any, stamp: Any, key: Any) -> Any:
    """The slot of a key: its own if its stamp is current, else the free one where it belongs."""
    slot = np.int64(spread(key)) & mask
    while stamps[slot] == stamp and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@inner
def mask_for(entries: int) -> int:
    """Mask of the smallest power of two that is at most half full with so many entries."""
    size = 16
    while size < 2 * entries:
        size *= 2
    return size - 1


@inner
def insert(keys: Any, stamps: Any, mask: Any, stamp: Any, key: Any) -> bool:
    """Add a key to a set; whether it was there."""
    slot = find(keys, stamps, mask, stamp, key)
    if stamps[slot] == stamp:
        return True
    stamps[slot] = stamp
    keys[slot] = key
    return False


@inner
def power(exponent: int, powers: Any) -> Any:
    """BASE to an exponent, from a table of the first ones."""
    if exponent < powers.size:
        return powers[exponent]
    result, square = np.uint64(1), BASE
    while exponent > 0:
        if exponent & 1:
            result *= square
        square *= square
        exponent >>= 1
    return result


@inner
def hash_range(points: Any, first: int, last: int) -> Any:
    """The hash of code points [first, last): a polynomial in BASE, modulo 2^64.

    Four at a time, since what takes the time is that each product waits for the one before.
    """
    own = np.uint64(0)
    i = first
    while i + 4 <= last:
        own = own * _BASE_4 + (
            (np.uint64(points[i]) + np.uint64(1)) * _BASE_3
            + (np.uint64(points[i + 1]) + np.uint64(1)) * _BASE_2
            + (np.uint64(points[i + 2]) + np.uint64(1)) * BASE
            + (np.uint64(points[i + 3]) + np.uint64(1))
        )
        i += 4
    while i < last:
        own = own * BASE + np.uint64(points[i]) + np.uint64(1)
        i += 1
    return own


@cache
def powers_of_base() -> npt.NDArray[np.uint64]:
    """The first powers of the hashes' base."""
    values = np.empty(_POWERS, np.uint64)
    value = 1
    for exponent in range(_POWERS):
        values[exponent] = value
        value = value * int(BASE) % (1 << 64)
    return values
