"""Attention of one new token for each request, over the keys of its own and no others.

As matrix products these are hundreds of tiny ones, each with more set-up than work: 2 to 3 times as slow. And a
loop over one request's keys has the same bits whatever the others do.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[np.float32]


@njit(nogil=True, error_model="numpy", cache=True, fastmath={"reassoc", "contract", "nsz"})
def attend(  # noqa: PLR0917
    q_NHD: Array,
    new_k_NKD: Array,
    new_v_NKD: Array,
    k_NKSD: Array,
    v_NKSD: Array,
    lengths_N: npt.NDArray[np.int64],
    window: int,
    y_NHD: Array,
) -> None:
    """Softmax attention of each query, scaled already, over its keys 0 to its length, the last `window` of them.

    The new keys and values are put at each request's length first.
    Query head h reads key-value head h // (H / K), as everywhere in this project.
    """
    N, H, D = q_NHD.shape
    group = H // k_NKSD.shape[1]
    scores = np.empty(k_NKSD.shape[2], np.float32)
    for n in range(N):
        stop = lengths_N[n] + 1
        start = max(0, stop - window)
        k_NKSD[n, :, stop - 1], v_NKSD[n, :, stop - 1] = new_k_NKD[n], new_v_NKD[n]
        for h in range(H):
            q, k, v, y = q_NHD[n, h], k_NKSD[n, h // group], v_NKSD[n, h // group], y_NHD[n, h]
            highest = np.float32(-np.inf)
            for s in range(start, stop):
                score = np.float32(0.0)
                for d in range(D):
                    score += q[d] * k[s, d]
                scores[s] = score
                highest = max(highest, score)
            total = np.float32(0.0)
            y[:] = 0.0
            for s in range(start, stop):
                p = np.exp(scores[s] - highest)
                total += p
                for d in range(D):
                    y[d] += p * v[s, d]
            for d in range(D):
                y[d] /= total
