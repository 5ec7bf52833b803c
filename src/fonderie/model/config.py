"""The sizes of a decoder. Imports no torch: recipes are validated where torch is absent."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt, model_validator

# The rule of `from_depth`. Width per block: nanochat's aspect ratio (base_train.py, `--aspect-ratio 64`); small
# models are proportionally deeper than Lucie-7B (128), which nanochat's sweeps favour up to ~1 B parameters.
WIDTH_PER_BLOCK = 64
# Head size: 64, as in GPT-2 and Llama-3.2-1B.
HEAD_SIZE = 64
# Feed-forward width: Lucie-7B's 12288 for 4096 (arXiv 2503.12294, table 3).
HIDDEN_PER_WIDTH = 3
# Query heads per key-value head: Lucie-7B's 32 to 8; fewer where the number of heads does not divide by 4.
QUERY_HEADS_PER_KV_HEAD = 4


class ModelConfig(BaseModel):
    """Every size of a Llama-shaped decoder. Inconsistent sizes are refused at construction."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    depth: PositiveInt
    """Number of decoder blocks."""
    width: PositiveInt
    """Size of the residual stream."""
    heads: PositiveInt
    """Query heads per block."""
    kv_heads: PositiveInt
    """Key-value heads per block; a divisor of `heads` (grouped-query attention, arXiv 2305.13245)."""
    head_size: PositiveInt
    """Size of one head; even, for rotary positions."""
    hidden: PositiveInt
    """Inner size of the SwiGLU feed-forward network."""
    vocabulary: PositiveInt
    """Number of token ids, special tokens included."""
    context: PositiveInt
    """Longest sequence, in tokens."""
    rope_theta: PositiveFloat = 10_000.0
    """Base of the rotary position frequencies (arXiv 2104.09864); raise it with the context."""
    norm_epsilon: PositiveFloat = 1e-5
    """Added to the mean square in RMSNorm (Llama-2's and Lucie's value)."""
    tied_embeddings: bool = True
    """Whether the output head is the input embedding table: in small models it is most of the parameters."""
    init_std: PositiveFloat = 0.02
    """Standard deviation of the initial weights (GPT-2); residual outputs are further divided by sqrt(2 depth)."""

    @classmethod
    def from_depth(cls, depth: int, *, vocabulary: int, context: int, **overrides: Any) -> Self:
        """Derive every size from `depth`; an override replaces one size, and those that follow from it.

        Raises ValueError (pydantic's ValidationError is one) where the sizes do not fit together.
        """
        sizes = {name: value for name, value in overrides.items() if value is not None}
        width = sizes.setdefault("width", WIDTH_PER_BLOCK * depth)
        head_size = sizes.setdefault("head_size", HEAD_SIZE)
        if "heads" not in sizes:
            if width % head_size:
                raise ValueError(
                    f"width {width} is not a multiple of head_size {head_size}: give `heads`, or change either"
                )
            sizes["heads"] = width // head_size
        heads = sizes["heads"]
        group = next(g for g in range(QUERY_HEADS_PER_KV_HEAD, 0, -1) if heads % g == 0)
        sizes.setdefault("kv_heads", heads // group)
        sizes.setdefault("hidden", HIDDEN_PER_WIDTH * width)
        return cls(depth=depth, vocabulary=vocabulary, context=context, **sizes)

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} is not a multiple of kv_heads {self.kv_heads}")
        if self.width % self.heads:
            # Hugging Face Llama, in which models are released, refuses it, although head_size stands on its own.
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if self.head_size % 2:
            raise ValueError(f"head_size {self.head_size} is odd: rotary positions turn pairs")
        return self

    @property
    def parameters(self) -> int:
        """Number of trained weights, the tied table counted once."""
        query, key_value = self.heads * self.head_size, self.kv_heads * self.head_size
        attention = self.width * (query + 2 * key_value) + query * self.width
        feed_forward = 3 * self.width * self.hidden
        block = attention + feed_forward + 2 * self.width
        tables = (1 if self.tied_embeddings else 2) * self.vocabulary * self.width
        return self.depth * block + self.width + tables

    @property
    def flops_per_token(self) -> int:
        """FLOPs of one training token, forward and backward: 6 N + 12 L H Q T (PaLM, arXiv 2204.02311, appendix B).

        N leaves out the input table, which is looked up, not multiplied; a tied table is the head, and counts.
        Attention is counted as if not causal, as PaLM does, so that MFU figures compare.
        """
        looked_up = 0 if self.tied_embeddings else self.vocabulary * self.width
        attention = 12 * self.depth * self.heads * self.head_size * self.context
        return 6 * (self.parameters - looked_up) + attention
