"""The order in which sequences are seen: a permutation that is computed, not stored.

Position p of epoch e holds sequence `permute(p, n, seed, e)`. A Feistel network permutes the smallest square
2^b x 2^b that holds n; results outside 0…n-1 are permuted again until they fall inside ("cycle walking", Black and
Rogaway, CT-RSA 2002), at most four times on average. So any step's batch can be recomputed alone, no shuffled index
is kept, and the inverse says when a sequence was seen.
"""

import hashlib
from collections.abc import Callable
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

# Four rounds of a good function make a strong pseudo-random permutation (Luby and Rackoff, 1988).
ROUNDS = 4

_Step = Callable[[NDArray[np.uint64]], NDArray[np.uint64]]


@overload
def permute(position: int, n: int, seed: int, epoch: int) -> int: ...
@overload
def permute(position: NDArray[Any], n: int, seed: int, epoch: int) -> NDArray[np.int64]: ...
def permute(position: int | NDArray[Any], n: int, seed: int, epoch: int) -> int | NDArray[np.int64]:
    """The sequence at a position, or at each of an array of positions; both count from 0 to n - 1."""
    keys, bits = _keys(seed, epoch), _bits(n)
    mask = np.uint64((1 << bits) - 1)

    def forward(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
        left, right = x >> np.uint64(bits), x & mask
        for key in keys:
            left, right = right, left ^ (mix(right + key) & mask)
        return left << np.uint64(bits) | right

    return _walk(position, n, forward)


@overload
def position_of(sequence: int, n: int, seed: int, epoch: int) -> int: ...
@overload
def position_of(sequence: NDArray[Any], n: int, seed: int, epoch: int) -> NDArray[np.int64]: ...
def position_of(sequence: int | NDArray[Any], n: int, seed: int, epoch: int) -> int | NDArray[np.int64]:
    """The position at which a sequence is seen: the inverse of `permute`."""
    keys, bits = _keys(seed, epoch), _bits(n)
    mask = np.uint64((1 << bits) - 1)

    def backward(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
        left, right = x >> np.uint64(bits), x & mask
        for key in reversed(keys):
            left, right = right ^ (mix(left + key) & mask), left
        return left << np.uint64(bits) | right

    return _walk(sequence, n, backward)


def taken(first: int, last: int, n: int, seed: int) -> NDArray[np.int64]:
    """The sequences at positions `first` to before `last`, counted through epochs of n, each in its own order."""
    epochs, positions = np.divmod(np.arange(first, last), n)
    return np.concatenate([permute(positions[epochs == epoch], n, seed, int(epoch)) for epoch in np.unique(epochs)])


def _walk(index: int | NDArray[Any], n: int, step: _Step) -> int | NDArray[np.int64]:
    start = np.atleast_1d(np.asarray(index))
    if start.size and not (start.min() >= 0 and start.max() < n):
        raise IndexError(f"index {index} is not in 0 … {n - 1}")
    x = step(start.astype(np.uint64))
    while (outside := x >= n).any():
        x[outside] = step(x[outside])
    return int(x[0]) if isinstance(index, int) else x.astype(np.int64)


def _bits(n: int) -> int:
    """Bits of half an index, so that 2^(2 bits) >= n."""
    return max(1, ((n - 1).bit_length() + 1) // 2)


def _keys(seed: int, epoch: int) -> list[np.uint64]:
    digest = hashlib.sha256(f"fonderie order {seed} {epoch}".encode()).digest()
    return [np.uint64(int.from_bytes(digest[8 * i : 8 * i + 8], "little")) for i in range(ROUNDS)]


def mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): every bit in reaches every bit out."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
