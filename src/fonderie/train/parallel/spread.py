"""How one training is laid over processes: who has which rows of a batch, and how their sums come together.

Every process takes the same steps of the same plan and sees the same batches; each learns from its own rows. The
mesh has two dimensions: `data`, along which rows and weights are shared out (FSDP2, arXiv 2304.11277), and
`tensor`, along which the matrices of a block are (arXiv 1909.08053). Processes of one tensor group have the same
rows. A sum over processes is of fixed order for a fixed number of them, so the same layout gives the same bits.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from fonderie.core.machine import Machine
from fonderie.train.data.batch import Batch
from fonderie.train.parallel.layout import check_rows
from fonderie.train.settings.plan import Plan

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup
    from torch.distributed.device_mesh import DeviceMesh

# While the first process reads or writes what only one must, the others wait; if it fails, its end ends them.
WAIT = timedelta(days=7)


class Alone:
    """One process that has everything."""

    rank, size = 0, 1
    data_rank, data_size, tensor_size = 0, 1, 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def check(self, plan: Plan) -> None:
        """UsageError if the plan cannot be laid over these processes."""

    def rows(self, batch: Batch) -> Batch:
        """This process's sequences."""
        return batch

    def total(self, value: Tensor) -> Tensor:
        """The sum over processes of what each has of a batch."""
        return value

    def before_backward(self, model: nn.Module, *, last: bool) -> None:
        """Told before each micro-batch's backward pass, and whether it is the batch's last."""

    def clip(self, parameters: Iterable[Tensor], limit: float) -> Tensor:
        """Scale gradients down to a norm; returns the norm of the whole gradient before."""
        return torch.nn.utils.clip_grad_norm_(parameters, limit)

    def agree(self, wish: bool) -> bool:
        """Whether the first process wishes it."""
        return wish

    def from_first(self, value: Callable[[], Any]) -> Any:
        """What the function gives, called in the first process only, while the others wait."""
        return value()


ALONE = Alone()


@dataclass(frozen=True)
class Together(Alone):
    """One of several processes."""

    mesh: "DeviceMesh"
    control: "ProcessGroup"
    """For what the training thread says on the processor, at every step."""
    waiting: "ProcessGroup"
    """For waits of any length."""
    saving: "ProcessGroup"
    """For the thread that writes checkpoints, which must not get between the training's own messages."""

    @property
    def rank(self) -> int:  # type: ignore[override]
        """The number of this process, from 0."""
        return torch.distributed.get_rank()

    @property
    def size(self) -> int:  # type: ignore[override]
        """How many there are."""
        return torch.distributed.get_world_size()

    @property
    def data_rank(self) -> int:  # type: ignore[override]
        """Which share of the rows is this process's."""
        return int(self.mesh["data"].get_local_rank())

    @property
    def data_size(self) -> int:  # type: ignore[override]
        """Into how many shares the rows are cut."""
        return int(self.mesh["data"].size())

    @property
    def tensor_size(self) -> int:  # type: ignore[override]
        """Over how many processes a matrix is cut."""
        return int(self.mesh["tensor"].size())

    def check(self, plan: Plan) -> None:
        """UsageError for a batch that has too few sequences for every process and micro-batch."""
        check_rows(plan, self.data_size)

    def rows(self, batch: Batch) -> Batch:
        """This process's sequences: neighbours in the batch, as many as any other process's or one more."""

        def mine(array: Any) -> Any:
            return None if array is None else np.array_split(array, self.data_size)[self.data_rank]

        rows = {name: mine(array) for name, array in batch.rows.items()}
        return replace(
            batch, ids=mine(batch.ids), counts=mine(batch.counts), documents=mine(batch.documents), rows=rows
        )

    def total(self, value: Tensor) -> Tensor:
        """The sum over the shares of a batch."""
        torch.distributed.all_reduce(value, group=self.mesh["data"].get_group())
        return value

    def before_backward(self, model: nn.Module, *, last: bool) -> None:
        """Let gradients be summed over processes once, after the last micro-batch."""
        model.set_requires_gradient_sync(last)  # type: ignore[operator]

    def clip(self, parameters: Iterable[Tensor], limit: float) -> Tensor:
        """As for one process: every weight counts once, however it is cut."""
        gradients = [weight.grad for weight in parameters if weight.grad is not None]
        # Weights that only `data` cuts are whole in each process of a tensor group; the others are cut by both.
        cut = {1: [], 2: []}  # type: dict[int, list[Tensor]]
        for gradient in gradients:
            cut[gradient.device_mesh.ndim].append(gradient.to_local())  # type: ignore[attr-defined]
        squares = torch.stack([_square(cut[1], gradients[0]), _square(cut[2], gradients[0])])
        torch.distributed.all_reduce(squares, group=self.mesh["data"].get_group())
        both = squares[1:].contiguous()
        torch.distributed.all_reduce(both, group=self.mesh["tensor"].get_group())
        norm = (squares[0] + both[0]).sqrt()
        # The same guard and limit as in torch's clip_grad_norm_.
        torch._foreach_mul_([*cut[1], *cut[2]], (limit / (norm + 1e-6)).clamp(max=1.0))
        return norm

    def agree(self, wish: bool) -> bool:
        """Whether the first process wishes it."""
        flag = torch.tensor([int(wish)])
        torch.distributed.broadcast(flag, src=0, group=self.control)
        return bool(flag)

    def from_first(self, value: Callable[[], Any]) -> Any:
        """Called in the first process; the others wait as long as it takes, and get the same."""
        held = [value() if self.first else None]
        torch.distributed.broadcast_object_list(held, src=0, group=self.waiting)
        return held[0]


def _square(tensors: list[Tensor], like: Tensor) -> Tensor:
    if not tensors:
        return torch.zeros((), device=like.device)
    return torch.stack(torch._foreach_norm(tensors)).square().sum()


def current() -> Alone:
    """The layout of this process: `join` made it, or it is alone."""
    return _joined or ALONE


_joined: Together | None = None


def join(machine: Machine) -> Together:
    """Meet the other processes, as torchrun's variables say who and where they are."""
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh

    global _joined  # noqa: PLW0603
    device = torch.device(machine.device).type
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    patience = timedelta(seconds=machine.patience_seconds)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo", timeout=patience)
    shape = (dist.get_world_size() // machine.tensor_parallel, machine.tensor_parallel)
    mesh = init_device_mesh(device, shape, mesh_dim_names=("data", "tensor"))
    control, waiting, saving = (dist.new_group(backend="gloo", timeout=limit) for limit in (patience, WAIT, WAIT))
    _joined = Together(mesh, control, waiting, saving)
    return _joined


def leave() -> None:
    """Part from the other processes."""
    global _joined  # noqa: PLW0603
    _joined = None
    torch.distributed.destroy_process_group()
