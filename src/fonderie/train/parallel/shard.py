"""A model cut up for several processes: tensor parallelism within blocks, then FSDP2 over everything.

What is computed is what one process computes, but for the order of sums: gradients are summed over processes, never
averaged (the loss is already divided by the whole batch), and in bf16 the weights of products travel in bf16, which
is what autocast would make of them, while norms, embedding, head and all sums of gradients stay in fp32.

Tensor parallelism: our fused matrices hold query, key and value (or gate and up) rows one after the other, so a cut
into equal stretches of rows would give one process all the queries. While a model is cut, the rows of these two
matrices stand in another order, that of `row_order`: each process's heads together. On disk they always stand in
the model's own (storage.py puts them back), so that a checkpoint does not depend on who wrote it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from fonderie.core.errors import UsageError
from fonderie.model.config import ForeignConfig, ModelConfig
from fonderie.model.language_model import LanguageModel
from fonderie.model.transformer import Block, Decoder, RMSNorm
from fonderie.train.optim import exchange
from fonderie.train.parallel.layout import check_cut
from fonderie.train.parallel.spread import Together

if TYPE_CHECKING:
    from torch.distributed.fsdp import MixedPrecisionPolicy

# Suffixes of the parameters whose rows are put in another order, and how many heads or halves they hold.
FUSED = ("attention.qkv.weight", "attention.qkv.bias", "feed_forward.gate_up.weight")


def shard(model: LanguageModel, optimizer: Optimizer, spread: Together, *, precision: str) -> None:
    """Cut a model, and let its optimizer work on the cut weights; both may still be on the meta device.

    UsageError for a model that cannot be cut so; what the parameters tell of that, layout.py has refused. After it,
    `model.hidden` and `output_weight` work as before.
    """
    from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

    if not isinstance(model, Decoder):
        raise UsageError(
            f"a model that transformers computes ({_family(model)}) is trained by one process: "
            "only our own decoder can be cut up",
            hint="Leave out --processes.",
        )
    names = {weight: name for name, weight in model.named_parameters()}
    if spread.tensor_size > 1:
        _cut_matrices(model, spread)
    mesh, plain, products = spread.mesh["data"], _policy(None), _policy(precision)
    for block in model.blocks:
        fully_shard([part for part in block.modules() if isinstance(part, RMSNorm)], mesh=mesh, mp_policy=plain)
        fully_shard(block, mesh=mesh, mp_policy=products)
    fully_shard(model, mesh=mesh, mp_policy=plain)
    register_fsdp_forward_method(model, "hidden")
    for part in model.modules():
        if isinstance(part, FSDPModule):
            # Set for each part on its own; the default divides by the number of processes.
            part.set_gradient_divide_factor(1.0)
            part.set_force_sum_reduction_for_comms(True)
    cut = dict(model.named_parameters())
    exchange(optimizer, {weight: cut[name] for weight, name in names.items()})


def _policy(precision: str | None) -> "MixedPrecisionPolicy":
    from torch.distributed.fsdp import MixedPrecisionPolicy

    half = torch.bfloat16 if precision == "bf16" else None
    full = None if half is None else torch.float32
    return MixedPrecisionPolicy(param_dtype=half, reduce_dtype=full, cast_forward_inputs=False)


def _cut_matrices(model: Decoder, spread: Together) -> None:
    """Give each process of a tensor group its heads and its part of the feed-forward network."""
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    parts, config = spread.tensor_size, model.config
    check_cut(config, parts)
    for block in model.blocks:
        assert isinstance(block, Block)
        styles = {
            "attention.qkv": ColwiseParallel(),
            "attention.output": RowwiseParallel(),
            "feed_forward.gate_up": ColwiseParallel(),
            "feed_forward.down": RowwiseParallel(),
        }
        parallelize_module(block, spread.mesh["tensor"], styles)
        block.attention.heads //= parts
        block.attention.kv_heads //= parts


def row_order(name: str, config: ModelConfig, parts: int) -> Tensor | None:
    """Which row of the model's own order each row of a cut parameter holds; None where they are the same.

    `name` is a parameter's, or that of its state in the optimizer ("…/exp_avg").
    """
    if parts == 1 or not name.partition("/")[0].endswith(FUSED):
        return None
    if "gate_up" in name:
        pieces = torch.split(torch.arange(2 * config.hidden), config.hidden)
    else:
        query, key_value = config.heads * config.head_size, config.kv_heads * config.head_size
        pieces = torch.split(torch.arange(query + 2 * key_value), [query, key_value, key_value])
    cut = [piece.chunk(parts) for piece in pieces]
    return torch.cat([piece[part] for part in range(parts) for piece in cut])


def recompute(model: LanguageModel) -> None:
    """Keep only what enters each block, and compute the rest again in the backward pass (arXiv 1604.06174).

    The same operations on the same numbers, an adapter's dropout drawn again as it was: the bits stay.
    """
    from torch.utils.checkpoint import checkpoint

    def again(forward: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *inputs: checkpoint(forward, *inputs, use_reentrant=False)

    if not model.native:
        raise UsageError(
            f"--recompute knows our own decoder's blocks, and transformers computes this model ({_family(model)})",
            hint="Leave it out.",
        )
    for block in model.blocks:
        block.forward = again(block.forward)


def _family(model: LanguageModel) -> str:
    return model.config.family if isinstance(model.config, ForeignConfig) else model.config.architecture
