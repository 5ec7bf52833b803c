"""The loss of preferring one answer to another (DPO, arXiv 2305.18290, equation 7).

Shapes live in names: B sequences, P places for pairs in a sequence (some empty). The documents 2p and 2p + 1 of a
sequence are the better and the worse answer of its pair p.
"""

import torch
from torch import Tensor
from torch.nn import functional

from fonderie.model.language_model import LanguageModel
from fonderie.train.loop import Part
from fonderie.train.steps.likelihood import document_log_probabilities


def answer_log_probabilities(model: LanguageModel, part: Part) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the counted targets, summed over each answer, and their numbers; both [B, P, 2]."""
    places = 2 * int(part.rows["pairs"].max())
    sums_BD, numbers_BD = document_log_probabilities(model, part, places)
    return sums_BD.view(len(sums_BD), -1, 2), numbers_BD.view(len(sums_BD), -1, 2)


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
