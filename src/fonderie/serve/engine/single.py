"""Any other model, one request at a time: those that transformers computes keep their keys and values themselves.

Shapes: R rows, C a chunk's tokens, W width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from fonderie.model.language_model import LanguageModel, ReadSoFar


class SingleSlot:
    """The one slot of a model whose cache cannot be shared."""

    count = 1

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self.context = model.config.context
        self._cache: ReadSoFar = model.cache()
        self._device = model.embedding.weight.device

    def read(self, slot: int, ids: Sequence[int], start: int) -> Tensor:  # noqa: ARG002
        """Read a chunk of the prompt, from position `start` on; returns its x_CW."""
        if start == 0:
            self._cache = self.model.cache()
        return self.model.hidden(torch.tensor([list(ids)], device=self._device), self._cache)[0]

    def go_on(self, slots: Sequence[int], tokens: Sequence[int], lengths: Sequence[int]) -> Tensor:  # noqa: ARG002
        """One token more; returns its x_RW."""
        return self.model.hidden(torch.tensor([list(tokens)], device=self._device), self._cache)[0]

    def logits(self, x_RW: Tensor) -> Tensor:
        """The logits of any number of rows, fp32, on the CPU."""
        return functional.linear(x_RW, self.model.output_weight).float().cpu()
