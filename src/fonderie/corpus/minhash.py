"""MinHash signatures of word 5-grams, and the pairs that banding finds (Broder 1997; Leskovec et al., chapter 3).

14 bands of 8 rows as Lucie and FineWeb use them (arXiv 2503.12294, 2406.17557): two texts of Jaccard similarity s
share a band with probability 1 - (1 - s^8)^14, which is 0.92 at s = 0.8 and 0.99998 at s = 0.95.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fonderie.core.digest import digest_text
from fonderie.corpus.measures import words

NGRAM = 5
BANDS, ROWS = 14, 8
_BLOCK = 4_096

Signature = npt.NDArray[np.uint32]


def _coefficients() -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    generator = np.random.Generator(np.random.PCG64(20210421))
    a = generator.integers(0, 1 << 64, BANDS * ROWS, dtype=np.uint64) | np.uint64(1)
    b = generator.integers(0, 1 << 64, BANDS * ROWS, dtype=np.uint64)
    return a, b


_A, _B = _coefficients()


def shingles(text: str) -> npt.NDArray[np.uint64]:
    """Hashes (32 bits in u64) of the distinct word 5-grams, case folded; of all words if there are fewer."""
    found = [word.casefold() for word in words(text)]
    grams = {" ".join(found[i : i + NGRAM]) for i in range(max(1, len(found) - NGRAM + 1))}
    return np.array(sorted(_hash(gram) for gram in grams), dtype=np.uint64)


def _hash(gram: str) -> int:
    return int(digest_text(gram)[7:15], 16)


def signature(text: str) -> Signature:
    """112 minima, u32, of multiply-shift permutations of the shingles' hashes."""
    hashes = shingles(text)
    minima = np.full(BANDS * ROWS, np.iinfo(np.uint32).max, dtype=np.uint32)
    for start in range(0, len(hashes), _BLOCK):
        # The multipliers have 64 bits, so that products wrap: without wrapping, every "permutation" would keep the
        # order of the hashes. The upper half is the usual multiply-shift hash (Dietzfelbinger et al. 1997).
        block = (hashes[start : start + _BLOCK, None] * _A + _B) >> np.uint64(32)
        minima = np.minimum(minima, block.min(axis=0).astype(np.uint32))
    return minima


def bands(signature: Signature) -> Iterator[bytes]:
    """A key per band; texts with an equal key are candidates."""
    for band in range(BANDS):
        yield bytes([band]) + signature[band * ROWS : (band + 1) * ROWS].tobytes()


def similarity(one: Signature, other: Signature) -> float:
    """The share of equal minima: an estimate of Jaccard similarity with a standard error of at most 0.05."""
    return float(np.mean(one == other))
