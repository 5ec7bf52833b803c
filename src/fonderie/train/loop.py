"""The training loop: a batch, its gradient, a step of the optimizer, a line in the log; a checkpoint now and then.

What it writes follows from the model's initial weights, the batches and the plan alone: killed at any moment and
called again, it goes on from its last checkpoint to the same bits.

    log.jsonl              one line per step, each extending the chain: see `LogLine` in commitment.py
    checkpoints/step-…/    weights, optimizer, random state: see checkpoint.py
"""

import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from fonderie.core.errors import StepError, StoreError
from fonderie.model.loss import IGNORED, linear_cross_entropy
from fonderie.model.transformer import Decoder
from fonderie.train import checkpoint
from fonderie.train.batch import Batch, BatchOf, batch_hash
from fonderie.train.commitment import LOG, LogLine, extend
from fonderie.train.optim import load_state_tensors, state_tensors
from fonderie.train.plan import Plan

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class Part:
    """A micro-batch on the device: see `Batch` for the shapes."""

    ids: Tensor
    counts: Tensor | None = None
    documents: Tensor | None = None
    rows: Mapping[str, Tensor] = field(default_factory=dict)


Objective = Callable[[Decoder, Part, Plan], Tensor]
"""The loss of a part of a batch, summed over what counts in it."""


def next_token(model: Decoder, part: Part, plan: Plan) -> Tensor:  # noqa: ARG001
    """Cross-entropy of each target that counts, in nats, summed."""
    hidden_NW = model.hidden(part.ids[:, :-1], documents_BT=part.documents).flatten(0, 1)
    targets_BT = part.ids[:, 1:]
    if part.counts is not None:
        targets_BT = targets_BT.masked_fill(~part.counts, IGNORED)
    return linear_cross_entropy(hidden_NW, model.output_weight, targets_BT.flatten())


def counted(batch: Batch) -> int:
    """What the loss of a step is a mean over."""
    return batch.counted


def train(
    model: Decoder,
    optimizer: Optimizer,
    batch_of: BatchOf,
    plan: Plan,
    folder: Path,
    *,
    aside: Path,
    head: str,
    advance: Callable[[int, str], None] = lambda _count, _note: None,
    objective: Objective = next_token,
    count: Callable[[Batch], int] = counted,
) -> int:
    """Train to the end, from the last checkpoint in `folder` if there is one; returns the step it started from.

    `aside` is a folder on the same file system for what is incomplete, `head` where the chain begins: the digest of
    the commitment. Raises StoreError for a damaged checkpoint and StepError for a loss that is not a number. Call
    `fonderie.model.numerics.settle` first, and `begin` if there is no checkpoint yet.
    """
    begun, head = _resume(model, optimizer, plan, folder, head)
    advance(begun, "")
    steps = run(model, optimizer, batch_of, plan, after=begun, until=plan.steps, objective=objective, count=count)
    with (folder / LOG).open("a", encoding="utf-8") as log:
        for done in steps:
            due = plan.checkpoint_due(done.step)
            draft = checkpoint.write(aside, done.step, tensors_of(model, optimizer)) if due else None
            line = done.line(head, None if draft is None else draft.root)
            head = line.chain
            log.write(line.to_json() + "\n")
            log.flush()
            if draft is not None:
                os.fsync(log.fileno())
                facts = {"tokens": line.tokens, "log_bytes": log.tell(), "chain": head}
                checkpoint.seal(draft, folder / CHECKPOINTS, facts)
                checkpoint.prune(folder / CHECKPOINTS, max(plan.checkpoints_kept, 1))
            advance(1, f"loss {line.loss:.3f}")
    checkpoint.prune(folder / CHECKPOINTS, plan.checkpoints_kept)
    return begun


@dataclass(frozen=True)
class Done:
    """What one step came to."""

    step: int
    tokens: int
    """Inputs of all steps so far."""
    loss: float
    learning_rate: float
    gradient_norm: float
    batch: str

    def line(self, head: str, checkpoint_root: str | None) -> LogLine:
        """The step as the log holds it, the chain going on from `head`."""
        chain = extend(head, self.step, self.batch, self.loss, checkpoint_root)
        return LogLine(**vars(self), checkpoint=checkpoint_root, chain=chain)


