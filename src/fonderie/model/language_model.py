"""What training, generation and evaluation ask of a model: our own decoder's, or one that transformers computes.

Shapes live in names: B sequences, T positions, W width, V vocabulary.
"""

from typing import Protocol

from torch import Tensor, nn
from torch.nn import functional

from fonderie.model.config import ForeignConfig, ModelConfig


class ReadSoFar(Protocol):
    """Keys and values of the tokens read so far."""

    length: int
    """How many tokens."""


class LanguageModel(nn.Module):
    """Token ids to next-token logits, by way of the hidden states that the fused loss takes."""

    config: ModelConfig | ForeignConfig
    embedding: nn.Embedding
    blocks: nn.ModuleList
    head: nn.Linear | None
    native = True
    """Whether this project's own code computes it; else transformers does, slower."""

    @property
    def output_weight(self) -> Tensor:
        """The head's weight [V, W]; the embedding table itself where they are tied."""
        raise NotImplementedError

    def hidden(self, ids_BT: Tensor, cache: ReadSoFar | None = None, documents_BT: Tensor | None = None) -> Tensor:
        """The normed residual stream x_BTW, from which `output_weight` reads the logits.

        `documents_BT` numbers the document of each position, and no position then reads one of another document.
        """
        raise NotImplementedError

    def cache(self, *, batch: int = 1, tokens: int | None = None) -> ReadSoFar:
        """Room for so many tokens, the model's context if not given, nothing read yet."""
        raise NotImplementedError

    def reposition(self, context: int, rope_theta: float | None) -> None:
        """From now on, read sequences of that context, turned by that base; None leaves the base as it is."""
        raise NotImplementedError

    def forward(self, ids_BT: Tensor, cache: ReadSoFar | None = None) -> Tensor:
        """Logits of every position, logits_BTV; training uses `hidden` and the fused loss instead."""
        return functional.linear(self.hidden(ids_BT, cache), self.output_weight)
