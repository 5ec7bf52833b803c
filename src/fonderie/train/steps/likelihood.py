"""What a model gives each of several documents that share a sequence: the sum over those of its tokens that count.

Shapes live in names: B sequences, T inputs each, D places for documents in a sequence (some empty), N rows that
count, E documents in all, W width, V vocabulary.
"""

from contextlib import nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from fonderie.core.machine import Machine
from fonderie.model.language_model import LanguageModel
from fonderie.train.data.packing import PackedBatches
from fonderie.train.loop import Part, parts_of

# Rows whose logits exist at once, in the forward pass and again in the backward one; as in model/loss.py.
ROWS = 512


def read_all(
    packed: PackedBatches,
    model: LanguageModel,
    machine: Machine,
    *,
    label: str,
    together: int = 1,
    bf16: bool = False,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The log-probability of what counts in each document, and of how many tokens that is: both [E].

    E is in the order of the examples. `together` sequences are read at once: kernels depend on their number, and
    with them the last bits.
    """
    each = 2 if packed.examples.pairs else 1
    sums_E = np.zeros(len(packed.examples.found), dtype=np.float32)
    numbers_E = np.zeros(len(sums_E), dtype=np.int64)
    device = model.embedding.weight.device
    cast = torch.autocast(device.type, dtype=torch.bfloat16) if bf16 else nullcontext()
    with machine.bar(label, packed.sequences, "sequences") as bar, torch.no_grad():
        for first in range(0, packed.sequences, together):
            sequences = np.arange(first, min(first + together, packed.sequences))
            (part,) = parts_of(packed.with_(extra=None).batch_of(sequences), 1, device)
            places = each * max(len(packed.bins[sequence]) for sequence in sequences)
            with cast:
                sums_BD, numbers_BD = document_log_probabilities(model, part, places)
            for row, sequence in enumerate(sequences):
                held = [item * each + one for item in packed.bins[sequence] for one in range(each)]
                sums_E[held] = sums_BD[row, : len(held)].float().cpu().numpy()
                numbers_E[held] = numbers_BD[row, : len(held)].cpu().numpy()
            bar.advance(len(sequences))
    return sums_E, numbers_E


def document_log_probabilities(model: LanguageModel, part: Part, places: int) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the counted targets, summed over each document, and their numbers; both [B, D].

    fp32; zero where a sequence has no more documents than that. With gradients to the model, where it has any.
    """
    assert part.counts is not None
    x_BTW = model.hidden(part.ids[:, :-1], documents_BT=part.documents)
    counts_N = part.counts.flatten().nonzero()[:, 0]
    targets_N = part.ids[:, 1:].flatten()[counts_N]
    logp_N = _log_probabilities(x_BTW.flatten(0, 1)[counts_N], model.output_weight, targets_N)
    B = len(part.ids)
    rows_BT = torch.arange(B, device=part.ids.device)[:, None] * places
    # Documents that have a sequence each are numbered by it alone.
    rows_BT = rows_BT.expand(part.counts.shape) if part.documents is None else rows_BT + part.documents
    documents_N = rows_BT.flatten()[counts_N]
    sums = torch.zeros(B * places, device=logp_N.device).index_add(0, documents_N, logp_N)
    numbers = torch.bincount(documents_N, minlength=B * places)
    return sums.view(B, -1), numbers.view(B, -1)


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
