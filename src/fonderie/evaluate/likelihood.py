"""What a model gives to tokens, each sequence computed alone.

A batch would be faster where sequences are short. But padding, the number of rows and the place of a row decide
which kernels multiply it, so that the last bits of a likelihood, and now and then an answer, would depend on what
else was asked at the same time. Alone, a figure follows from the weights and its own tokens (docs/decisions/0028).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from fonderie.model.language_model import LanguageModel


class Continuation(NamedTuple):
    """What a model makes of some tokens after others."""

    log_likelihood: float
    """Nats, summed over the continuation."""
    greedy: bool
    """Whether each of its tokens is the likeliest at its place."""
    truncated: int
    """Tokens of the context that did not fit, and were left out at its beginning."""


def continuation(model: "LanguageModel", context: Sequence[int], following: Sequence[int]) -> Continuation:
    """The likelihood of tokens after a context of one token at least.

    Raises ValueError for an empty context or continuation, or one longer than the model's context.
    """
    import torch

    room = model.config.context
    if not context or not 0 < len(following) <= room:
        raise ValueError(f"{len(context)} and {len(following)} tokens: a context, then 1 to {room} tokens")
    ids = [*context, *following]
    truncated = max(0, len(ids) - (room + 1))
    ids = ids[truncated:]
    with torch.inference_mode():
        logits_NV = _logits(model, ids[:-1], len(following))
        at_target = torch.tensor(following)[:, None]
        nats = logits_NV.log_softmax(-1).gather(1, at_target)
        greedy = bool((logits_NV.argmax(-1) == at_target[:, 0]).all())
    return Continuation(float(nats.double().sum()), greedy, truncated)


def _logits(model: "LanguageModel", ids: Sequence[int], last: int) -> "Tensor":
    """Of the last positions of a sequence, fp32, on the CPU."""
    import torch

    weight = model.output_weight
    x_BTW = model.hidden(torch.tensor([ids], device=weight.device))
    return (x_BTW[0, -last:] @ weight.T).float().cpu()


def window_nats(model: "LanguageModel", ids: "Sequence[int] | npt.NDArray[np.int64]", first: int) -> float:
    """-log p of the tokens `first` to the end of a sequence that fits, each from all before it; nats, summed."""
    import torch

    from fonderie.model.loss import token_losses

    device = model.output_weight.device
    whole = torch.as_tensor(ids, dtype=torch.int64)
    with torch.inference_mode():
        x_BTW = model.hidden(whole[None, :-1].to(device))
        losses = token_losses(x_BTW[0, first - 1 :], model.output_weight, whole[first:].to(device))
    return float(losses.double().sum())
