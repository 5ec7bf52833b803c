"""What a block does between its matrix products, for rows that each belong to a request.

Every function treats a row by itself and reads nothing of another's, so that its bits are the same whatever else is
computed. Keys and values are kept in the panels that products read (tiles.py): those of one request and head are
keys [S / 16, D, 16] and values [D / 16, S, 16], so attention is two products of few rows as well, over the
keys of its own request and no others.

Shapes: R rows, W width, H query heads, K key-value heads, G = H / K query heads to each, D head size, E head size
filled up to whole panels, S positions.
"""

# ruff: noqa: ARG001 - what an intrinsic is given has names for those who call it
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, prange, types
from numba.core.errors import TypingError

from fonderie.serve.engine.tiles import LANES, Floats, Packed, intrinsic, multiply, product

Ints = npt.NDArray[np.int64]

AT_ONCE = 8
"""Queries of one request and head that attention treats together."""


@njit(nogil=True, cache=True)
def filled(size: int) -> int:
    """A size filled up to whole panels."""
    return (size + LANES - 1) // LANES * LANES


@intrinsic
def _power_of_two(_typing: Any, exponent: Any) -> Any:
    """2 to the power of an int32, -126 to 127, as float32."""

    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        bits = builder.shl(
            builder.add(arguments[0], ir.Constant(ir.IntType(32), 127)), ir.Constant(ir.IntType(32), 23)
        )
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(types.int32), code


@intrinsic
def _kept(_typing: Any, value: Any, like: Any) -> Any:
    """A float32 as an array keeps it: itself, or rounded to bf16, to even, as the uint16 that it is made of."""
    if like.dtype == types.float32:
        return types.float32(value, like), lambda _context, _builder, _signature, arguments: arguments[0]
    if like.dtype != types.uint16:
        raise TypingError(f"nothing is kept as {like.dtype}")

    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        number = ir.IntType(32)
        bits = builder.bitcast(arguments[0], number)
        last = builder.and_(builder.lshr(bits, ir.Constant(number, 16)), ir.Constant(number, 1))
        rounded = builder.add(bits, builder.add(last, ir.Constant(number, 0x7FFF)))
        return builder.trunc(builder.lshr(rounded, ir.Constant(number, 16)), ir.IntType(16))

    return types.uint16(value, like), code


@njit(nogil=True, error_model="numpy", cache=True, fastmath={"contract", "nsz"})
def exponential(x: np.float32) -> np.float32:
    """e to the power of x, to 2e-7 of its value between -87 and 88, and as at these beyond them.

    By Taylor's series to the seventh power within half a factor of two, so that vectors are computed at once.
    """
    x = min(max(x, np.float32(-87.0)), np.float32(88.0))
    power = np.floor(x * np.float32(1.44269504) + np.float32(0.5))
    # ln 2 in two parts, the first with few enough bits that its multiples are exact.
    rest = (x - power * np.float32(0.693359375)) - power * np.float32(-2.12194440e-4)
    series = np.float32(1 / 5040)
    series = series * rest + np.float32(1 / 720)
    series = series * rest + np.float32(1 / 120)
    series = series * rest + np.float32(1 / 24)
    series = series * rest + np.float32(1 / 6)
    series = series * rest + np.float32(0.5)
    series = series * rest + np.float32(1.0)
    series = series * rest + np.float32(1.0)
    value: np.float32 = series * _power_of_two(np.int32(power))
    return value


@njit(nogil=True, error_model="numpy", cache=True, fastmath={"reassoc", "contract", "nsz"})
def norm_row(x: Floats, weight: Floats, epsilon: float, out: Floats) -> None:
    """Root mean square norm with a scale."""
    size = len(weight)
    total = np.float32(0.0)
    for i in range(size):
        total += x[i] * x[i]
    scale = np.float32(1.0) / np.sqrt(total / np.float32(size) + np.float32(epsilon))
    for i in range(size):
        out[i] = x[i] * scale * weight[i]


@njit(nogil=True, error_model="numpy", cache=True, parallel=True)
def norm(x_RW: Floats, rows: int, weight: Floats, epsilon: float, out_RW: Floats) -> None:
    """Of each row; without a weight, the row as it is."""
    for r in prange(rows):
        x, out = x_RW[r], out_RW[r]
        if len(weight) > 0:
            norm_row(x, weight, epsilon, out)
        else:
            for i in range(len(x)):  # a row at once would bring numba's error messages along, 6 s of compiling
                out[i] = x[i]


@njit(nogil=True, error_model="numpy", cache=True, parallel=True)
def add(x_RW: Floats, rows: int, added_RW: Floats, weight: Floats, epsilon: float) -> None:
    """Add to each row what a block computed, normed first where there is a weight for it."""
    for r in prange(rows):
        x, added = x_RW[r], added_RW[r]
        if len(weight) > 0:
            norm_row(added, weight, epsilon, added)
        for i in range(len(x)):
            x[i] += added[i]


