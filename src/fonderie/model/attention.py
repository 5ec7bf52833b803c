"""Causal grouped-query attention with rotary positions, as plain functions of tensors.

Shapes live in names: B sequences, T query positions, S key positions (S >= T; the last query sits on the last key),
H query heads, K key-value heads, G = H / K query heads per key-value head, D head size, C = H·D channels,
R = T·G rows. Query head h reads key-value head h // G, as in Hugging Face Llama.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# Queries per block on CPU. At T = 256, 64 is 1.2 times as fast as SDPA in fp32 and 2.0 times in bf16; 128 a little
# slower, 256 slower than SDPA (docs/log/0001-training-speed.md).
BLOCK = 64


def rope_tables(context: int, head_size: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every position's angles, fp32, each [context, D / 2] (arXiv 2104.09864)."""
    exponents = torch.arange(0, head_size, 2, dtype=torch.float32, device="cpu") / head_size
    angles = torch.outer(torch.arange(context, dtype=torch.float32, device="cpu"), 1.0 / theta**exponents)
    return angles.cos(), angles.sin()


def rotate(x_BTHD: Tensor, cos_TD: Tensor, sin_TD: Tensor) -> Tensor:
    """Turn each pair (i, i + D/2) by its position's angle: the "rotate half" pairing of Hugging Face Llama."""
    cos, sin = cos_TD[:, None].to(x_BTHD.dtype), sin_TD[:, None].to(x_BTHD.dtype)
    a, b = x_BTHD.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def causal_attention(q_BTHD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor) -> Tensor:
    """Attention of T queries, the last of S positions, over the keys up to their own; returns y_BTC."""
    B, T, H, D = q_BTHD.shape
    K, S = k_BKSD.shape[1:3]
    if q_BTHD.device.type != "cpu":
        mask = None if S == T else torch.ones(T, S, dtype=torch.bool, device=q_BTHD.device).tril_(S - T)
        y_BHTD = functional.scaled_dot_product_attention(
            q_BTHD.transpose(1, 2), k_BKSD, v_BKSD, attn_mask=mask, is_causal=mask is None, enable_gqa=True
        )
        return y_BHTD.transpose(1, 2).reshape(B, T, H * D)
    G = H // K
    # The rows of one key-value head lie together, position by position, so a block of positions is one slice.
    q_BKRD = q_BTHD.view(B, T, K, G, D).transpose(1, 2).reshape(B, K, T * G, D)
    y_BKRD: Tensor = _BlockAttention.apply(q_BKRD, k_BKSD, v_BKSD, G)  # type: ignore[no-untyped-call]
    return y_BKRD.view(B, K, T, G, D).transpose(1, 2).reshape(B, T, H * D)


class _BlockAttention(torch.autograd.Function):
    """Causal attention by blocks of queries: matrix products over the keys a block can see, and no others.

    The backward pass is written out because autograd would pad the gradient of every slice to full length.
    """

    @staticmethod
    def forward(ctx: Any, q_BKRD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, group: int) -> Tensor:
        q_BKRD = q_BKRD * q_BKRD.shape[-1] ** -0.5
        y_BKRD = torch.empty_like(q_BKRD)
        blocks: list[Tensor] = []
        # The operands decide the precision: autocast would make the softmax fp32, and copy it back for the product.
        with torch.autocast("cpu", enabled=False):
            for rows, seen in _blocks(q_BKRD.shape[2], k_BKSD.shape[2], group):
                p_BKRS = q_BKRD[:, :, rows] @ k_BKSD[:, :, :seen].transpose(-1, -2)
                _mask_future(p_BKRS, group)
                p_BKRS = p_BKRS.softmax(dim=-1)
                y_BKRD[:, :, rows] = p_BKRS @ v_BKSD[:, :, :seen]
                blocks.append(p_BKRS)
        ctx.group = group
        ctx.save_for_backward(q_BKRD, k_BKSD, v_BKSD, *blocks)
        return y_BKRD

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        (dy_BKRD,) = grads
        q_BKRD, k_BKSD, v_BKSD, *blocks = ctx.saved_tensors
        dq_BKRD, dk_BKSD, dv_BKSD = torch.empty_like(q_BKRD), torch.zeros_like(k_BKSD), torch.zeros_like(v_BKSD)
        spans = _blocks(q_BKRD.shape[2], k_BKSD.shape[2], ctx.group)
        for (rows, seen), p_BKRS in zip(spans, blocks, strict=True):
            dy = dy_BKRD[:, :, rows]
            dv_BKSD[:, :, :seen] += p_BKRS.transpose(-1, -2) @ dy
            dp_BKRS = dy @ v_BKSD[:, :, :seen].transpose(-1, -2)
            ds_BKRS = torch.ops.aten._softmax_backward_data(dp_BKRS, p_BKRS, -1, p_BKRS.dtype)
            dq_BKRD[:, :, rows] = ds_BKRS @ k_BKSD[:, :, :seen]
            dk_BKSD[:, :, :seen] += ds_BKRS.transpose(-1, -2) @ q_BKRD[:, :, rows]
        return dq_BKRD.mul_(q_BKRD.shape[-1] ** -0.5), dk_BKSD, dv_BKSD, None


def _blocks(rows: int, keys: int, group: int) -> list[tuple[slice, int]]:
    """The rows of each block of queries, and how many keys its last query sees."""
    queries = rows // group
    ends = [min(start + BLOCK, queries) for start in range(0, queries, BLOCK)]
    return [(slice(number * BLOCK * group, end * group), keys - queries + end) for number, end in enumerate(ends)]


def _mask_future(p_BKRS: Tensor, group: int) -> None:
    """Set scores of keys after their query to minus infinity; only the last square of a block has any."""
    B, K, R, S = p_BKRS.shape
    queries = R // group
    future = torch.ones(queries, queries, dtype=torch.bool).triu_(1)
    p_BKRS.view(B, K, queries, group, S)[..., S - queries :].masked_fill_(future[:, None], -math.inf)
