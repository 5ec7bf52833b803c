"""The optimizers over a decoder's weights, and their state as named tensors.

Both take the learning rate from the loop. Weights are of three groups, each with a weight decay of its own:
matrices (an untied head is one), embedding tables (a tied head is one), and norms with biases.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from fonderie.core.errors import StoreError
from fonderie.model.transformer import Attention, Block, FeedForward

# Newton-Schulz coefficients and steps: Jordan et al., "Muon", 2024 (kellerjordan.github.io/posts/muon), as torch's.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
# An orthogonal A x B matrix has entries of root mean square 1 / sqrt(max(A, B)); times this, that of AdamW's
# updates, so that one learning rate and one weight decay serve both (Moonlight, arXiv 2502.16982, equation 4).
ADAMW_RMS = 0.2


class OptimizerSettings(Protocol):
    """What the parameters of every training step say of the optimizer."""

    @property
    def optimizer(self) -> Literal["adamw", "muon"]:
        """Which."""

    @property
    def betas(self) -> tuple[float, float]:
        """AdamW's moving averages."""

    @property
    def epsilon(self) -> float:
        """AdamW's guard against division by zero."""

    @property
    def momentum(self) -> float:
        """Muon's moving average."""

    @property
    def weight_decay(self) -> float:
        """Of matrices."""

    @property
    def weight_decay_embeddings(self) -> float:
        """Of embedding tables."""

    @property
    def weight_decay_norms(self) -> float:
        """Of norms and biases."""

    @property
    def precision(self) -> Literal["fp32", "bf16"]:
        """In which Muon multiplies matrices."""


def make_optimizer(model: nn.Module, settings: OptimizerSettings) -> Optimizer:
    """The optimizer that a step's parameters ask for, over the weights that are trained."""
    if settings.optimizer == "adamw":
        return adamw(model, settings)
    return Muon(model, settings)


def adamw(model: nn.Module, settings: OptimizerSettings, without: frozenset[int] = frozenset()) -> AdamW:
    """AdamW (arXiv 1711.05101) over every trained weight but those whose `id` is in `without`.

    The fused kernel updates each weight on its own, so it is exact to the bit at any number of threads.
    """
    groups: list[dict[str, Any]] = [
        {"params": weights, "weight_decay": decay}
        for weights, decay in _groups(model, settings, without)
        if weights
    ]
    return AdamW(groups, lr=0.0, betas=settings.betas, eps=settings.epsilon, fused=True)


def _groups(
    model: nn.Module, settings: OptimizerSettings, without: frozenset[int]
) -> Iterator[tuple[list[Tensor], float]]:
    tables = {id(table.weight) for table in model.modules() if isinstance(table, nn.Embedding)}
    weights = [weight for weight in model.parameters() if weight.requires_grad and id(weight) not in without]
    yield [one for one in weights if one.ndim >= 2 and id(one) not in tables], settings.weight_decay
    yield [one for one in weights if id(one) in tables], settings.weight_decay_embeddings
    yield [one for one in weights if one.ndim < 2], settings.weight_decay_norms


