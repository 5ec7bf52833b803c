"""What a model gives the answers of pairs, and the loss of preferring one (DPO, arXiv 2305.18290, equation 7).

Shapes live in names: B sequences, T inputs each, P places for pairs in a sequence (some empty), N rows that count,
W width, V vocabulary. The documents 2p and 2p + 1 of a sequence are the better and the worse answer of its pair p.
"""

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from fonderie.model.language_model import LanguageModel
from fonderie.train.loop import Part

# Rows whose logits exist at once, in the forward pass and again in the backward one; as in model/loss.py.
ROWS = 512


def answer_log_probabilities(model: LanguageModel, part: Part) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the counted targets, summed over each answer, and their numbers; both [B, P, 2].

    fp32; zero where a sequence has no more pairs.
    """
    assert part.counts is not None
    assert part.documents is not None
    x_BTW = model.hidden(part.ids[:, :-1], documents_BT=part.documents)
    B, places = len(part.ids), 2 * int(part.rows["pairs"].max())
    counts_N = part.counts.flatten().nonzero()[:, 0]
    targets_N = part.ids[:, 1:].flatten()[counts_N]
    logp_N = _log_probabilities(x_BTW.flatten(0, 1)[counts_N], model.output_weight, targets_N)
    rows = torch.arange(B, device=part.ids.device)[:, None] * places
    answers_N = (rows + part.documents).flatten()[counts_N]
    sums = torch.zeros(B * places, device=logp_N.device).index_add(0, answers_N, logp_N)
    numbers = torch.bincount(answers_N, minlength=B * places).float()
    return sums.view(B, -1, 2), numbers.view(B, -1, 2)


def preference_loss(
    model: LanguageModel, part: Part, *, beta: float, label_smoothing: float, length_normalised: bool
) -> Tensor:
    """The loss of a part, summed over its pairs."""
    sums_BP2, numbers_BP2 = answer_log_probabilities(model, part)
    gained_BP2 = sums_BP2 - part.rows["reference"][:, : sums_BP2.shape[1]]
    there_BP = numbers_BP2[..., 0] > 0
    if length_normalised:
        gained_BP2 = gained_BP2 / numbers_BP2.clamp(min=1)
    margins = beta * (gained_BP2[..., 0] - gained_BP2[..., 1])
    losses_BP = -functional.logsigmoid(margins)
    if label_smoothing:
        losses_BP = (1 - label_smoothing) * losses_BP - label_smoothing * functional.logsigmoid(-margins)
    return torch.where(there_BP, losses_BP, torch.zeros_like(losses_BP)).sum()


def _log_probabilities(x_NW: Tensor, weight_VW: Tensor, targets_N: Tensor) -> Tensor:
    """Of each target, fp32, with gradients to x and weight; logits exist for a chunk of rows at a time."""
    chunks = [
        checkpoint(_chunk, x_NW[at : at + ROWS], weight_VW, targets_N[at : at + ROWS], use_reentrant=False)
        for at in range(0, len(x_NW), ROWS)
    ]
    return torch.cat(chunks)


def _chunk(x_NW: Tensor, weight_VW: Tensor, targets_N: Tensor) -> Tensor:
    logits_NV = functional.linear(x_NW, weight_VW).float()
    return -functional.cross_entropy(logits_NV, targets_N, reduction="none")
