"""Keys and values of many requests, and the model's way over them: reading prompts, and going on, by rows.

A row is one token of one request. Whatever rows are computed together, each has the bits that it would have alone
(tiles.py, kernel.py): an answer does not depend on its neighbours, on how its prompt was cut, or on the threads.
Weights are laid out once for this, in their own precision; keys and values are kept in it too; everything between
is fp32. Models on a GPU are computed by `DeviceSlots`, those of other families by `SingleSlot`.

Shapes: N slots, R rows, C a chunk's tokens, W width, V vocabulary, L blocks.
"""

import math
import statistics
import threading
import time
from collections.abc import Sequence
from typing import Protocol

import numba
import numpy as np
import torch
from torch import Tensor

from fonderie.model.transformer import Block, Decoder
from fonderie.serve.engine.kernel import AT_ONCE, forward
from fonderie.serve.engine.tiles import LANES, Floats, Packed, numbers, pack, panels_of, product, room_for, widened

CHUNK = 64
"""Tokens of a prompt that are read at once, and that prompts are kept by: no answer waits longer for another's."""

TRIALS = 5
"""Of each number of threads, to see which is faster."""

Kept = tuple[Packed, ...] | tuple[Tensor, ...]
"""Keys and values of one chunk of one prompt."""

# Threads of two engines on the same cores would wait for each other at every product; and the simplest of numba's
# pools, where it finds no other, ends the process when two callers share it.
_ONE_AT_A_TIME = threading.Lock()


class Room(Protocol):
    """Where requests are computed: `Slots`, `DeviceSlots`, or the one slot of another model."""

    count: int
    context: int

    def read(self, slot: int, ids: Sequence[int], start: int) -> Tensor:
        """Read up to `CHUNK` tokens of one prompt, from position `start` on, a multiple of it; returns x_CW."""
        ...

    def go_on(self, slots: Sequence[int], tokens: Sequence[int], lengths: Sequence[int]) -> Tensor:
        """One token more for each of some slots, after so many; returns their x_RW."""
        ...

    def logits(self, x_RW: Tensor) -> Tensor:
        """The logits of any number of rows, fp32, on the CPU."""
        ...


