"""The training loop: a batch, its gradient, a step of the optimizer, a line in the log; a checkpoint now and then.

What it writes follows from the model's initial weights, the batches and the plan alone: killed at any moment and
called again, it goes on from its last checkpoint to the same bits.

    log.jsonl              one line per step, each extending the chain: see `LogLine` in commitment.py
    checkpoints/step-…/    weights, optimizer, random state: see checkpoint.py

Every process of a training runs this loop. `spread` says what each has of it; one process alone has everything.
"""

import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from fonderie.core import pause
from fonderie.core.errors import StepError, StoreError
from fonderie.model.language_model import LanguageModel
from fonderie.model.loss import IGNORED, linear_cross_entropy
from fonderie.model.numerics import settle_compiler
from fonderie.train.data.batch import Batch, BatchOf, batch_hash
from fonderie.train.optim import load_state_tensors, state_tensors
from fonderie.train.parallel.spread import ALONE, Alone, Together
from fonderie.train.record import checkpoint
from fonderie.train.record.commitment import LOG, Done
from fonderie.train.record.journal import CHECKPOINTS, PAUSED, Journal, Save, Saved, check_log
from fonderie.train.settings.plan import Plan
from fonderie.train.validation import Stopping
from fonderie.train.view.view import UNWATCHED, Watch

SPARE_COMPILATIONS = 8
"""Beside one for each shape: a block is also compiled without gradients, where a training is validated."""


@dataclass(frozen=True)
class Part:
    """A micro-batch on the device: see `Batch` for the shapes."""

    ids: Tensor
    counts: Tensor | None = None
    documents: Tensor | None = None
    rows: Mapping[str, Tensor] = field(default_factory=dict)


Objective = Callable[[LanguageModel, Part, Plan], Tensor]
"""The loss of a part of a batch, summed over what counts in it."""


def next_token(model: LanguageModel, part: Part, plan: Plan) -> Tensor:
    """Cross-entropy of each target that counts, in nats, and the plan's z-loss, summed."""
    hidden_NW = model.hidden(part.ids[:, :-1], documents_BT=part.documents).flatten(0, 1)
    targets_BT = part.ids[:, 1:]
    if part.counts is not None:
        targets_BT = targets_BT.masked_fill(~part.counts, IGNORED)
    return linear_cross_entropy(
        hidden_NW, model.output_weight, targets_BT.flatten(), z_loss=plan.z_loss, compiled=plan.compile
    )


Damaged = Callable[[Path, StoreError], None]
"""Told of a checkpoint that is damaged and passed over."""


def counted(batch: Batch) -> int:
    """What the loss of a step is a mean over."""
    return batch.counted


def train(
    model: LanguageModel,
    optimizer: Optimizer,
    batch_of: BatchOf,
    plan: Plan,
    folder: Path,
    *,
    aside: Path,
    head: str,
    watch: Watch = UNWATCHED,
    objective: Objective = next_token,
    count: Callable[[Batch], int] = counted,
    spread: Alone = ALONE,
    stopping: Stopping | None = None,
    damaged: Damaged | None = None,
) -> int:
    """Train to the end, from the last checkpoint in `folder` if there is one; returns the step it started from.

    `aside` is a folder on the same file system for what is incomplete, `head` where the chain begins: the digest of
    the commitment. Raises StoreError for a damaged checkpoint, StepError for a loss that is not a number, Paused
    where that was wished for: see core/pause.py. Call `fonderie.model.numerics.settle` first, and `begin` if there
    is no checkpoint yet. Checkpoints that the plan does not keep in the end are left: see `prune`. `stopping` may
    end it earlier, after any checkpoint; `damaged` is told of a checkpoint that is passed over.
    """
    spread.check(plan)
    path = spread.from_first(lambda: latest_state(folder, aside, head, damaged))
    begun, head = _resume(model, optimizer, plan, folder, head, path=path, spread=spread)
    watch.begin(begun)
    ended = stopping is not None and stopping.begin(model, begun).ends
    steps = run(
        model,
        optimizer,
        batch_of,
        plan,
        after=begun,
        until=begun if ended else plan.steps,
        objective=objective,
        count=count,
        spread=spread,
    )
    save = saver(model, optimizer, spread)
    kept = plan.kept if stopping is None else stopping.kept
    with Journal(folder, aside, plan, head, save=save, writes=spread.first, kept=kept) as journal:
        for done in steps:
            journal.add(done)
            watch.step(done)
            if stopping is not None and stopping.due(done.step):
                journal.settle(wait=True)
                if stopping.after(model, done.step).ends:
                    break
            if spread.agree(pause.asked()) and done.step < plan.steps:
                journal.pause(done.step)
                raise pause.Paused(f"paused after step {done.step}")
        journal.settle(wait=True)
    return begun


