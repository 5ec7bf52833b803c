"""Keys and values of many requests on a GPU, where the model's own products and attention compute.

The same room as `Slots` without its promise: a row's bits may depend there on how many are computed with it.

Shapes: N slots, R rows, C a chunk's tokens, S positions, K key-value heads, D head size, L blocks, W width.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from fonderie.model.attention import causal_attention
from fonderie.model.transformer import Decoder
from fonderie.serve.engine.slots import CHUNK, Kept


class DeviceSlots:
    """Room for `count` requests of up to `context` tokens each, wherever the model is."""

    def __init__(self, model: Decoder, count: int) -> None:
        config, like = model.config, model.embedding.weight
        self.model, self.count, self.context = model, count, config.context
        self.capacity = math.ceil(config.context / CHUNK) * CHUNK
        shape = (config.depth, 2, count, config.kv_heads, self.capacity, config.head_size)
        self.kv_L2NKSD = torch.zeros(shape, dtype=like.dtype, device=like.device)

    def read(self, slot: int, ids: Sequence[int], start: int) -> Tensor:
        """Read up to `CHUNK` tokens of one prompt, from position `start` on; returns x_CW."""
        view = _Prompt(self, slot, start)
        return self.model.hidden(torch.tensor([list(ids)], device=self.kv_L2NKSD.device), view)[0]

    def go_on(self, slots: Sequence[int], tokens: Sequence[int], lengths: Sequence[int]) -> Tensor:
        """One token more for each of some slots, after so many; returns their x_RW."""
        device = self.kv_L2NKSD.device
        view = _Step(self, torch.tensor(list(slots), device=device), torch.tensor(list(lengths), device=device))
        return self.model.hidden(torch.tensor(list(tokens), device=device)[:, None], view)[:, 0]

    def logits(self, x_RW: Tensor) -> Tensor:
        """The logits of any number of rows, fp32, on the CPU."""
        return functional.linear(x_RW, self.model.output_weight).float().cpu()

    def copied(self, slot: int, start: int) -> Kept:
        """Keys and values of one chunk."""
        return (self.kv_L2NKSD[:, :, slot, :, start : start + CHUNK].clone(),)

    def put(self, slot: int, start: int, kept: Kept) -> None:
        """Put back what `copied` gave."""
        (kv_L2KCD,) = kept
        self.kv_L2NKSD[:, :, slot, :, start : start + CHUNK] = torch.as_tensor(kv_L2KCD)


class _Prompt:
    """A chunk of one prompt: causal attention over what the slot holds."""

    def __init__(self, slots: DeviceSlots, slot: int, start: int) -> None:
        self._slots, self._slot, self._start, self._index = slots, slot, start, 0
        self.length = start

    def positions(self, tokens: int) -> slice:
        return slice(self._start, self._start + tokens)

    def layer(self, index: int) -> "_Prompt":
        self._index = index
        return self

    def attend(self, q_BTHD: Tensor, k_BKTD: Tensor, v_BKTD: Tensor, window: int | None) -> Tensor:
        stop = self._start + q_BTHD.shape[1]
        k_BKSD, v_BKSD = self._slots.kv_L2NKSD[self._index, :, self._slot : self._slot + 1, :, :stop]
        k_BKSD[:, :, self._start :], v_BKSD[:, :, self._start :] = k_BKTD, v_BKTD
        return causal_attention(q_BTHD, k_BKSD, v_BKSD, window=window)

    def advance(self, tokens: int) -> None:
        """The scheduler counts."""


class _Step:
    """One token of each of some slots, at a position of its own."""

    def __init__(self, slots: DeviceSlots, slots_R: Tensor, lengths_R: Tensor) -> None:
        self._slots, self._slots_R, self._lengths_R, self._index = slots, slots_R, lengths_R, 0
        self.length = int(lengths_R.max())

    def positions(self, tokens: int) -> Tensor:
        assert tokens == 1
        return self._lengths_R[:, None]

    def layer(self, index: int) -> "_Step":
        self._index = index
        return self

    def attend(self, q_BTHD: Tensor, k_BKTD: Tensor, v_BKTD: Tensor, window: int | None) -> Tensor:
        k_NKSD, v_NKSD = self._slots.kv_L2NKSD[self._index]
        k_NKSD[self._slots_R, :, self._lengths_R] = k_BKTD[:, :, 0]
        v_NKSD[self._slots_R, :, self._lengths_R] = v_BKTD[:, :, 0]
        k_RKSD, v_RKSD = k_NKSD[self._slots_R, :, : self.length + 1], v_NKSD[self._slots_R, :, : self.length + 1]
        y_RHTD = functional.scaled_dot_product_attention(
            q_BTHD.transpose(1, 2), k_RKSD, v_RKSD, attn_mask=self._seen(window), enable_gqa=True
        )
        return y_RHTD.transpose(1, 2).flatten(2)

    def _seen(self, window: int | None) -> Tensor:
        """True where a key is not after its query, nor before its window; [R, 1, 1, S]."""
        keys_S, own_R1 = torch.arange(self.length + 1, device=self._lengths_R.device), self._lengths_R[:, None]
        seen_RS = keys_S <= own_R1
        if window is not None:
            seen_RS &= keys_S > own_R1 - window
        return seen_RS[:, None, None]

    def advance(self, tokens: int) -> None:
        """The scheduler counts."""
