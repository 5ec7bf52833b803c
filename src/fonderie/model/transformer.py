"""A decoder in plain PyTorch: Llama's, and its relatives that config.py names.

Shapes live in names: B sequences, T positions, W width, H query heads, K key-value heads, D head size,
V vocabulary. Weights are [output, input], as in `torch.nn.Linear`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from fonderie.model.attention import causal_attention, document_mask, rope_tables, rotate
from fonderie.model.config import ModelConfig
from fonderie.model.language_model import LanguageModel, ReadSoFar

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

# Matrices that write into the residual stream.
RESIDUAL_OUTPUTS = ("attention.output.weight", "feed_forward.down.weight")


class LayerCache(Protocol):
    """Keys and values that one block has seen."""

    def attend(self, q_BTHD: Tensor, k_BKTD: Tensor, v_BKTD: Tensor, window: int | None) -> Tensor:
        """Take in the keys and values of new positions; what their queries read, y_BTC."""
        ...


class KeyValues(Protocol):
    """Keys and values of all blocks, and where the next tokens stand."""

    def positions(self, tokens: int) -> slice | Tensor:
        """Where the new tokens of each sequence stand: alike for all, or [B, T]. ValueError if there is no room."""
        ...

    def layer(self, index: int) -> LayerCache:
        """Of one block."""
        ...

    def advance(self, tokens: int) -> None:
        """All blocks have seen so many more."""
        ...


class Cache:
    """Keys and values of the tokens read so far: one static tensor, filled from the start."""

    def __init__(self, model: "Decoder", *, batch: int = 1, tokens: int | None = None) -> None:
        config, like = model.config, model.embedding.weight
        shape = (config.depth, 2, batch, config.kv_heads, tokens or config.context, config.head_size)
        self.kv_L2BKSD = torch.zeros(shape, dtype=like.dtype, device=like.device)
        self.length = 0

    def positions(self, tokens: int) -> slice:
        """The next ones, alike for all sequences."""
        stop, room = self.length + tokens, self.kv_L2BKSD.shape[4]
        if stop > room:
            raise ValueError(f"{stop} tokens are more than the {room} there is room for")
        return slice(self.length, stop)

    def layer(self, index: int) -> "_Filled":
        """Of one block."""
        k_BKSD, v_BKSD = self.kv_L2BKSD[index]
        return _Filled(k_BKSD, v_BKSD, self.length)

    def advance(self, tokens: int) -> None:
        """All blocks have seen so many more."""
        self.length += tokens


class _Filled(NamedTuple):
    """One block's part of a `Cache`, filled up to a length."""

    k_BKSD: Tensor
    v_BKSD: Tensor
    length: int

    def attend(self, q_BTHD: Tensor, k_BKTD: Tensor, v_BKTD: Tensor, window: int | None) -> Tensor:
        """Causal attention over all there is, the new positions last."""
        stop = self.length + q_BTHD.shape[1]
        k_BKSD, v_BKSD = self.k_BKSD[:, :, :stop], self.v_BKSD[:, :, :stop]
        k_BKSD[:, :, self.length :], v_BKSD[:, :, self.length :] = k_BKTD, v_BKTD
        return causal_attention(q_BTHD, k_BKSD, v_BKSD, window=window)