def saver(model: LanguageModel, optimizer: Optimizer, spread: Alone) -> Save:
    """How the state is written: at once by one process, beside the training by several."""

    def save(aside: Path, step: int) -> Saved:
        tensors = tensors_of(model, optimizer)
        if isinstance(spread, Together):
            from fonderie.train.parallel.saving import save as save_together

            return save_together(aside, step, tensors, spread, model)
        written: Saved = Future()
        written.set_result(checkpoint.write(aside, step, tensors))
        return written

    return save


def run(
    model: LanguageModel,
    optimizer: Optimizer,
    batch_of: BatchOf,
    plan: Plan,
    *,
    after: int,
    until: int,
    objective: Objective = next_token,
    count: Callable[[Batch], int] = counted,
    spread: Alone = ALONE,
) -> Iterator[Done]:
    """Take the steps after one, until another, each as it is asked for; the bare loop, which writes nothing.

    The loss of a step is `objective`, summed over the parts of its batch, divided by `count` of the whole batch.
    """
    if plan.compile:
        _compile_blocks(model, plan)
    model.train()
    for step in range(after + 1, until + 1):
        phase, batch = plan.phase(step), batch_of(step)
        if len(plan.phases) > 1:
            model.reposition(phase.context, phase.rope_theta)
        rate, total = plan.rate(step), count(batch)
        if not total:
            raise StepError(f"at step {step} no target of the batch counts", hint="Give larger batches.")
        parts = parts_of(spread.rows(batch), phase.accumulation, model.embedding.weight.device)

        def share(model: LanguageModel, part: Part, plan: Plan, total: int = total) -> Tensor:
            return objective(model, part, plan) / total

        loss, norm = _update(model, optimizer, list(parts), plan, rate=rate, share=share, spread=spread)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise StepError(
                f"at step {step} the loss is {loss} and the gradient's norm {norm}",
                hint="Lower learning_rate, lengthen warmup, or train in fp32.",
            )
        yield Done(step, plan.tokens_until(step), loss, rate, norm, batch_hash(batch))


def begin(model: LanguageModel, optimizer: Optimizer, plan: Plan, folder: Path, *, aside: Path) -> str:
    """Write checkpoint 0, the state before the first step, into `folder`; returns its root."""
    torch.manual_seed(plan.seed)
    draft = checkpoint.write(aside, 0, tensors_of(model, optimizer))
    checkpoint.seal(draft, folder / CHECKPOINTS, {"tokens": 0, "log_bytes": 0})
    return draft.root


def _update(
    model: LanguageModel,
    optimizer: Optimizer,
    parts: Sequence[Part],
    plan: Plan,
    *,
    rate: float,
    share: Objective,
    spread: Alone,
) -> tuple[float, float]:
    """One optimizer step on one batch; returns its loss, and the gradient's norm before clipping.

    `share` is what a part adds to the loss of the batch.
    """
    device = model.embedding.weight.device
    loss = torch.zeros((), device=device)
    for number, part in enumerate(parts, 1):
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=plan.precision == "bf16"):
            part_loss = share(model, part, plan)
        spread.before_backward(model, last=number == len(parts))
        part_loss.backward()  # type: ignore[no-untyped-call]
        loss += part_loss.detach()
    norm, loss = spread.clip(model.parameters(), plan.clip), spread.total(loss)
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


