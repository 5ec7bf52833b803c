"""Next-token loss straight from the last hidden states: logits exist one chunk of rows at a time.

At vocabulary V the logits of a batch are V / W times as large as its hidden states; whole, they and their gradient
would be the largest tensors of a training step. Shapes: N rows (positions of all sequences), W width, V vocabulary.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

IGNORED = -100
"""A target that counts for nothing: the value Hugging Face and torch use."""

# Rows per chunk: 8 MB of fp32 logits at 4,096 tokens. 128 to 4,096 rows measure alike in time; only memory grows
# (docs/log/0001-training-speed.md).
ROWS = 512


def linear_cross_entropy(
    x_NW: Tensor, weight_VW: Tensor, targets_N: Tensor, *, z_loss: float = 0.0, compiled: bool = False
) -> Tensor:
    """Sum over rows of the cross-entropy of `x @ weight.T`, fp32, with gradients to x and weight.

    A sum, so that micro-batches add up exactly as one batch would: divide by the tokens of the whole batch. Rows
    whose target is IGNORED add nothing. With `z_loss`, each other row adds z_loss · log² Z, Z being the sum of the
    exponentials of its logits, which keeps the logits from drifting (PaLM, arXiv 2204.02311, section 5: 1e-4).
    `compiled` lets torch compile what lies between the products: the same formula, other bits.
    """
    gradients = _compiled_gradients if compiled else _gradients
    loss: Tensor = _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
        x_NW, weight_VW, targets_N, z_loss, gradients
    )
    return loss


class _LinearCrossEntropy(torch.autograd.Function):
    """Computes the gradients in the forward pass, while a chunk's logits are at hand; backward scales them."""

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd passes by position
        ctx: Any, x_NW: Tensor, weight_VW: Tensor, targets_N: Tensor, z_loss: float, gradients: "Gradients"
    ) -> Tensor:
        dtype = _compute_dtype(x_NW)
        with torch.autocast(x_NW.device.type, enabled=False):
            loss, dx_NW, dweight_VW = gradients(x_NW, weight_VW.to(dtype), targets_N, z_loss)
        ctx.weight_dtype = weight_VW.dtype
        ctx.save_for_backward(dx_NW, dweight_VW)
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        # In place: they are used once, and the head's gradient is the largest of all.
        dx_NW, dweight_VW = ctx.saved_tensors
        return dx_NW.mul_(grads[0]), dweight_VW.mul_(grads[0]).to(ctx.weight_dtype), None, None, None


Gradients = Callable[[Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor, Tensor]]
"""Of hidden states, the weight in the precision to compute in, targets and z_loss: the loss in fp32, its gradient
to the hidden states in their precision, and to the weight in fp32."""


def _gradients(x_NW: Tensor, weight: Tensor, targets_N: Tensor, z_loss: float) -> tuple[Tensor, Tensor, Tensor]:
    loss = torch.zeros((), dtype=torch.float32, device=x_NW.device)
    dx_NW, dweight_VW = torch.empty_like(x_NW), torch.zeros_like(weight, dtype=torch.float32)
    for rows in _chunks(len(x_NW)):
        x, targets = x_NW[rows].to(weight.dtype), targets_N[rows]
        logits_NV = (x @ weight.T).float()
        logp_NV = functional.log_softmax(logits_NV, dim=-1)
        at_target = torch.arange(len(x), device=x.device), targets.clamp(min=0)
        kept = targets != IGNORED
        loss -= (logp_NV[at_target] * kept).sum()
        # The gradient to the logits: softmax minus one at the target, zero for ignored rows.
        dlogits_NV = logp_NV.exp_()
        if z_loss:
            log_z_N = logits_NV.logsumexp(dim=-1)
            loss += z_loss * (log_z_N.square() * kept).sum()
            dlogits_NV *= (1 + 2 * z_loss * log_z_N)[:, None]
        dlogits_NV[at_target] -= 1.0
        dlogits = dlogits_NV.mul_(kept[:, None]).to(weight.dtype)
        dx_NW[rows] = dlogits @ weight
        dweight_VW += dlogits.T @ x
    return loss, dx_NW, dweight_VW


def _compiled_gradients(
    x_NW: Tensor, weight: Tensor, targets_N: Tensor, z_loss: float
) -> tuple[Tensor, Tensor, Tensor]:
    """A chunk's logits become their gradient where they lie, in one pass for each of its rows.

    Half of the loss is spent between the products where each operation makes a tensor of its own
    (docs/log/0007-training-speed.md).
    """
    softmax = torch.compile(_softmax_in_place, dynamic=False, fullgraph=True)
    accumulate = torch.compile(_accumulate, dynamic=False, fullgraph=True)
    loss = torch.zeros((), dtype=torch.float32, device=x_NW.device)
    dx_NW, dweight_VW = torch.empty_like(x_NW), torch.zeros_like(weight, dtype=torch.float32)
    for rows in _chunks(len(x_NW)):
        x, targets = x_NW[rows].to(weight.dtype), targets_N[rows]
        logits_NV = x @ weight.T
        at_target = torch.arange(len(x), device=x.device), targets.clamp(min=0)
        kept = targets != IGNORED
        logit_N = logits_NV[at_target].float()
        log_z_N = softmax(logits_NV, kept, z_loss)
        loss += ((log_z_N - logit_N + z_loss * log_z_N.square()) * kept).sum()
        # At the target from fp32: a probability near one, rounded, would leave nothing of what it lacks.
        at_N = (logit_N - log_z_N).exp() * (1 + 2 * z_loss * log_z_N) - 1
        logits_NV[at_target] = (at_N * kept).to(logits_NV.dtype)
        dx_NW[rows] = logits_NV @ weight
        accumulate(dweight_VW, logits_NV.T @ x)
    return loss, dx_NW, dweight_VW


def _softmax_in_place(logits_NV: Tensor, kept_N: Tensor, z_loss: float) -> Tensor:
    """Logits become their gradient, but for the one at the target; returns log Z of each row, fp32."""
    logits = logits_NV.float()
    log_z_N = logits.logsumexp(dim=-1)
    factor_N = (1 + 2 * z_loss * log_z_N) * kept_N
    logits_NV.copy_((logits - log_z_N[:, None]).exp() * factor_N[:, None])
    return log_z_N


def _accumulate(total: Tensor, term: Tensor) -> None:
    total.add_(term)


@torch.no_grad()
def token_losses(x_NW: Tensor, weight_VW: Tensor, targets_N: Tensor) -> Tensor:
    """The loss of each row in nats, fp32; zero where the target is ignored."""
    dtype = _compute_dtype(x_NW)
    with torch.autocast(x_NW.device.type, enabled=False):
        weight = weight_VW.to(dtype)
        losses = [
            functional.cross_entropy(
                (x_NW[rows].to(dtype) @ weight.T).float(), targets_N[rows], ignore_index=IGNORED, reduction="none"
            )
            for rows in _chunks(len(x_NW))
        ]
    return torch.cat(losses)


def _compute_dtype(x: Tensor) -> torch.dtype:
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def _chunks(rows: int) -> Iterator[slice]:
    for start in range(0, rows, ROWS):
        yield slice(start, min(start + ROWS, rows))
