"""Goldfish loss: some targets are left out, always the same ones after the same tokens, so that no text is learnt
by heart (Hans et al., arXiv 2406.10209, section 3.1).

A target does not count if a hash of the `context` tokens before it (the paper's h) is a multiple of `every` (its
k). So a passage that the corpus holds a hundred times lacks the same targets each time, and what is left out can be
told from the ids alone, by anyone. A target with fewer tokens before it in its sequence always counts.

The hash is ours (the paper leaves it open; its program multiplies the ids, which an id of 0 makes the same for any
context): SplitMix64's finaliser of the sum of the finalisers of (id + 1) · odd^distance.
"""

import numpy as np
from numpy.typing import NDArray

from fonderie.train.data.order import mix

# SplitMix64's increment (Steele, Lea and Flood, OOPSLA 2014): an odd number whose powers spread over all bits.
ODD = 0x9E3779B97F4A7C15


def counted(ids: NDArray[np.int64], *, every: int, context: int) -> NDArray[np.bool_]:
    """Which targets count, [B, T], of ids [B, T + 1]: about 1 - 1 / every of them.

    ValueError for `every` below 2, with which nothing would count, and for a `context` of no tokens.
    """
    if every < 2 or context < 1:
        raise ValueError(f"every = {every} and context = {context}: at least 2 and 1 are needed")
    targets = ids.shape[1] - 1
    counts = np.ones((ids.shape[0], targets), dtype=np.bool_)
    if targets >= context:
        hashes = np.zeros((ids.shape[0], ids.shape[1] - context), dtype=np.uint64)
        for distance in range(1, context + 1):
            # Target j, from `context` on, sees at this distance the id at j - distance.
            seen = ids[:, context - distance : ids.shape[1] - distance].astype(np.uint64)
            hashes += mix((seen + np.uint64(1)) * np.uint64(pow(ODD, distance, 1 << 64)))
        counts[:, context - 1 :] = mix(hashes) % np.uint64(every) != 0
    return counts