def run(
    model: Decoder,
    optimizer: Optimizer,
    batch_of: BatchOf,
    plan: Plan,
    *,
    after: int,
    until: int,
    objective: Objective = next_token,
    count: Callable[[Batch], int] = counted,
) -> Iterator[Done]:
    """Take the steps after one, until another, each as it is asked for; the bare loop, which writes nothing.

    The loss of a step is `objective`, summed over the parts of its batch, divided by `count` of the whole batch.
    """
    if plan.compile:
        _compile_blocks(model)
    model.train()
    for step in range(after + 1, until + 1):
        batch = batch_of(step)
        rate, total = plan.rate(step), count(batch)
        parts = parts_of(batch, plan.phase(step).accumulation, model.embedding.weight.device)

        def share(model: Decoder, part: Part, plan: Plan, total: int = total) -> Tensor:
            return objective(model, part, plan) / total

        loss, norm = _update(model, optimizer, parts, plan, rate=rate, share=share)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise StepError(
                f"at step {step} the loss is {loss} and the gradient's norm {norm}",
                hint="Lower learning_rate, lengthen warmup, or train in fp32.",
            )
        yield Done(step, plan.tokens_until(step), loss, rate, norm, batch_hash(batch))


def begin(model: Decoder, optimizer: Optimizer, plan: Plan, folder: Path, *, aside: Path) -> str:
    """Write checkpoint 0, the state before the first step, into `folder`; returns its root."""
    torch.manual_seed(plan.seed)
    draft = checkpoint.write(aside, 0, tensors_of(model, optimizer))
    checkpoint.seal(draft, folder / CHECKPOINTS, {"tokens": 0, "log_bytes": 0})
    return draft.root


def _update(
    model: Decoder, optimizer: Optimizer, parts: Iterator[Part], plan: Plan, *, rate: float, share: Objective
) -> tuple[float, float]:
    """One optimizer step on one batch; returns its loss, and the gradient's norm before clipping.

    `share` is what a part adds to the loss of the batch.
    """
    device = model.embedding.weight.device
    loss = torch.zeros((), device=device)
    for part in parts:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=plan.precision == "bf16"):
            part_loss = share(model, part, plan)
        part_loss.backward()  # type: ignore[no-untyped-call]
        loss += part_loss.detach()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad()
    return loss.item(), norm.item()


def parts_of(batch: Batch, parts: int, device: torch.device) -> Iterator[Part]:
    """A batch cut into micro-batches, each with its sequences' share of every array."""

    def cut(array: NDArray[Any]) -> Sequence[Tensor]:
        return torch.from_numpy(array).to(device).tensor_split(parts)

    nothing = [None] * parts
    rows = {name: cut(array) for name, array in batch.rows.items()}
    yield from (
        Part(ids, counts, documents, {name: pieces[number] for name, pieces in rows.items()})
        for number, (ids, counts, documents) in enumerate(
            zip(
                cut(batch.ids),
                nothing if batch.counts is None else cut(batch.counts),
                nothing if batch.documents is None else cut(batch.documents),
                strict=True,
            )
        )
    )


def tensors_of(model: Decoder, optimizer: Optimizer) -> dict[str, dict[str, Tensor]]:
    """All that a later step depends on."""
    device = model.embedding.weight.device
    random = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        random["cuda"] = torch.cuda.get_rng_state(device)
    return {"model": model.state_dict(), "optimizer": state_tensors(model, optimizer), "random": random}


def restore(model: Decoder, optimizer: Optimizer, found: checkpoint.Checkpoint) -> None:
    """Put back weights, optimizer and random state as they were when the checkpoint was written."""
    model.load_state_dict(found.tensors["model"])
    load_state_tensors(model, optimizer, found.tensors["optimizer"])
    random = found.tensors["random"]
    torch.set_rng_state(random["cpu"])
    if "cuda" in random and model.embedding.weight.device.type == "cuda":
        torch.cuda.set_rng_state(random["cuda"], model.embedding.weight.device)


def _resume(model: Decoder, optimizer: Optimizer, plan: Plan, folder: Path, head: str) -> tuple[int, str]:
    """Put back the latest checkpoint and cut the log to it; returns its step, 0 to start afresh, and the chain."""
    path, log = checkpoint.latest(folder / CHECKPOINTS), folder / LOG
    if path is None:
        torch.manual_seed(plan.seed)
        log.unlink(missing_ok=True)
        return 0, head
    found = checkpoint.load(path)
    restore(model, optimizer, found)
    length = found.facts["log_bytes"]
    if (log.stat().st_size if log.exists() else 0) < length:
        raise StoreError(f"{log} is shorter than {path.name} recorded", hint=f"Remove {folder} to start again.")
    if log.exists():
        os.truncate(log, length)
    return found.step, found.facts.get("chain", head)


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
