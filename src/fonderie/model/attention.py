"""Causal grouped-query attention with rotary positions, as plain functions of tensors.

Shapes live in names: B sequences, T query positions, S key positions (S >= T; the last query sits on the last key),
H query heads, K key-value heads, G = H / K query heads per key-value head, D head size, C = H·D channels,
R = T·G rows. Query head h reads key-value head h // G, as in Hugging Face Llama.

A query may read the keys up to its own position; with a window, the last so many of them; with documents, those of
its own document.
"""

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from fonderie.model.config import RopeScaling
from fonderie.model.numerics import settle_compiler

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

# Queries per block on CPU. At T = 256, 64 is 1.2 times as fast as SDPA in fp32 and 2.0 times in bf16; 128 a little
# slower, 256 slower than SDPA (docs/log/0001-training-speed.md).
BLOCK = 64


def rope_tables(
    context: int, head_size: int, theta: float, scaling: RopeScaling | None = None
) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every position's angles, fp32, each [context, D / 2] (arXiv 2104.09864)."""
    exponents = torch.arange(0, head_size, 2, dtype=torch.float32, device="cpu") / head_size
    frequencies = 1.0 / theta**exponents
    if scaling is not None:
        frequencies = _scaled(frequencies, scaling)
    angles = torch.outer(torch.arange(context, dtype=torch.float32, device="cpu"), frequencies)
    return angles.cos(), angles.sin()


