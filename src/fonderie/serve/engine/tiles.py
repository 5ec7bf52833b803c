"""Matrix products of a few rows, in which every row has the bits that it would have alone.

A weight is laid out once in panels of 16 outputs, [panels, inputs, 16]. The sum of one row and one output then runs
over the inputs in their order, in one lane of a vector, whatever else is computed beside it: so its bits do not
depend on the number of rows, of threads, or on how rows and panels are grouped, and nothing has to be summed across
lanes. A weight is read once for up to eight rows, converted from bf16 where it is (16 bits more make it fp32).

No library promises as much, and numba's own vectoriser does not see it, so the innermost loop is written in LLVM's
own language, which any processor's vectors are made from. docs/log/0011-serving.md has what it gains.
"""

# ruff: noqa: ARG001 - what an intrinsic is given has names for those who call it
import math
from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numpy as np
import numpy.typing as npt
import torch
from llvmlite import ir
from numba import extending, njit, prange, types
from numba.core import cgutils
from torch import Tensor

LANES = 16
_ALIGNED_BYTES = 64
_WIDE = "avx512f" in llvmlite.binding.get_host_cpu_features() and bool(
    llvmlite.binding.get_host_cpu_features()["avx512f"]
)
# Panels that all rows pass over before the next ones: together they stay in the second cache.
TOGETHER = 48

Packed = npt.NDArray[Any]
"""Weights as they are multiplied with: float32, or bf16 as the uint16 that it is made of."""
Floats = npt.NDArray[np.float32]

_F32, _I32, _I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_FLOATS, _INTS = ir.VectorType(_F32, LANES), ir.VectorType(_I32, LANES)
_HALVES = ir.VectorType(ir.IntType(16), LANES)


def panels_of(outputs: int) -> int:
    """Panels that so many outputs fill, the last one up to its end with zeros."""
    return math.ceil(outputs / LANES)


def room_for(size: int, like: Tensor) -> Packed:
    """Memory for packed weights of a tensor's precision: zeros, aligned as vectors are read."""
    kind = np.dtype(np.uint16 if like.dtype == torch.bfloat16 else np.float32)
    raw = np.zeros(size * kind.itemsize + _ALIGNED_BYTES, np.uint8)
    begin = -raw.ctypes.data % _ALIGNED_BYTES
    return raw[begin : begin + size * kind.itemsize].view(kind)


def pack(weight_OI: Tensor, into: Packed) -> None:
    """Lay a weight [outputs, inputs] out in panels; `into` holds `panels_of(outputs) * inputs * LANES`."""
    outputs, inputs = weight_OI.shape
    values = numbers(weight_OI.detach())
    panels = into.reshape(panels_of(outputs), inputs, LANES)
    whole = outputs // LANES
    panels[:whole] = values[: whole * LANES].reshape(whole, LANES, inputs).transpose(0, 2, 1)
    if outputs % LANES:
        panels[whole, :, : outputs % LANES] = values[whole * LANES :].T


def numbers(tensor: Tensor) -> Packed:
    """A tensor's own memory as packed weights are typed."""
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.view(torch.uint16)
    found: Packed = tensor.numpy()
    return found


def widened(values: Packed) -> Floats:
    """Packed numbers as a new array of float32."""
    if values.dtype == np.float32:
        return np.array(values)
    return (values.astype(np.uint32) << 16).view(np.float32)


def intrinsic(written: Callable[..., Any]) -> Any:
    """numba's own, with numbers that are written out known by value; callers leave the compiler's argument out."""
    return extending.intrinsic(prefer_literal=True)(written)