class Decoder(LanguageModel):
    """Token ids to next-token logits.

    `seed` draws the initial weights, alike on every device; None leaves them unset, to be loaded.
    """

    config: ModelConfig

    def __init__(self, config: ModelConfig, *, seed: int | None = None) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(
            config.vocabulary, config.width, _weight=torch.empty(config.vocabulary, config.width)
        )
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = RMSNorm(config.width, config.norm_epsilon)
        self.head = None if config.tied_embeddings else _linear(config.width, config.vocabulary)
        self._make_rope()
        if seed is not None:
            self.initialise(seed)

    def initialise(self, seed: int) -> None:
        """Draw every weight anew: normal, as GPT-2, with the outputs into the residual stream scaled by depth."""
        generator = torch.Generator().manual_seed(seed)
        residual_std = self.config.init_std / (2 * self.config.depth) ** 0.5
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if weight.ndim == 1:
                    weight.fill_(0.0 if name.endswith(".bias") else 1.0)
                    continue
                std = residual_std if name.endswith(RESIDUAL_OUTPUTS) else self.config.init_std
                weight.copy_(torch.empty(weight.shape).normal_(0.0, std, generator=generator))

    def _make_rope(self) -> None:
        config, device = self.config, self.embedding.weight.device
        tables = rope_tables(config.context, config.head_size, config.rope_theta, config.rope_scaling)
        self.rope_cos, self.rope_sin = (table.to(device) for table in tables)

    def reposition(self, context: int, rope_theta: float | None) -> None:
        """From now on, read sequences of that context, turned by that base; None leaves the base as it is."""
        theta = self.config.rope_theta if rope_theta is None else rope_theta
        if (context, theta) != (self.config.context, self.config.rope_theta):
            self.config = self.config.model_copy(update={"context": context, "rope_theta": theta})
            self._make_rope()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # The angles are made anew where the model goes: moved along, a cast to bf16 would round them for good.
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._make_rope()
        return self

    @property
    def output_weight(self) -> Tensor:
        """The head's weight [V, W]; the embedding table itself where they are tied."""
        return self.embedding.weight if self.head is None else self.head.weight

    def cache(self, *, batch: int = 1, tokens: int | None = None) -> Cache:
        """Room for so many tokens, the context if not given, nothing read yet."""
        return Cache(self, batch=batch, tokens=tokens)

    def hidden(self, ids_BT: Tensor, cache: ReadSoFar | None = None, documents_BT: Tensor | None = None) -> Tensor:
        """The normed residual stream x_BTW, from which `output_weight` reads the logits.

        `documents_BT` numbers the document of each position, and no position then reads one of another document.
        """
        kept, tokens = cast("KeyValues | None", cache), ids_BT.shape[1]
        if kept is not None and documents_BT is not None:
            raise ValueError("a cache holds one text for each sequence: documents cannot be told apart in it")
        if kept is None and tokens > self.config.context:
            raise ValueError(f"{tokens} tokens are more than the {self.config.context} there is room for")
        positions = slice(tokens) if kept is None else kept.positions(tokens)
        rope = self.rope_cos[positions], self.rope_sin[positions]
        mask = None if documents_BT is None else document_mask(documents_BT, self.config.window)
        x_BTW = self.embedding(ids_BT)
        for index, block in enumerate(self.blocks):
            x_BTW = block(x_BTW, rope, None if kept is None else kept.layer(index), mask)
        if kept is not None:
            kept.advance(tokens)
        normed: Tensor = self.norm(x_BTW)
        return normed


class Block(nn.Module):
    """Attention, then a SwiGLU feed-forward network, each on a normed copy of the residual stream.

    With `norms_after` each reads the stream as it is, and what it adds is normed.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norms_after = config.norms_after
        self.attention_norm = RMSNorm(config.width, config.norm_epsilon)
        self.attention = Attention(config)
        self.feed_forward_norm = RMSNorm(config.width, config.norm_epsilon)
        self.feed_forward = FeedForward(config)

    def forward(
        self,
        x_BTW: Tensor,
        rope: tuple[Tensor, Tensor],
        cache: LayerCache | None = None,
        mask: "Tensor | BlockMask | None" = None,
    ) -> Tensor:
        """The residual stream, one block later; `mask` is attention's `document_mask`."""
        if self.norms_after:
            x_BTW = x_BTW + self.attention_norm(self.attention(x_BTW, rope, cache, mask))
            added: Tensor = x_BTW + self.feed_forward_norm(self.feed_forward(x_BTW))
            return added
        x_BTW = x_BTW + self.attention(self.attention_norm(x_BTW), rope, cache, mask)
        out: Tensor = x_BTW + self.feed_forward(self.feed_forward_norm(x_BTW))
        return out