def tensors_of(model: LanguageModel, optimizer: Optimizer) -> dict[str, dict[str, Tensor]]:
    """All that a later step depends on."""
    device = model.embedding.weight.device
    random = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        random["cuda"] = torch.cuda.get_rng_state(device)
    return {"model": model.state_dict(), "optimizer": state_tensors(model, optimizer), "random": random}


def restore(model: LanguageModel, optimizer: Optimizer, found: checkpoint.Checkpoint) -> None:
    """Put back weights, optimizer and random state as they were when the checkpoint was written."""
    model.load_state_dict(found.tensors["model"])
    load_state_tensors(model, optimizer, found.tensors["optimizer"])
    random = found.tensors["random"]
    torch.set_rng_state(random["cpu"])
    if "cuda" in random and model.embedding.weight.device.type == "cuda":
        torch.cuda.set_rng_state(random["cuda"], model.embedding.weight.device)


def _resume(
    model: LanguageModel,
    optimizer: Optimizer,
    plan: Plan,
    folder: Path,
    head: str,
    *,
    path: Path | None,
    spread: Alone,
) -> tuple[int, str]:
    """Put back a state and cut the log to it; returns its step, 0 to start afresh, and the chain."""
    log = folder / LOG
    if path is None:
        torch.manual_seed(plan.seed)
        log.unlink(missing_ok=True)
        return 0, head
    if isinstance(spread, Together):
        from fonderie.train.parallel.saving import restore as restore_together

        step, facts = restore_together(model, optimizer, path, spread)
    else:
        found = checkpoint.load(path)
        restore(model, optimizer, found)
        step, facts = found.step, found.facts
    if spread.first:
        check_log(folder, path, facts, head)
        if log.exists():
            os.truncate(log, facts["log_bytes"])
    return step, facts.get("chain", head)


def latest_state(folder: Path, aside: Path, head: str, damaged: Damaged | None = None) -> Path | None:
    """The checkpoint with the highest step, or what a pause left where that is later; None if there is none.

    Whether it is sound, and the log up to it, shows when it is loaded. With `damaged`, it is looked at here; if it
    is not sound, that is told, it is put aside, and the one before it is taken; StoreError if none is sound.
    """
    found = [*checkpoint.all_of(folder / CHECKPOINTS), *checkpoint.all_of(aside / PAUSED)]
    if not found:
        return None
    broken: dict[Path, StoreError] = {}
    for path in sorted(found, key=checkpoint.step_of, reverse=True):
        try:
            if damaged is not None:
                check_log(folder, path, checkpoint.check(path).facts, head)
        except StoreError as error:
            broken[path] = error
        else:
            break
    else:
        said = "; ".join(error.message for error in broken.values())
        raise StoreError(f"no checkpoint of {folder} is sound: {said}", hint=f"Remove {folder} to start again.")
    for other, found_wrong in broken.items():
        assert damaged is not None
        damaged(other, found_wrong)
        checkpoint.set_aside(other, aside)
    return path


def prune(folder: Path, kept: Callable[[Sequence[int]], set[int]], *, aside: Path) -> None:
    """Remove the checkpoints that are not `kept` in the end."""
    checkpoint.prune(folder / CHECKPOINTS, kept, aside=aside)


def _compile_blocks(model: LanguageModel, plan: Plan) -> None:
    """Compile the block, not the model: a quarter of the wait, and exact at two threads where the whole is not.

    It is compiled for each shape that micro-batches will have, as batches grow and contexts change with the phases.
    """
    import torch._dynamo

    # Beyond its limit, 8, torch would go on uncompiled, slower and with other bits, after a warning.
    shapes = sum(2 * len(phase.sizes.levels) for phase in plan.phases)
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, shapes + SPARE_COMPILATIONS)
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if model.embedding.weight.device.type == "cpu" and shutil.which(compiler) is None:
        raise StepError(
            f"compile = true needs a C++ compiler, and there is no {compiler} here",
            hint="Install one (Debian, Ubuntu: apt install g++) or name it in CXX, or set compile = false.",
        )
    settle_compiler()
    for block in model.blocks:
        block.compile(dynamic=False)