class Slots:
    """Room for `count` requests of up to `context` tokens each, of a model on the processor."""

    def __init__(self, model: Decoder, count: int, threads: int | None = 1) -> None:
        """`threads` None takes one or all that there are, whichever is measured to be faster."""
        config, like = model.config, model.embedding.weight
        self.count = count
        self.context = config.context
        self._config = config
        most: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
        self._few = self._many = min(threads or 1, most)
        self._capacity = math.ceil(config.context / CHUNK) * CHUNK
        panels = panels_of(config.head_size)
        shape = config.depth, count, config.kv_heads
        self._keys = _room((*shape, self._capacity // LANES, config.head_size, LANES), like)
        self._values = _room((*shape, panels, self._capacity, LANES), like)
        self._weights, self._places, self._head = _packed(model)
        self._table = None if config.tied_embeddings else numbers(like.detach())
        self._norms, self._others = _norms(model)
        self._last_norm = _floats(model.norm.weight)
        self._cos, self._sin = model.rope_cos.numpy(), model.rope_sin.numpy()
        # The first call compiles, on a machine that has not done so before: now, and not while somebody waits.
        self.logits(self.read(0, [0], 0))
        if threads is None and most > 1:
            self._few, self._many = self._faster(1, most), self._faster(count, most)

    def _faster(self, rows: int, most: int) -> int:
        """1 thread or `most`, whichever takes so many rows sooner: their waiting for each other may cost more than
        they compute, as on virtual cores."""
        took: dict[int, list[float]] = {1: [], most: []}
        for threads in [1, most] * TRIALS:
            self._few = self._many = threads
            begun = time.perf_counter()
            self.logits(self.go_on(range(rows), [0] * rows, [0] * rows))
            took[threads].append(time.perf_counter() - begun)
        return min(took, key=lambda threads: statistics.median(took[threads]))

    def _threads(self, rows: int) -> int:
        return self._few if rows * rows <= self.count else self._many

    def read(self, slot: int, ids: Sequence[int], start: int) -> Tensor:
        """Read up to `CHUNK` tokens of one prompt, from position `start` on; returns x_CW."""
        together = max(1, AT_ONCE * self._config.kv_heads // self._config.heads)
        return self._rows([slot] * len(ids), ids, range(start, start + len(ids)), together)

    def go_on(self, slots: Sequence[int], tokens: Sequence[int], lengths: Sequence[int]) -> Tensor:
        """One token more for each of some slots, after so many; returns their x_RW."""
        return self._rows(slots, tokens, lengths, 1)

    def _rows(self, slots: Sequence[int], tokens: Sequence[int], positions: Sequence[int], together: int) -> Tensor:
        x_RW, config = self._embedded(np.array(tokens)), self._config
        threads = self._threads(len(tokens))
        with _ONE_AT_A_TIME:
            numba.set_num_threads(threads)
            forward(
                x_RW,
                together,
                np.array(positions),
                np.array(slots),
                self._weights,
                self._places,
                self._norms,
                *self._others,
                self._last_norm,
                self._cos,
                self._sin,
                self._keys,
                self._values,
                config.norms_after,
                config.norm_epsilon,
                config.window or self._capacity,
                config.heads,
                config.hidden,
                threads,
            )
        return torch.from_numpy(x_RW)

    def logits(self, x_RW: Tensor) -> Tensor:
        """The logits of any number of rows, fp32."""
        rows, panels = len(x_RW), panels_of(self._config.vocabulary)
        logits_RV = np.empty((rows, panels * LANES), np.float32)
        threads = self._threads(rows)
        with _ONE_AT_A_TIME:
            numba.set_num_threads(threads)
            x = np.ascontiguousarray(x_RW.numpy())
            product(x, rows, self._weights, self._head, self._config.width, panels, logits_RV, threads)
        return torch.from_numpy(logits_RV)[:, : self._config.vocabulary]

    def _embedded(self, ids_R: Packed) -> Floats:
        if self._table is not None:
            return widened(self._table[ids_R])
        width, vocabulary = self._config.width, panels_of(self._config.vocabulary)
        head_PWV = self._weights[self._head :][: vocabulary * width * LANES].reshape(vocabulary, width, LANES)
        return widened(head_PWV[ids_R // LANES, :, ids_R % LANES])

    def copied(self, slot: int, start: int) -> Kept:
        """Keys and values of one chunk."""
        panel = start // LANES
        keys = self._keys[:, slot, :, panel : panel + CHUNK // LANES].copy()
        return keys, self._values[:, slot, :, :, start : start + CHUNK].copy()

    def put(self, slot: int, start: int, kept: Kept) -> None:
        """Put back what `copied` gave."""
        panel = start // LANES
        self._keys[:, slot, :, panel : panel + CHUNK // LANES] = kept[0]
        self._values[:, slot, :, :, start : start + CHUNK] = kept[1]


def _room(shape: tuple[int, ...], like: Tensor) -> Packed:
    return room_for(math.prod(shape), like).reshape(shape)


def _matrices(block: Block) -> tuple[Tensor, ...]:
    attention, feed_forward = block.attention, block.feed_forward
    return (
        attention.qkv.weight,
        attention.output.weight,
        feed_forward.gate_up.weight,
        feed_forward.down.weight,
    )


def _packed(model: Decoder) -> tuple[Packed, Packed, int]:
    """All matrices one after the other, where those of each block begin [L, 4], and where the head does."""
    matrices = [matrix for block in model.blocks for matrix in _matrices(block)]  # type: ignore[arg-type]
    matrices.append(model.output_weight)
    sizes = [panels_of(matrix.shape[0]) * matrix.shape[1] * LANES for matrix in matrices]
    ends = np.cumsum(sizes)
    begins = ends - sizes
    weights = room_for(int(ends[-1]), model.embedding.weight)
    for matrix, begin, end in zip(matrices, begins, ends, strict=True):
        pack(matrix, weights[begin:end])
    return weights, begins[:-1].reshape(-1, 4), int(begins[-1])


def _norms(model: Decoder) -> tuple[Floats, tuple[Floats, Floats, Floats]]:
    """The two norms of each block [L, 2, W]; biases and norms of queries and keys [L, …], of no length if none."""
    blocks: list[Block] = list(model.blocks)  # type: ignore[arg-type]
    norms = [[_floats(block.attention_norm.weight), _floats(block.feed_forward_norm.weight)] for block in blocks]
    none = torch.zeros(0)

    def of_each(found: Sequence[Tensor | None]) -> Floats:
        return np.stack([_floats(none if one is None else one) for one in found])

    attentions = [block.attention for block in blocks]
    queries = [one.query_norm.weight if one.qk_norms else None for one in attentions]
    keys = [one.key_norm.weight if one.qk_norms else None for one in attentions]
    return np.array(norms), (of_each([one.qkv.bias for one in attentions]), of_each(queries), of_each(keys))


def _floats(tensor: Tensor) -> Floats:
    found: Floats = tensor.detach().float().numpy()
    return found
