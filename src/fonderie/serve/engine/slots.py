"""Keys and values of many requests in one tensor, and the model's two ways over them: reading a prompt, going on.

An answer must not depend on its neighbours, to the bit. So every tensor that a request's numbers pass through has a
shape that does not depend on them either, or only in ways that leave its bits alone:
- prompts are read alone, in chunks of `CHUNK` tokens counted from their start, the last one filled up;
- going on, the matrix products have a multiple of so many rows that the bits of one are the same whatever their
  number: 1 with weights packed in bf16, 16 in fp32, whose products of fewer rows take other kernels. `steady_rows`
  finds it for the weights at hand, and where nothing holds there are always as many rows as slots;
- attention reads a request's own keys and no others, in a loop of its own (kernel.py); on a GPU it is masked, and
  there nothing is promised to the bit.

Shapes: N slots, R rows, C a chunk's tokens, S positions, K key-value heads, G query heads to each, D head size,
L blocks.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from fonderie.model.attention import causal_attention
from fonderie.model.transformer import Decoder
from fonderie.serve.engine.kernel import attend
from fonderie.serve.engine.packed import Product, pack

CHUNK = 64


class Room(Protocol):
    """Where requests are computed: `Slots`, or the one slot of another model."""

    count: int
    context: int
    capacity: int

    def read(self, slot: int, ids: Sequence[int], start: int) -> Tensor:
        """Read a chunk of one prompt, from position `start` on, a multiple of `CHUNK`; returns its x_CW."""
        ...

    def go_on(self, tokens: Sequence[int], lengths: Sequence[int]) -> Tensor:
        """One token more for each of the first slots, after so many; returns their x_RW."""
        ...

    def logits(self, x_RW: Tensor) -> Tensor:
        """The logits of any number of rows, fp32, on the CPU."""
        ...


class Slots:
    """Room for `count` requests of up to `context` tokens each."""

    def __init__(self, model: Decoder, count: int) -> None:
        config, like = model.config, model.embedding.weight
        self.model = model
        self.count = count
        self.context = config.context
        self.capacity = math.ceil(config.context / CHUNK) * CHUNK
        shape = (config.depth, 2, count, config.kv_heads, self.capacity, config.head_size)
        # On a processor in fp32 whatever the weights are: the kernel reads no other.
        kept = torch.float32 if like.device.type == "cpu" else like.dtype
        self.kv_L2NKSD = torch.zeros(shape, dtype=kept, device=like.device)
        self._head = Product(model.output_weight)
        self.rows = steady_rows([*pack(model.blocks), self._head], most=count) or count

    def read(self, slot: int, ids: Sequence[int], start: int) -> Tensor:
        """Read a chunk of one prompt, from position `start` on, a multiple of `CHUNK`; returns its x_CW."""
        padded = [*ids, *[0] * (CHUNK - len(ids))]
        view = _Prompt(self, slot, start)
        hidden_BTW = self.model.hidden(torch.tensor([padded], device=self.kv_L2NKSD.device), view)
        return hidden_BTW[0, : len(ids)]

    def go_on(self, tokens: Sequence[int], lengths: Sequence[int]) -> Tensor:
        """One token more for each of the first slots, after so many; returns their x_RW.

        A slot that is idle, or whose prompt is being read, is given any token: what it writes lies at its length,
        where the next token overwrites it.
        """
        rows = math.ceil(len(tokens) / self.rows) * self.rows
        device = self.kv_L2NKSD.device
        ids_R1 = torch.zeros(rows, 1, dtype=torch.long, device=device)
        ids_R1[: len(tokens), 0] = torch.tensor(tokens, device=device)
        view = _Step(self, torch.tensor(lengths, device=device), rows)
        return self.model.hidden(ids_R1, view)[: len(tokens), 0]

    def logits(self, x_RW: Tensor) -> Tensor:
        """The logits of any number of rows, fp32, on the CPU."""
        rows = math.ceil(len(x_RW) / self.rows) * self.rows
        padded = functional.pad(x_RW, (0, 0, 0, rows - len(x_RW)))
        return self._head(padded)[: len(x_RW)].float().cpu()

    def copied(self, slot: int, start: int) -> Tensor:
        """Keys and values of one chunk, [L, 2, K, C, D]."""
        return self.kv_L2NKSD[:, :, slot, :, start : start + CHUNK].clone()

    def put(self, slot: int, start: int, kv_L2KCD: Tensor) -> None:
        """Put back what `copied` gave."""
        self.kv_L2NKSD[:, :, slot, :, start : start + CHUNK] = kv_L2KCD


class _Prompt:
    """A chunk of one prompt: causal attention over what the slot holds."""

    def __init__(self, slots: Slots, slot: int, start: int) -> None:
        self._slots, self._slot, self._start, self._index = slots, slot, start, 0
        self.length = start

    def positions(self, tokens: int) -> Tensor:
        positions = torch.arange(self._start, self._start + tokens, device=self._slots.kv_L2NKSD.device)
        # Filled up beyond the context: the angle of tokens that nobody reads does not matter.
        return positions.clamp(max=self._slots.context - 1)[None]

    def layer(self, index: int) -> "_Prompt":
        self._index = index
        return self

    def attend(self, q_BTHD: Tensor, k_BKTD: Tensor, v_BKTD: Tensor, window: int | None) -> Tensor:
        stop = self._start + q_BTHD.shape[1]
        k_BKSD, v_BKSD = self._slots.kv_L2NKSD[self._index, :, self._slot : self._slot + 1, :, :stop]
        k_BKSD[:, :, self._start :], v_BKSD[:, :, self._start :] = k_BKTD, v_BKTD
        return causal_attention(q_BTHD, k_BKSD.to(q_BTHD.dtype), v_BKSD.to(q_BTHD.dtype), window=window)

    def advance(self, tokens: int) -> None:
        """The scheduler counts."""


class _Step:
    """One token of each of the first slots, at a position of its own; rows beyond them are filling."""

    def __init__(self, slots: Slots, lengths_N: Tensor, rows: int) -> None:
        self._slots, self._lengths_N, self._rows, self._index = slots, lengths_N, rows, 0
        self._slot_N = torch.arange(len(lengths_N), device=lengths_N.device)
        self.length = int(lengths_N.max())

    def positions(self, tokens: int) -> Tensor:
        assert tokens == 1
        return functional.pad(self._lengths_N, (0, self._rows - len(self._lengths_N)))[:, None]

    def layer(self, index: int) -> "_Step":
        self._index = index
        return self

    def attend(self, q_BTHD: Tensor, k_BKTD: Tensor, v_BKTD: Tensor, window: int | None) -> Tensor:
        count = len(self._lengths_N)
        k_NKSD, v_NKSD = self._slots.kv_L2NKSD[self._index, :, :count]
        new_k_NKD, new_v_NKD = k_BKTD[:count, :, 0].to(k_NKSD.dtype), v_BKTD[:count, :, 0].to(v_NKSD.dtype)
        _, _, H, D = q_BTHD.shape
        y_RTC = q_BTHD.new_zeros(self._rows, 1, H * D)
        if q_BTHD.device.type == "cpu":
            q_NHD = q_BTHD[:count, 0].float() * D**-0.5
            y_NHD = torch.empty_like(q_NHD)
            far = self._slots.capacity if window is None else window
            new_k, new_v = new_k_NKD.contiguous().numpy(), new_v_NKD.contiguous().numpy()
            k, v, lengths = k_NKSD.numpy(), v_NKSD.numpy(), self._lengths_N.numpy()
            attend(q_NHD.numpy(), new_k, new_v, k, v, lengths, far, y_NHD.numpy())
            y_RTC[:count, 0] = y_NHD.flatten(1)
        else:
            k_NKSD[self._slot_N, :, self._lengths_N] = new_k_NKD
            v_NKSD[self._slot_N, :, self._lengths_N] = new_v_NKD
            q_NHTD, seen = q_BTHD[:count].transpose(1, 2), self._seen(k_NKSD.shape[2], window)
            y_NHTD = functional.scaled_dot_product_attention(
                q_NHTD, k_NKSD, v_NKSD, attn_mask=seen, enable_gqa=True
            )
            y_RTC[:count, 0] = y_NHTD.flatten(1)
        return y_RTC

    def _seen(self, size: int, window: int | None) -> Tensor:
        """True where a key is not after its query, nor before its window; [N, 1, 1, S]."""
        keys_S = torch.arange(size, device=self._lengths_N.device)
        own_N1 = self._lengths_N[:, None]
        seen_NS = keys_S <= own_N1
        if window is not None:
            seen_NS &= keys_S > own_N1 - window
        return seen_NS[:, None, None]

    def advance(self, tokens: int) -> None:
        """The scheduler counts."""


@torch.inference_mode()
def steady_rows(products: Sequence[Product], most: int) -> int | None:
    """1 or 16: in products of multiples of so many rows, a row has the same bits. None if neither holds.

    On this machine, for these weights, and up to `most` rows.
    """
    generator = torch.Generator().manual_seed(0)
    for least in (1, 16):
        counts = range(least, max(most, least) + 1, least)
        if all(_steady(product, counts, generator) for product in products):
            return least
    return None


def _steady(product: Product, counts: Sequence[int], generator: torch.Generator) -> bool:
    x = torch.randn(counts[-1], product.like.shape[1], generator=generator).to(product.like)
    first = product(x[: counts[0]])[0]
    return all(torch.equal(product(x[:count])[0], first) for count in counts[1:])
