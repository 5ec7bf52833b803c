"""What train.pretrain can be asked. Imports no torch, so that recipes can be checked without it."""

from typing import Annotated, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from fonderie.core.step import Parameters
from fonderie.model.config import ModelConfig
from fonderie.train.duration import Duration
from fonderie.train.plan import Precision
from fonderie.train.schedule import Kind

Share = Annotated[float, Field(ge=0, le=1)]

SIZES = (
    "width", "heads", "kv_heads", "head_size", "hidden", "rope_theta", "norm_epsilon", "tied_embeddings", "init_std"
)  # fmt: skip


class PretrainParameters(Parameters):
    """Sizes of the model, how long and how fast it learns. A size left out follows from `depth`."""

    depth: PositiveInt
    """Number of decoder blocks: the one dial. Width is 64 times as large; see model/config.py for the rest."""
    width: PositiveInt | None = None
    """Size of the residual stream."""
    heads: PositiveInt | None = None
    """Query heads per block."""
    kv_heads: PositiveInt | None = None
    """Key-value heads per block."""
    head_size: PositiveInt | None = None
    """Size of one head."""
    hidden: PositiveInt | None = None
    """Inner size of the feed-forward network."""
    rope_theta: PositiveFloat | None = None
    """Base of the rotary position frequencies."""
    norm_epsilon: PositiveFloat | None = None
    """Added to the mean square in RMSNorm."""
    tied_embeddings: bool | None = None
    """Whether the output head is the input embedding table."""
    init_std: PositiveFloat | None = None
    """Standard deviation of the initial weights."""

    context: Annotated[int, Field(ge=2)] = 256
    """Tokens per sequence, in training and after."""
    duration: Duration = "1 epoch"
    """How long to train: "250M tokens", "2 epochs" or "800 steps", rounded up to whole steps."""
    batch: PositiveInt = 16
    """Sequences per optimizer step."""
    accumulation: PositiveInt = 1
    """Micro-batches that a batch is cut into, to save memory. Changes the bits, so it is part of the request."""
    learning_rate: PositiveFloat = 3e-3
    """Peak learning rate, reached at the end of warm-up. The default suits widths of 128 to 256; wider models want
    less (docs/log/0002-demo-hyperparameters.md)."""
    schedule: Kind = "cosine"
    """Shape of the learning rate: "cosine", "wsd", "wsd_linear" or "constant"; see train/schedule.py."""
    warmup: Share = 0.05
    """Share of the steps over which the learning rate rises."""
    decay: Share = 0.2
    """Share of the steps over which it falls, for wsd."""
    final: Share = 0.0
    """Share of the peak learning rate left after the last step."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.95)
    """AdamW's moving averages (Lucie's values)."""
    epsilon: PositiveFloat = 1e-8
    """AdamW's guard against division by zero."""
    weight_decay: NonNegativeFloat = 0.1
    """Of matrices; norms and embeddings are not decayed."""
    clip: PositiveFloat = 1.0
    """Gradients are scaled down to this norm."""
    seed: NonNegativeInt = 0
    """Of the initial weights; the data order follows from it and from the tokens (see train/commitment.py)."""
    precision: Precision = "fp32"
    """ "bf16" computes products in half the bits: faster on processors with AMX and on GPUs, slower on others.

    On processors, its bits hold for one number of threads only; those of "fp32" for any."""
    compile: bool = False
    """Compile the decoder block; needs a C++ compiler."""
    checkpoint_every: PositiveInt = 200
    """Steps between checkpoints: what a crash can cost, and how long a segment is that others can replay."""
    checkpoints_kept: NonNegativeInt = 1
    """Checkpoints that stay in the artifact, the latest ones; the state before the first step counts as one."""

    def config_for(self, vocabulary: int) -> ModelConfig:
        """The model's sizes. Raises ValueError if they do not fit together."""
        sizes = {name: getattr(self, name) for name in SIZES}
        return ModelConfig.from_depth(self.depth, vocabulary=vocabulary, context=self.context, **sizes)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self.config_for(vocabulary=1)
        if self.accumulation > self.batch:
            raise ValueError(f"accumulation {self.accumulation} is more than the {self.batch} sequences of a batch")
        if self.warmup + (self.decay if self.schedule.startswith("wsd") else 0) > 1:
            raise ValueError(f"warmup {self.warmup} and decay {self.decay} are more than the whole training")
        return self