def _pointer(context: Any, builder: Any, kind: Any, array: Any, offset: Any) -> Any:
    """Where an array's element of that number is."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.gep(data, [offset], source_etype=context.get_data_type(kind.dtype))


def _as_floats(builder: Any, halves: Any) -> Any:
    """A vector of bfloat16 as float32, whose upper half it is."""
    shift = ir.Constant(_INTS, [16] * LANES)
    return builder.bitcast(builder.shl(builder.zext(halves, _INTS), shift), _FLOATS)


def _in_every_lane(builder: Any, value: Any) -> Any:
    """A vector that holds one number everywhere."""
    first = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, first, ir.Constant(_INTS, [0] * LANES))


@intrinsic
def tile(  # noqa: PLR0917
    _typing: Any,
    rows: Any,
    panels: Any,
    x: Any,
    x_at: Any,
    x_step: Any,
    w: Any,
    w_at: Any,
    w_step: Any,
    inputs: Any,
    y: Any,
    y_at: Any,
    y_step: Any,
) -> Any:
    """`rows` rows of x times `panels` panels of w, into y. The steps lead from row to row, from panel to panel.

    x, w and y are arrays of one dimension, and `*_at` elements of theirs; rows and panels are written as numbers.
    """
    R, P = rows.literal_value, panels.literal_value
    halves = w.dtype == types.uint16
    signature = types.void(rows, panels, x, *[types.int64] * 2, w, *[types.int64] * 3, y, *[types.int64] * 2)

    def code(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        _, _, x_array, x_first, x_stride, w_array, w_first, w_stride, count, y_array, y_first, y_stride = arguments
        fused = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module, ir.FunctionType(_FLOATS, [_FLOATS] * 3), f"llvm.fmuladd.v{LANES}f32"
        )

        def at(kind: Any, array: Any, offset: Any, vector: Any) -> Any:
            return builder.bitcast(_pointer(context, builder, kind, array, offset), vector.as_pointer())

        def along(first: Any, step: Any, number: int) -> Any:
            return builder.add(first, builder.mul(step, ir.Constant(_I64, number)))

        before, loop = builder.block, builder.append_basic_block("inputs")
        body, done = builder.append_basic_block("sums"), builder.append_basic_block("done")
        builder.branch(loop)
        builder.position_at_end(loop)
        k = builder.phi(_I64)
        k.add_incoming(ir.Constant(_I64, 0), before)
        sums = [[builder.phi(_FLOATS) for _ in range(P)] for _ in range(R)]
        for one in (one for row in sums for one in row):
            one.add_incoming(ir.Constant(_FLOATS, [0.0] * LANES), before)
        builder.cbranch(builder.icmp_signed("<", k, count), body, done)

        builder.position_at_end(body)
        lane = builder.mul(k, ir.Constant(_I64, LANES))
        weights = []
        for p in range(P):
            place = at(w, w_array, builder.add(along(w_first, w_stride, p), lane), _HALVES if halves else _FLOATS)
            read = builder.load(place, align=w.dtype.bitwidth // 8)
            weights.append(_as_floats(builder, read) if halves else read)
        for r in range(R):
            value = builder.load(at(x, x_array, builder.add(along(x_first, x_stride, r), k), _F32), align=4)
            spread = _in_every_lane(builder, value)
            for p in range(P):
                sums[r][p].add_incoming(builder.call(fused, [spread, weights[p], sums[r][p]]), body)
        k.add_incoming(builder.add(k, ir.Constant(_I64, 1)), body)
        builder.branch(loop)

        builder.position_at_end(done)
        for r in range(R):
            for p in range(P):
                place = builder.add(along(y_first, y_stride, r), ir.Constant(_I64, p * LANES))
                builder.store(sums[r][p], at(y, y_array, place, _FLOATS), align=4)
        return context.get_dummy_value()

    return signature, code


def _strip(rows: int, panels: int) -> Any:
    """A function that multiplies rows by the panels that fill whole tiles; returns the first that is left over."""

    @njit(nogil=True, error_model="numpy", cache=True)
    def strip(  # noqa: PLR0917
        x: Floats,
        x_at: int,
        x_step: int,
        w: Packed,
        w_at: int,
        w_step: int,
        inputs: int,
        y: Floats,
        y_at: int,
        y_step: int,
        first: int,
        last: int,
    ) -> int:
        while first + panels <= last:
            at, to = w_at + first * w_step, y_at + first * LANES
            tile(rows, panels, x, x_at, x_step, w, at, w_step, inputs, y, to, y_step)
            first += panels
        return first

    return strip


# As many sums at once as there are registers for them, 32 of 512 bits or 16 of 256; and for what is left over, and
# for the four panels of a head of 64, fewer.
_8, _8_left = _strip(8, 3 if _WIDE else 1), _strip(8, 1)
_4, _4_left = _strip(4, 4 if _WIDE else 2), _strip(4, 1)
_2, _2_less, _2_left = _strip(2, 8 if _WIDE else 4), _strip(2, 4), _strip(2, 1)
_1, _1_less, _1_left = _strip(1, 16 if _WIDE else 8), _strip(1, 4), _strip(1, 1)


@njit(nogil=True, error_model="numpy", cache=True)
def multiply(  # noqa: PLR0917
    x: Floats,
    x_at: int,
    x_step: int,
    rows: int,
    w: Packed,
    w_at: int,
    w_step: int,
    inputs: int,
    y: Floats,
    y_at: int,
    y_step: int,
    first: int,
    last: int,
) -> None:
    """Rows of x times the panels `first` to `last` of w, into y, whose rows have room for whole panels."""
    for begin in range(first, last, TOGETHER):
        end, r = min(begin + TOGETHER, last), 0
        while r < rows:
            i, o, p, left = x_at + r * x_step, y_at + r * y_step, begin, rows - r
            if left >= 8:
                p = _8(x, i, x_step, w, w_at, w_step, inputs, y, o, y_step, p, end)
                _8_left(x, i, x_step, w, w_at, w_step, inputs, y, o, y_step, p, end)
                r += 8
            elif left >= 4:
                p = _4(x, i, x_step, w, w_at, w_step, inputs, y, o, y_step, p, end)
                _4_left(x, i, x_step, w, w_at, w_step, inputs, y, o, y_step, p, end)
                r += 4
            elif left >= 2:
                p = _2(x, i, x_step, w, w_at, w_step, inputs, y, o, y_step, p, end)
                p = _2_less(x, i, x_step, w, w_at, w_step, inputs, y, o, y_step, p, end)
                _2_left(x, i, x_step, w, w_at, w_step, inputs, y, o, y_step, p, end)
                r += 2
            else:
                p = _1(x, i, x_step, w, w_at, w_step, inputs, y, o, y_step, p, end)
                p = _1_less(x, i, x_step, w, w_at, w_step, inputs, y, o, y_step, p, end)
                _1_left(x, i, x_step, w, w_at, w_step, inputs, y, o, y_step, p, end)
                r += 1


@njit(nogil=True, error_model="numpy", cache=True, parallel=True)
def product(  # noqa: PLR0917
    x_RK: Floats, rows: int, w: Packed, w_at: int, inputs: int, panels: int, y_RN: Floats, threads: int
) -> None:
    """Rows of x times a weight that begins at `w_at`, the panels shared out over threads."""
    x, y = x_RK.reshape(-1), y_RN.reshape(-1)
    step = inputs * LANES
    for thread in prange(threads):
        first, last = panels * thread // threads, panels * (thread + 1) // threads
        multiply(x, 0, x_RK.shape[1], rows, w, w_at, step, inputs, y, 0, y_RN.shape[1], first, last)