class Attention(nn.Module):
    """Grouped-query attention; query, key and value projections are one matrix, its rows in that order."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_size = config.heads, config.kv_heads, config.head_size
        self.window = config.window
        self.qkv = _linear(config.width, (config.heads + 2 * config.kv_heads) * config.head_size, config.qkv_bias)
        self.output = _linear(config.heads * config.head_size, config.width)
        self.qk_norms = config.qk_norm_sizes
        if self.qk_norms:
            self.query_norm, self.key_norm = (RMSNorm(size, config.norm_epsilon) for size in self.qk_norms)

    def forward(
        self,
        x_BTW: Tensor,
        rope: tuple[Tensor, Tensor],
        cache: LayerCache | None,
        mask: "Tensor | BlockMask | None",
    ) -> Tensor:
        """What each position reads from those before it; new keys and values go to the end of the cache, if any."""
        B, T, _ = x_BTW.shape
        turned = self.heads + self.kv_heads
        qkv_BTHD = self.qkv(x_BTW).view(B, T, turned + self.kv_heads, self.head_size)
        qk_BTHD = qkv_BTHD[:, :, :turned]
        if self.qk_norms:
            qk_BTHD = self._normed(qk_BTHD)
        qk_BTHD = rotate(qk_BTHD, *rope)
        q_BTHD = qk_BTHD[:, :, : self.heads]
        k_BKTD = qk_BTHD[:, :, self.heads :].transpose(1, 2)
        v_BKTD = qkv_BTHD[:, :, turned:].transpose(1, 2)
        if cache is None:
            k_BKTD, v_BKTD = k_BKTD.contiguous(), v_BKTD.contiguous()
            y_BTC = causal_attention(q_BTHD, k_BKTD, v_BKTD, mask, window=self.window)
        else:
            y_BTC = cache.attend(q_BTHD, k_BKTD, v_BKTD, self.window)
        read: Tensor = self.output(y_BTC)
        return read

    def _normed(self, qk_BTHD: Tensor) -> Tensor:
        """Queries and keys with their norms: over each head, or over all that a position has."""
        q_BTHD, k_BTKD = qk_BTHD[:, :, : self.heads], qk_BTHD[:, :, self.heads :]
        if self.query_norm.weight.numel() == self.head_size:
            return torch.cat((self.query_norm(q_BTHD), self.key_norm(k_BTKD)), dim=2)
        normed = self.query_norm(q_BTHD.flatten(2)), self.key_norm(k_BTKD.flatten(2))
        return torch.cat(normed, dim=-1).view(qk_BTHD.shape)


class FeedForward(nn.Module):
    """SwiGLU (arXiv 2002.05202); gate and up projections are one matrix, its rows in that order."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_up = _linear(config.width, 2 * config.hidden)
        self.down = _linear(config.hidden, config.width)

    def forward(self, x_BTW: Tensor) -> Tensor:
        """Each position on its own."""
        gate, up = self.gate_up(x_BTW).chunk(2, dim=-1)
        out: Tensor = self.down(functional.silu(gate) * up)
        return out


class RMSNorm(nn.Module):
    """Division by the root mean square, then a learned scale (arXiv 1910.07467)."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x_BTW: Tensor) -> Tensor:
        """Normed in fp32, returned in x's precision."""
        # functional.rms_norm has no CPU kernel of its own: a bf16 step is 4 % slower with it, an fp32 step alike
        # (docs/log/0001-training-speed.md).
        x = x_BTW.float()
        normed = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.epsilon)
        return normed.to(x_BTW.dtype) * self.weight


def _linear(inputs: int, outputs: int, bias: bool = False) -> nn.Linear:
    linear = nn.Linear(inputs, outputs, bias=bias, device="meta")
    # As Module.to_empty would, without the half second in which it imports sympy.
    linear.weight = nn.Parameter(torch.empty(outputs, inputs))
    if bias:
        linear.bias = nn.Parameter(torch.empty(outputs))
    return linear
