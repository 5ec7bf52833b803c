"""The training loop: a batch, its gradient, a step of AdamW, a line in the log; a checkpoint now and then.

What it writes follows from the model's initial weights, the batches and the plan alone: killed at any moment and
called again, it goes on from its last checkpoint to the same bits.

    log.jsonl              one line per step: step, tokens seen, loss before the step, learning rate, gradient norm
    checkpoints/step-…/    weights, optimizer, random state: see checkpoint.py
"""

import json
import math
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from fonderie.core.errors import StepError, StoreError
from fonderie.model.loss import linear_cross_entropy
from fonderie.model.transformer import Decoder
from fonderie.train import checkpoint
from fonderie.train.optim import load_state_tensors, state_tensors
from fonderie.train.plan import Plan

LOG = "log.jsonl"
CHECKPOINTS = "checkpoints"


def train(
    model: Decoder,
    optimizer: Optimizer,
    batch_of: Callable[[int], NDArray[np.int64]],
    plan: Plan,
    folder: Path,
    *,
    aside: Path,
    advance: Callable[[int, str], None] = lambda _count, _note: None,
) -> int:
    """Train to the end, from the last checkpoint in `folder` if there is one; returns the step it started from.

    `batch_of(step)` gives ids [batch, context + 1], steps counting from 1. `aside` is a folder on the same file
    system for what is incomplete. Raises StoreError for a damaged checkpoint and StepError for a loss that is not
    a number. Call `fonderie.model.numerics.settle` first.
    """
    torch.manual_seed(plan.seed)
    begun = _resume(model, optimizer, folder)
    advance(begun, "")
    if plan.compile:
        _compile_blocks(model)
    model.train()
    with (folder / LOG).open("a", encoding="utf-8") as log:
        for step in range(begun + 1, plan.schedule.steps + 1):
            ids = torch.from_numpy(batch_of(step)).to(model.embedding.weight.device)
            rate = plan.schedule.rate(step)
            loss, norm = _update(model, optimizer, ids, plan, rate)
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise StepError(
                    f"at step {step} the loss is {loss} and the gradient's norm {norm}",
                    hint="Lower learning_rate, lengthen warmup, or train in fp32.",
                )
            tokens = step * ids.shape[0] * (ids.shape[1] - 1)
            line = {"step": step, "tokens": tokens, "loss": loss, "learning_rate": rate, "gradient_norm": norm}
            log.write(json.dumps(line) + "\n")
            log.flush()
            if step % plan.checkpoint_every == 0 or step == plan.schedule.steps:
                os.fsync(log.fileno())
                facts = {"tokens": tokens, "log_bytes": log.tell()}
                checkpoint.save(folder / CHECKPOINTS, aside, step, _tensors(model, optimizer), facts)
                checkpoint.prune(folder / CHECKPOINTS, max(plan.checkpoints_kept, 1))
            advance(1, f"loss {loss:.3f}")
    checkpoint.prune(folder / CHECKPOINTS, plan.checkpoints_kept)
    return begun


def _update(model: Decoder, optimizer: Optimizer, ids: Tensor, plan: Plan, rate: float) -> tuple[float, float]:
    """One optimizer step on one batch; returns the mean loss in nats, and the gradient's norm before clipping."""
    tokens = ids.shape[0] * (ids.shape[1] - 1)
    loss = torch.zeros((), device=ids.device)
    for part in ids.tensor_split(plan.accumulation):
        with torch.autocast(ids.device.type, dtype=torch.bfloat16, enabled=plan.precision == "bf16"):
            hidden_NW = model.hidden(part[:, :-1]).flatten(0, 1)
            part_loss = linear_cross_entropy(hidden_NW, model.output_weight, part[:, 1:].flatten()) / tokens
        part_loss.backward()  # type: ignore[no-untyped-call]
        loss += part_loss.detach()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad()
    return loss.item(), norm.item()


def _tensors(model: Decoder, optimizer: Optimizer) -> dict[str, dict[str, Tensor]]:
    """All that a later step depends on."""
    device = model.embedding.weight.device
    random = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        random["cuda"] = torch.cuda.get_rng_state(device)
    return {"model": model.state_dict(), "optimizer": state_tensors(model, optimizer), "random": random}


def _resume(model: Decoder, optimizer: Optimizer, folder: Path) -> int:
    """Put back the latest checkpoint and cut the log to its step; returns the step, 0 to start afresh."""
    path = checkpoint.latest(folder / CHECKPOINTS)
    if path is None:
        (folder / LOG).unlink(missing_ok=True)
        return 0
    found = checkpoint.load(path)
    model.load_state_dict(found.tensors["model"])
    load_state_tensors(model, optimizer, found.tensors["optimizer"])
    random = found.tensors["random"]
    torch.set_rng_state(random["cpu"])
    if "cuda" in random:
        torch.cuda.set_rng_state(random["cuda"], model.embedding.weight.device)
    log, length = folder / LOG, found.facts["log_bytes"]
    if not log.exists() or log.stat().st_size < length:
        raise StoreError(f"{log} is shorter than {path.name} recorded", hint=f"Remove {folder} to start again.")
    os.truncate(log, length)
    return found.step


def _compile_blocks(model: Decoder) -> None:
    """Compile the block, not the model: a quarter of the wait, and exact at two threads where the whole is not."""
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if model.embedding.weight.device.type == "cpu" and shutil.which(compiler) is None:
        raise StepError(
            f"compile = true needs a C++ compiler, and there is no {compiler} here",
            hint="Install one (Debian, Ubuntu: apt install g++) or name it in CXX, or set compile = false.",
        )
    for block in model.blocks:
        block.compile(dynamic=False)
