"""The optimizers over a decoder's weights, and their state as named tensors."""

from typing import Protocol

import torch
from torch import Tensor, nn

from fonderie.core.errors import StoreError


class OptimizerSettings(Protocol):
    """What the parameters of every training step say of the optimizer."""

    @property
    def betas(self) -> tuple[float, float]:
        """AdamW's moving averages."""

    @property
    def epsilon(self) -> float:
        """AdamW's guard against division by zero."""

    @property
    def weight_decay(self) -> float:
        """Of matrices."""


def make_optimizer(model: nn.Module, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """The optimizer that a step's parameters ask for, over the weights that are trained."""
    return adamw(model, betas=settings.betas, epsilon=settings.epsilon, weight_decay=settings.weight_decay)


def adamw(
    model: nn.Module, *, betas: tuple[float, float], epsilon: float, weight_decay: float
) -> torch.optim.AdamW:
    """AdamW (arXiv 1711.05101) that decays matrices, but neither norms nor embeddings; the loop sets the rate.

    The fused kernel updates each weight on its own, so it is exact to the bit at any number of threads.
    """
    tables = {id(table.weight) for table in model.modules() if isinstance(table, nn.Embedding)}
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    decayed = [weight for weight in weights if weight.ndim >= 2 and id(weight) not in tables]
    kept = [weight for weight in weights if weight.ndim < 2 or id(weight) in tables]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, betas=betas, eps=epsilon, fused=True)


def state_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's tensors, named by weight: "blocks.0.attention.qkv.weight/exp_avg"."""
    return {
        f"{name}/{key}": value
        for name, weight in model.named_parameters()
        for key, value in optimizer.state.get(weight, {}).items()
    }


def load_state_tensors(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `state_tensors` gave, nothing before the first step; StoreError if it is of other weights."""
    optimizer.state.clear()
    if not tensors:
        return
    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    states: dict[str, dict[str, Tensor]] = {}
    for full_name, tensor in tensors.items():
        name, _, key = full_name.rpartition("/")
        states.setdefault(name, {})[key] = tensor
    if states.keys() != weights.keys():
        raise StoreError(f"the optimizer's state is of other weights: {sorted(states.keys() ^ weights.keys())[:4]}")
    for name, weight in weights.items():
        # Step counts stay where AdamW keeps them: beside the weight for the fused kernel.
        optimizer.state[weight] = {key: value.to(weight.device) for key, value in states[name].items()}