class Muon(Optimizer):
    """Muon for the matrices of the blocks, AdamW for everything else.

    A matrix's momentum (Nesterov's) is made nearly orthogonal by Newton-Schulz iteration, and that is its update.
    Where several projections share one matrix, each is made orthogonal on its own: a query and a value projection
    that lie in one tensor are two maps all the same. torch.optim.Muon takes one tensor for one matrix, and always
    multiplies in bf16, whose bits depend on the number of threads; here fp32 trainings multiply in fp32.
    """

    def __init__(self, model: nn.Module, settings: OptimizerSettings) -> None:
        self._rows = dict(_block_matrices(model))
        weights = [weight for weight in model.parameters() if weight.requires_grad and weight in self._rows]
        self._momentum = settings.momentum
        self._dtype = torch.bfloat16 if settings.precision == "bf16" else torch.float32
        self._rest = adamw(model, settings, without=frozenset(map(id, weights)))
        own = {"params": weights, "lr": 0.0, "weight_decay": settings.weight_decay}
        super().__init__([own, *self._rest.param_groups], {})
        # The same groups and the same state: a rate set or a state put back here is AdamW's too.
        self._rest.param_groups = self.param_groups[1:]
        self._rest.state = self.state

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every weight that has a gradient."""
        assert closure is None
        (group, *_) = self.param_groups
        for weight in group["params"]:
            if weight.grad is not None:
                self._update(weight, group["lr"], group["weight_decay"])
        self._rest.step()

    def _update(self, weight: Tensor, rate: float, decay: float) -> None:
        state = self.state[weight]
        assert weight.grad is not None
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight.grad)
        momentum: Tensor = state["momentum_buffer"]
        momentum.lerp_(weight.grad, 1 - self._momentum)
        wanted = weight.grad.lerp(momentum, self._momentum)
        weight.mul_(1 - rate * decay)
        if hasattr(wanted, "device_mesh"):
            # Cut over processes: each puts the whole together, does the same sums, and keeps its own rows.
            self._update_cut(weight, wanted, rate)
            return
        rows = self._rows[weight]
        for part, target in zip(torch.split(wanted, rows), torch.split(weight, rows), strict=True):
            scale = ADAMW_RMS * max(part.shape) ** 0.5
            target.add_(orthogonalised(part.to(self._dtype)).to(target.dtype), alpha=-rate * scale)

    def _update_cut(self, weight: Tensor, wanted: Any, rate: float) -> None:
        from torch.distributed.tensor import distribute_tensor

        whole = wanted.full_tensor()
        update = torch.cat(
            [
                orthogonalised(part.to(self._dtype)).to(whole.dtype) * (-rate * ADAMW_RMS * max(part.shape) ** 0.5)
                for part in whole.split(self._rows[weight])
            ]
        )
        weight.add_(distribute_tensor(update, wanted.device_mesh, wanted.placements, src_data_rank=None))

    def exchange(self, new: Mapping[Tensor, Tensor]) -> None:
        """Work on other tensors in place of those it has: see `exchange`."""
        self._rows = {new[weight]: rows for weight, rows in self._rows.items() if weight in new}
        (own, *_) = self.param_groups
        own["params"] = [new[weight] for weight in own["params"]]
        exchange(self._rest, new)
        self.param_groups = [own, *self._rest.param_groups]


def exchange(optimizer: Optimizer, new: Mapping[Tensor, Tensor]) -> None:
    """Let an optimizer that has taken no step work on other tensors in place of those it has.

    Cut tensors of one group are parted by how they are cut: torch's kernels take those of one kind at a time.
    """
    if isinstance(optimizer, Muon):
        optimizer.exchange(new)
        return
    groups = []
    for group in optimizer.param_groups:
        kinds: dict[int, list[Tensor]] = {}
        for weight in group["params"]:
            tensor = new[weight]
            kinds.setdefault(tensor.device_mesh.ndim if hasattr(tensor, "device_mesh") else 0, []).append(tensor)
        groups += [{**group, "params": tensors} for tensors in kinds.values()]
    optimizer.param_groups = groups


def orthogonalised(matrix: Tensor) -> Tensor:
    """A matrix with the same singular vectors, whose singular values are near 1: 0.7 to 1.2, but the tiniest."""
    a, b, c = COEFFICIENTS
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x: Tensor = wide / wide.norm().clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide is matrix else x.t()


def _block_matrices(model: nn.Module) -> Iterator[tuple[Tensor, list[int]]]:
    """The matrices of the blocks, and how many rows each projection in them has."""
    for block in model.modules():
        if not isinstance(block, Block):
            continue
        for module in block.modules():
            if isinstance(module, Attention):
                query, key_value = module.heads * module.head_size, module.kv_heads * module.head_size
                yield module.qkv.weight, [query, key_value, key_value]
                yield module.output.weight, [module.output.weight.shape[0]]
            elif isinstance(module, FeedForward):
                hidden = module.gate_up.weight.shape[0] // 2
                yield module.gate_up.weight, [hidden, hidden]
                yield module.down.weight, [module.down.weight.shape[0]]


def state_tensors(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimizer's tensors, named by weight: "blocks.0.attention.qkv.weight/exp_avg"."""
    return {
        f"{name}/{key}": value
        for name, weight in model.named_parameters()
        for key, value in optimizer.state.get(weight, {}).items()
    }


def load_state_tensors(model: nn.Module, optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
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
