"""What train.pretrain can be asked. Imports no torch, so that recipes can be checked without it."""

from typing import Self

from pydantic import PositiveFloat, PositiveInt, model_validator

from fonderie.core.step import Parameters
from fonderie.model.config import ModelConfig
from fonderie.train.settings.shared import PhasedSettings

SIZES = (
    "width", "heads", "kv_heads", "head_size", "hidden", "rope_theta", "norm_epsilon", "tied_embeddings", "init_std"
)  # fmt: skip


class Sizes(Parameters):
    """Sizes of the model. One that is left out follows from `depth`."""

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


class PretrainParameters(PhasedSettings, Sizes):
    """Sizes of the model, how long and how fast it learns. A size left out follows from `depth`."""

    def config_for(self, vocabulary: int) -> ModelConfig:
        """The sizes of the model that comes of it, its last phase's context and rotary base included.

        Raises ValueError if they do not fit together.
        """
        sizes = {name: getattr(self, name) for name in SIZES}
        last = self.all_phases[-1]
        if last.rope_theta is not None:
            sizes["rope_theta"] = last.rope_theta
        return ModelConfig.from_depth(self.depth, vocabulary=vocabulary, context=last.context, **sizes)

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        self.config_for(vocabulary=1)
        if self.rope_theta is None and any(phase.rope_theta for phase in self.phases):
            raise ValueError(
                "a phase has a rope_theta: give the call one too, which holds for the phases that have none"
            )
        return self