@njit(nogil=True, error_model="numpy", cache=True, fastmath={"contract", "nsz"}, parallel=True)
def gate(gate_up_RN: Floats, rows: int, hidden: int, out_RF: Floats) -> None:
    """SwiGLU: silu(gate) * up, the gates before the ups in each row."""
    for r in prange(rows):
        gates, ups, out = gate_up_RN[r, :hidden], gate_up_RN[r, hidden : 2 * hidden], out_RF[r]
        for i in range(len(out)):
            out[i] = gates[i] / (np.float32(1.0) + exponential(-gates[i])) * ups[i]


@njit(nogil=True, error_model="numpy", cache=True, fastmath={"contract", "nsz"})
def _turn(first: Floats, second: Floats, cos: Floats, sin: Floats) -> None:
    """Rotary position of one head's halves: the pairs that `fonderie.model.attention.rotate` turns."""
    for i in range(len(cos)):
        a, b = first[i], second[i]
        first[i] = a * cos[i] - b * sin[i]
        second[i] = b * cos[i] + a * sin[i]


@njit(nogil=True, error_model="numpy", cache=True, parallel=True)
def place(  # noqa: PLR0917
    qkv_RN: Floats,
    rows: int,
    bias: Floats,
    query_norm: Floats,
    key_norm: Floats,
    epsilon: float,
    cos_SD: Floats,
    sin_SD: Floats,
    positions_R: Ints,
    slots_R: Ints,
    keys_NKPDV: Packed,
    values_NKESV: Packed,
    heads: int,
    D: int,
) -> None:
    """Bias, norms and rotary positions of queries and keys; keys and values go to where their request has them."""
    K = keys_NKPDV.shape[1]
    for r in prange(rows):
        x, slot, position = qkv_RN[r], slots_R[r], positions_R[r]
        for i in range(len(bias)):
            x[i] += bias[i]
        if len(query_norm) > 0:
            # Of each head where the weight is as long as one, of all together where it is longer.
            for begin in range(0, heads * D, len(query_norm)):
                norm_row(x[begin:], query_norm, epsilon, x[begin:])
            for begin in range(heads * D, (heads + K) * D, len(key_norm)):
                norm_row(x[begin:], key_norm, epsilon, x[begin:])
        for head in range(heads + K):
            both = x[head * D : (head + 1) * D]
            _turn(both[: D // 2], both[D // 2 :], cos_SD[position], sin_SD[position])
        panel, lane = position // LANES, position % LANES
        for head in range(K):
            key, value = x[(heads + head) * D :], x[(heads + K + head) * D :]
            for d in range(D):
                keys_NKPDV[slot, head, panel, d, lane] = _kept(key[d], keys_NKPDV)
                values_NKESV[slot, head, d // LANES, position, d % LANES] = _kept(value[d], values_NKESV)


@njit(nogil=True, error_model="numpy", cache=True, fastmath={"reassoc", "nsz", "nnan"})
def _highest(scores: Floats) -> np.float32:
    highest: np.float32 = scores[0]
    for s in range(len(scores)):
        highest = max(highest, scores[s])
    return highest


@njit(nogil=True, error_model="numpy", cache=True, fastmath={"reassoc", "contract", "nsz"})
def _weigh(scores: Floats, begin: int, stop: int) -> np.float32:
    """Scores of the keys `begin` to `stop` to their exponentials, all others to zero; their sum."""
    scores[:begin] = np.float32(0.0)
    scores[stop:] = np.float32(0.0)
    seen = scores[begin:stop]
    highest, total = _highest(seen), np.float32(0.0)
    for s in range(len(seen)):
        seen[s] = exponential(seen[s] - highest)
    for s in range(len(seen)):
        total += seen[s]
    return total


@njit(nogil=True, error_model="numpy", cache=True, parallel=True)
def attend(  # noqa: PLR0917
    qkv_RN: Floats,
    rows: int,
    together: int,
    positions_R: Ints,
    slots_R: Ints,
    keys_NKPDV: Packed,
    values_NKESV: Packed,
    window: int,
    heads: int,
    D: int,
    y_RC: Floats,
) -> None:
    """What each row's queries read of its request's keys and values up to its position, the last `window` of them.

    Of each `together` rows that follow each other, all belong to one request and stand at positions that follow.
    """
    _, K, P, _, _ = keys_NKPDV.shape
    S, E, G = P * LANES, values_NKESV.shape[2] * LANES, heads // K
    scale = np.float32(1.0 / np.sqrt(np.float32(D)))
    keys, values = keys_NKPDV.reshape(-1), values_NKESV.reshape(-1)
    for item in prange((rows + together - 1) // together * K):
        row, head = item // K * together, item % K
        count = min(together, rows - row)
        queries, of_head = count * G, slots_R[row] * K + head
        # From the panel with the first key that one of these rows sees, to the last key.
        first = max(0, positions_R[row] + 1 - window) // LANES
        seen = positions_R[row + count - 1] + 1 - first * LANES
        panels = (seen + LANES - 1) // LANES
        q, y = np.empty(queries * D, np.float32), np.empty(queries * E, np.float32)
        scores, totals = np.empty(queries * panels * LANES, np.float32), np.empty(queries, np.float32)
        for i in range(queries):
            query, scaled = qkv_RN[row + i // G, (head * G + i % G) * D :], q[i * D :]
            for d in range(D):
                scaled[d] = query[d] * scale
        at, step = (of_head * P + first) * D * LANES, panels * LANES
        multiply(q, 0, D, queries, keys, at, D * LANES, D, scores, 0, step, 0, panels)
        for i in range(queries):
            stop = positions_R[row + i // G] + 1 - first * LANES
            totals[i] = _weigh(scores[i * step : i * step + seen], max(0, stop - window), stop)
        at = of_head * E * S + first * LANES * LANES
        # No further than the last key: what stands beyond it is another request's, and may be anything.
        multiply(scores, 0, step, queries, values, at, S * LANES, seen, y, 0, E, 0, E // LANES)
        for i in range(queries):
            read, summed = y_RC[row + i // G, (head * G + i % G) * D :], y[i * E :]
            for d in range(D):
                read[d] = summed[d] / totals[i]


@njit(nogil=True, error_model="numpy", cache=True)
def forward(  # noqa: PLR0917
    x_RW: Floats,
    together: int,
    positions_R: Ints,
    slots_R: Ints,
    weights: Packed,
    places_L4: Ints,
    norms_L2W: Floats,
    biases_LN: Floats,
    query_norms_LD: Floats,
    key_norms_LD: Floats,
    last_norm_W: Floats,
    cos_SD: Floats,
    sin_SD: Floats,
    keys_LNKPDV: Packed,
    values_LNKESV: Packed,
    norms_after: bool,
    epsilon: float,
    window: int,
    heads: int,
    hidden: int,
    threads: int,
) -> None:
    """All blocks and the last norm, in place: rows of the residual stream in, normed rows out.

    `places_L4` says where in `weights` the four matrices of each block begin: queries, keys and values; output;
    gate and up; down. Norms and biases that a family lacks are arrays of no length.
    """
    R, W = x_RW.shape
    K, D = keys_LNKPDV.shape[2], keys_LNKPDV.shape[4]
    C, N = heads * D, (heads + 2 * K) * D
    no_norm = last_norm_W[:0]
    width = filled(W)
    h_RW, added_RW = np.empty((R, W), np.float32), np.empty((R, width), np.float32)
    qkv_RN, y_RC = np.empty((R, filled(N)), np.float32), np.empty((R, C), np.float32)
    gate_up_RN, inner_RF = np.empty((R, filled(2 * hidden)), np.float32), np.empty((R, hidden), np.float32)
    for block in range(len(places_L4)):
        first_norm, second_norm = norms_L2W[block, 0], norms_L2W[block, 1]
        after, places = (first_norm if norms_after else no_norm), places_L4[block]
        keys_NKPDV, values_NKESV = keys_LNKPDV[block], values_LNKESV[block]
        norm(x_RW, R, no_norm if norms_after else first_norm, epsilon, h_RW)
        product(h_RW, R, weights, places[0], W, filled(N) // LANES, qkv_RN, threads)
        place(
            qkv_RN, R, biases_LN[block], query_norms_LD[block], key_norms_LD[block], epsilon, cos_SD, sin_SD,
            positions_R, slots_R, keys_NKPDV, values_NKESV, heads, D,
        )  # fmt: skip
        attend(qkv_RN, R, together, positions_R, slots_R, keys_NKPDV, values_NKESV, window, heads, D, y_RC)
        product(y_RC, R, weights, places[1], C, width // LANES, added_RW, threads)
        add(x_RW, R, added_RW, after, epsilon)
        norm(x_RW, R, no_norm if norms_after else second_norm, epsilon, h_RW)
        product(h_RW, R, weights, places[2], W, filled(2 * hidden) // LANES, gate_up_RN, threads)
        gate(gate_up_RN, R, hidden, inner_RF)
        product(inner_RF, R, weights, places[3], hidden, width // LANES, added_RW, threads)
        add(x_RW, R, added_RW, second_norm if norms_after else no_norm, epsilon)
    norm(x_RW, R, last_norm_W, epsilon, x_RW)
