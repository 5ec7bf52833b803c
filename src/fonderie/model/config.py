"""The sizes of a decoder. Imports no torch: recipes are validated where torch is absent."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

# The rule of `from_depth`. Width per block: nanochat's aspect ratio (base_train.py, `--aspect-ratio 64`); small
# models are proportionally deeper than Lucie-7B (128), which nanochat's sweeps favour up to ~1 B parameters.
WIDTH_PER_BLOCK = 64
# Head size: 64, as in GPT-2 and Llama-3.2-1B.
HEAD_SIZE = 64
# Feed-forward width: Lucie-7B's 12288 for 4096 (arXiv 2503.12294, table 3).
HIDDEN_PER_WIDTH = 3
# Query heads per key-value head: Lucie-7B's 32 to 8; fewer where the number of heads does not divide by 4.
QUERY_HEADS_PER_KV_HEAD = 4

Architecture = Literal["llama", "mistral", "olmo2", "qwen2", "qwen3"]
"""A family of decoders that this one computes; the name is that of Hugging Face's `model_type`."""


class RopeScaling(BaseModel):
    """How rotary frequencies were stretched to reach a longer context than the model was first trained with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["linear", "llama3"]
    """ "linear" divides every frequency (arXiv 2306.15595); "llama3" only those that turn slowly (Llama 3.1's code,
    as transformers' `_compute_llama3_parameters` has it)."""
    factor: PositiveFloat
    low_freq_factor: PositiveFloat = 1.0
    """A wavelength longer than `original_context` / this is divided by `factor`."""
    high_freq_factor: PositiveFloat = 4.0
    """A wavelength shorter than `original_context` / this is kept."""
    original_context: PositiveInt | None = None
    """Longest sequence of the first training; "llama3" needs it."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "llama3" and self.original_context is None:
            raise ValueError('rope_scaling "llama3" needs original_context')
        if self.kind == "llama3" and self.low_freq_factor >= self.high_freq_factor:
            raise ValueError("rope_scaling: low_freq_factor is not below high_freq_factor")
        return self


class ModelConfig(BaseModel):
    """Every size of a decoder. Inconsistent sizes are refused at construction."""

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

    # Left out where they are Llama's, so that what was written of a model before they existed stays as it was.
    architecture: Architecture = Field(default="llama", exclude_if=lambda value: value == "llama")
    """The family: it settles biases and norms (see the properties below), and the names weights are saved under."""
    window: PositiveInt | None = Field(default=None, exclude_if=lambda value: value is None)
    """Keys that a query sees, its own included (sliding window, arXiv 2310.06825); None: all before it."""
    rope_scaling: RopeScaling | None = Field(default=None, exclude_if=lambda value: value is None)
    """None: frequencies as `rope_theta` gives them."""

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
        if self.window is not None and self.architecture != "mistral":
            raise ValueError(f"a {self.architecture} has no sliding window here, a mistral has")
        return self

    @property
    def qkv_bias(self) -> bool:
        """Whether query, key and value projections add a bias (Qwen2, arXiv 2407.10671)."""
        return self.architecture == "qwen2"

    @property
    def norms_after(self) -> bool:
        """Whether a block norms what it adds to the stream, not what it reads of it (OLMo 2, arXiv 2501.00656)."""
        return self.architecture == "olmo2"

    @property
    def qk_norm_sizes(self) -> tuple[int, int] | None:
        """Sizes of the norms of queries and keys: of each head (Qwen3), of all together (OLMo 2), or none."""
        if self.architecture == "qwen3":
            return self.head_size, self.head_size
        if self.architecture == "olmo2":
            return self.heads * self.head_size, self.kv_heads * self.head_size
        return None

    @property
    def parameters(self) -> int:
        """Number of trained weights, the tied table counted once."""
        query, key_value = self.heads * self.head_size, self.kv_heads * self.head_size
        attention = self.width * (query + 2 * key_value) + query * self.width
        attention += (query + 2 * key_value) * self.qkv_bias + sum(self.qk_norm_sizes or ())
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


class ForeignConfig(BaseModel):
    """What is to be known of a model that transformers computes; its whole config.json is in `values`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: str
    """Hugging Face's `model_type`."""
    depth: PositiveInt
    width: PositiveInt
    vocabulary: PositiveInt
    context: PositiveInt
    """Longest sequence, in tokens."""
    tied_embeddings: bool
    parameters: PositiveInt
    """Number of trained weights, the tied table counted once."""
    values: dict[str, Any]

    def untied(self) -> Self:
        """The same model with a head of its own."""
        return self.model_copy(
            update={
                "tied_embeddings": False,
                "parameters": self.parameters + self.vocabulary * self.width,
                "values": {**self.values, "tie_word_embeddings": False},
            }
        )

    @property
    def flops_per_token(self) -> int:
        """FLOPs of one training token, counted as `ModelConfig` counts them; heads together are as wide as W."""
        looked_up = 0 if self.tied_embeddings else self.vocabulary * self.width
        return 6 * (self.parameters - looked_up) + 12 * self.depth * self.width * self.context