def _scaled(frequencies: Tensor, scaling: RopeScaling) -> Tensor:
    """Frequencies stretched to a longer context; between the two wavelengths of "llama3", in proportion."""
    if scaling.original_context is None or scaling.kind == "linear":
        return frequencies / scaling.factor
    turns = scaling.original_context * frequencies / (2 * math.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    kept = ((turns - low) / (high - low)).clamp(0.0, 1.0)
    return (1 - kept) * frequencies / scaling.factor + kept * frequencies


def rotate(x_BTHD: Tensor, cos_TD: Tensor, sin_TD: Tensor) -> Tensor:
    """Turn each pair (i, i + D/2) by its position's angle: the "rotate half" pairing of Hugging Face Llama.

    The angles are [T, D/2], or [B, T, D/2] where sequences stand at positions of their own.
    """
    cos, sin = cos_TD.unsqueeze(-2).to(x_BTHD.dtype), sin_TD.unsqueeze(-2).to(x_BTHD.dtype)
    a, b = x_BTHD.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def document_mask(documents_BT: Tensor, window: int | None = None) -> "Tensor | BlockMask":
    """What keeps the documents of a sequence apart, made once for all blocks of a model.

    `documents_BT` numbers the document of each position. On a processor: apart_BTT, true where query and key are of
    different documents. Elsewhere: flex attention's block mask, which holds the order and the window as well.
    """
    if documents_BT.device.type == "cpu":
        return documents_BT[:, :, None] != documents_BT[:, None, :]
    return _block_mask(documents_BT, window)


def causal_attention(
    q_BTHD: Tensor,
    k_BKSD: Tensor,
    v_BKSD: Tensor,
    mask: "Tensor | BlockMask | None" = None,
    *,
    window: int | None = None,
) -> Tensor:
    """Attention of T queries, the last of S positions, over the keys up to their own; returns y_BTC.

    `mask` is what `document_mask` made of all S positions, with this window, and wants T = S.
    """
    B, T, H, D = q_BTHD.shape
    K = k_BKSD.shape[1]
    if q_BTHD.device.type != "cpu":
        y_BHTD = _accelerated(q_BTHD.transpose(1, 2), k_BKSD, v_BKSD, mask, window)
        return y_BHTD.transpose(1, 2).reshape(B, T, H * D)
    G = H // K
    # The rows of one key-value head lie together, position by position, so a block of positions is one slice.
    q_BKRD = q_BTHD.view(B, T, K, G, D).transpose(1, 2).reshape(B, K, T * G, D)
    y_BKRD: Tensor = _BlockAttention.apply(q_BKRD, k_BKSD, v_BKSD, G, mask, window)  # type: ignore[no-untyped-call]
    return y_BKRD.view(B, K, T, G, D).transpose(1, 2).reshape(B, T, H * D)


def _accelerated(q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Any, window: int | None) -> Tensor:
    """Flash attention where order is all there is to it, flex attention where documents are kept apart."""
    T, S = q_BHTD.shape[2], k_BKSD.shape[2]
    if mask is not None:
        from torch.nn.attention.flex_attention import flex_attention

        # Compiled or it would hold all scores; inside a compiled block it is compiled with the rest.
        attend: Any = flex_attention
        if not torch.compiler.is_compiling():
            settle_compiler()
            attend = torch.compile(flex_attention, dynamic=False)
        y_BHTD: Tensor = attend(q_BHTD, k_BKSD, v_BKSD, block_mask=mask, enable_gqa=True)
        return y_BHTD
    if window is None and S == T:
        return functional.scaled_dot_product_attention(q_BHTD, k_BKSD, v_BKSD, is_causal=True, enable_gqa=True)
    seen_TS = torch.ones(T, S, dtype=torch.bool, device=q_BHTD.device).tril_(S - T)
    if window is not None:
        seen_TS = seen_TS.triu_(S - T - window + 1)
    return functional.scaled_dot_product_attention(q_BHTD, k_BKSD, v_BKSD, attn_mask=seen_TS, enable_gqa=True)


def _block_mask(documents_BT: Tensor, window: int | None) -> "BlockMask":
    from torch.nn.attention.flex_attention import create_block_mask

    B, T = documents_BT.shape

    def seen(b: Tensor, _h: Tensor, query: Tensor, key: Tensor) -> Tensor:
        near = query >= key
        if window is not None:
            near = near & (query - key < window)
        return near & (documents_BT[b, query] == documents_BT[b, key])

    return create_block_mask(seen, B, None, T, T, device=documents_BT.device)


class _BlockAttention(torch.autograd.Function):
    """Causal attention by blocks of queries: matrix products over the keys a block can see, and no others.

    The backward pass is written out because autograd would pad the gradient of every slice to full length.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd passes by position
        ctx: Any,
        q_BKRD: Tensor,
        k_BKSD: Tensor,
        v_BKSD: Tensor,
        group: int,
        apart_BTT: Tensor | None,
        window: int | None,
    ) -> Tensor:
        q_BKRD = q_BKRD * q_BKRD.shape[-1] ** -0.5
        y_BKRD = torch.empty_like(q_BKRD)
        blocks: list[Tensor] = []
        # The operands decide the precision: autocast would make the softmax fp32, and copy it back for the product.
        with torch.autocast("cpu", enabled=False):
            for queries, keys in _blocks(q_BKRD.shape[2] // group, k_BKSD.shape[2], window):
                rows = _rows(queries, group)
                p_BKRS = q_BKRD[:, :, rows] @ k_BKSD[:, :, keys].transpose(-1, -2)
                _mask_future(p_BKRS, group)
                if window is not None:
                    _mask_far(p_BKRS, group, window)
                if apart_BTT is not None:
                    _mask_apart(p_BKRS, group, apart_BTT[:, queries, keys])
                p_BKRS = p_BKRS.softmax(dim=-1)
                y_BKRD[:, :, rows] = p_BKRS @ v_BKSD[:, :, keys]
                blocks.append(p_BKRS)
        ctx.group, ctx.window = group, window
        ctx.save_for_backward(q_BKRD, k_BKSD, v_BKSD, *blocks)
        return y_BKRD

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        (dy_BKRD,) = grads
        q_BKRD, k_BKSD, v_BKSD, *blocks = ctx.saved_tensors
        dq_BKRD, dk_BKSD, dv_BKSD = torch.empty_like(q_BKRD), torch.zeros_like(k_BKSD), torch.zeros_like(v_BKSD)
        spans = _blocks(q_BKRD.shape[2] // ctx.group, k_BKSD.shape[2], ctx.window)
        for (queries, keys), p_BKRS in zip(spans, blocks, strict=True):
            rows = _rows(queries, ctx.group)
            dy = dy_BKRD[:, :, rows]
            dv_BKSD[:, :, keys] += p_BKRS.transpose(-1, -2) @ dy
            dp_BKRS = dy @ v_BKSD[:, :, keys].transpose(-1, -2)
            # A masked score has probability zero, and its gradient is a multiple of it.
            ds_BKRS = torch.ops.aten._softmax_backward_data(dp_BKRS, p_BKRS, -1, p_BKRS.dtype)
            dq_BKRD[:, :, rows] = ds_BKRS @ k_BKSD[:, :, keys]
            dk_BKSD[:, :, keys] += ds_BKRS.transpose(-1, -2) @ q_BKRD[:, :, rows]
        return dq_BKRD.mul_(q_BKRD.shape[-1] ** -0.5), dk_BKSD, dv_BKSD, None, None, None


def _blocks(queries: int, keys: int, window: int | None) -> list[tuple[slice, slice]]:
    """The queries of each block, and the keys that any of them sees."""
    spans = []
    for start in range(0, queries, BLOCK):
        end = min(start + BLOCK, queries)
        first = 0 if window is None else max(0, keys - queries + start - window + 1)
        spans.append((slice(start, end), slice(first, keys - queries + end)))
    return spans


def _rows(queries: slice, group: int) -> slice:
    return slice(queries.start * group, queries.stop * group)


def _mask_future(p_BKRS: Tensor, group: int) -> None:
    """Set scores of keys after their query to minus infinity; only the last square of a block has any."""
    B, K, R, S = p_BKRS.shape
    queries = R // group
    future = torch.ones(queries, queries, dtype=torch.bool).triu_(1)
    p_BKRS.view(B, K, queries, group, S)[..., S - queries :].masked_fill_(future[:, None], -math.inf)


def _mask_far(p_BKRS: Tensor, group: int, window: int) -> None:
    """Set scores of keys that lie before their query's window to minus infinity."""
    B, K, R, S = p_BKRS.shape
    queries = R // group
    far = torch.ones(queries, S, dtype=torch.bool).tril_(S - queries - window)
    p_BKRS.view(B, K, queries, group, S).masked_fill_(far[:, None], -math.inf)


def _mask_apart(p_BKRS: Tensor, group: int, apart_BTS: Tensor) -> None:
    """Set scores of keys of another document to minus infinity."""
    B, K, R, S = p_BKRS.shape
    p_BKRS.view(B, K, R // group, group, S).masked_fill_(apart_BTS[:, None, :, None], -math.inf)
