"""What every training step does around its own model, data and objective: commit, learn, write.

    model.safetensors config.json generation_config.json    the final weights, as the step saves them
    commitment.json                                          tokens, parameters, data order and initial state, named
                                                             before the first step: see commitment.py
    log.jsonl loss.svg                                       the loss of every step, in a chain, and its curve
    parameters.json                                          every size and setting, derived ones included
    mix.json                                                 how much of each source the training sees, and when
    checkpoints/step-…/                                      weights, optimizer and random state to go on from

Killed at any moment and run again, it goes on from its last checkpoint and writes the same bytes. All trainings
write these files through this module, so that verify, replay, release and why read every one of them alike.
"""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rich.markup import escape

from fonderie.core.errors import StoreError
from fonderie.core.files import sync_folder, write_atomically
from fonderie.core.machine import Machine
from fonderie.core.step import Output
from fonderie.model.config import ForeignConfig, ModelConfig
from fonderie.tokens.shards import ShardIndex
from fonderie.train.data.batch import Batch
from fonderie.train.record.commitment import COMMITMENT, DERIVED, LOG, Commitment, LogLine, read_log
from fonderie.train.record.curve import loss_curve
from fonderie.train.settings.plan import Plan
from fonderie.train.training import read_commitment
from fonderie.train.view.mix import MIX, Mix
from fonderie.train.view.view import View, flops_until

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from fonderie.model.language_model import LanguageModel
    from fonderie.train.loop import Part
    from fonderie.train.parallel.spread import Alone
    from fonderie.train.validation import Stopping

FLOPS_FORMULA = "6 N + 12 L H Q T per token (PaLM, appendix B)"


class Trainable(Protocol):
    """A training whose parameters, data and sizes are settled, and nothing learnt."""

    @property
    def plan(self) -> Plan:
        """Steps, learning rates, checkpoints."""

    @property
    def config(self) -> ModelConfig | ForeignConfig:
        """The sizes of the model that comes of it."""

    def batches(self, step: int) -> Batch:
        """The batch of a step, counted from 1: a pure function."""

    def fresh(self, device: str) -> "tuple[LanguageModel, Optimizer]":
        """The model with the weights it begins from, and its optimizer before the first step.

        On the device "meta", the shapes alone: nothing is drawn or read.
        """

    def objective(self, model: "LanguageModel", part: "Part", plan: Plan) -> "Tensor":
        """The loss of a part of a batch, summed over what counts in it."""

    def count(self, batch: Batch) -> int:
        """What the summed loss of a batch is divided by."""

    def derived(self) -> dict[str, Any]:
        """Every setting of the training, for parameters.json."""


def saving(index: ShardIndex) -> "Callable[[LanguageModel, Path], None]":
    """How final weights are written: with the ids that begin and end the texts of these tokens."""
    from fonderie.model.convert import save_pretrained

    return partial(save_pretrained, bos=index.bos, eos=(index.eos, index.end), pad=index.eos)


def train_committed(
    training: Trainable,
    draft: Commitment,
    out: Output,
    machine: Machine,
    *,
    save: "Callable[[LanguageModel, Path], None]",
    mix: Mix | None = None,
    stopping: "Stopping | None" = None,
) -> None:
    """Commit, train, then write the model; statistics hold its size, tokens, steps, FLOPs and final loss.

    `draft` is the commitment but for its initial state, `save` writes the final weights into a folder; `mix` is
    what the training will see of each source, where that is known; `stopping` may end it before its last step. Call
    `fonderie.model.numerics.settle` first. Raises StoreError for a staging folder of another training or a damaged
    checkpoint, StepError for a loss that is not a number.
    """
    from fonderie.train.loop import prune, train
    from fonderie.train.parallel.spread import current

    clock, spread = time.monotonic(), current()
    model, optimizer, commitment = _prepare(draft, training, out, machine, spread)
    if mix is not None and spread.first:
        (out.state / MIX).write_text(mix.to_json(), encoding="utf-8")
        (out.state / MIX).replace(out.path / MIX)
    committed = time.monotonic() - clock
    plan = training.plan
    with (
        machine.bar("training", plan.steps, "steps") as bar,
        View(training.config, plan, out, machine, bar, first=spread.first) as view,
    ):
        train(
            model,
            optimizer,
            view.timed(training.batches),
            plan,
            out.path,
            aside=out.state,
            head=commitment.digest,
            watch=view,
            objective=training.objective,
            count=training.count,
            spread=spread,
            stopping=stopping,
            damaged=partial(_passed_over, machine) if machine.on_damaged_checkpoint == "previous" else None,
        )

    final = _whole(model, training, spread, out.path)
    if final is None:
        return
    prune(out.path, plan.kept if stopping is None else stopping.kept, aside=out.state)
    save(final, out.path)
    lines = read_log((out.path / LOG).read_bytes())
    curve = loss_curve([line.tokens for line in lines], [line.loss for line in lines])
    (out.path / "loss.svg").write_bytes(curve)
    _write_derived(out.path / DERIVED, training)
    out.statistics.update(_statistics(training, lines))
    circumstances = {"threads": machine.threads, "processes": machine.processes, "device": machine.device}
    out.measured.update(view.measured(), **circumstances, commitment_seconds=round(committed, 3))


def _passed_over(machine: Machine, path: Path, error: StoreError) -> None:
    machine.note("checkpoint_damaged", checkpoint=str(path), why=error.message)
    machine.reporter.say(escape(f"  training: {error.message}; it goes on from the checkpoint before"))


def _prepare(
    draft: Commitment, training: Trainable, out: Output, machine: Machine, spread: "Alone"
) -> "tuple[LanguageModel, Optimizer, Commitment]":
    """The model and its optimizer as this process has them, and the commitment, which only the first writes."""
    from fonderie.model.float8 import use_float8
    from fonderie.train.parallel.shard import recompute, shard
    from fonderie.train.parallel.spread import Together

    if isinstance(spread, Together):
        # Initial weights are drawn whole by one process and read by the others: the same for any number of them.
        commitment = spread.from_first(lambda: _commit(draft, training, lambda: training.fresh("cpu"), out))
        model, optimizer = training.fresh("meta")
        if training.plan.fp8:
            use_float8(model, machine.device)
        shard(model, optimizer, spread, precision=training.plan.precision)
        model.to_empty(device=machine.device)
    else:
        model, optimizer = training.fresh(machine.device)
        commitment = _commit(draft, training, lambda: (model, optimizer), out)
        if training.plan.fp8:
            use_float8(model, machine.device)
    if machine.recompute:
        recompute(model)
    return model, optimizer, commitment


def _whole(model: "LanguageModel", training: Trainable, spread: "Alone", folder: Path) -> "LanguageModel | None":
    """The final weights in one model; None in the processes that do not write them."""
    from fonderie.train.parallel.spread import Together
    from fonderie.train.record import checkpoint
    from fonderie.train.record.journal import CHECKPOINTS

    if not isinstance(spread, Together):
        return model
    if not spread.first:
        return None
    # The last step has a checkpoint, also where a training is ended early, and there they are whole already.
    path = checkpoint.latest(folder / CHECKPOINTS)
    assert path is not None
    fresh, _ = training.fresh("meta")
    fresh.load_state_dict(checkpoint.load_group(path, "model"), assign=True)
    return fresh.to("cpu")


def _commit(
    draft: Commitment, training: Trainable, fresh: "Callable[[], tuple[LanguageModel, Optimizer]]", out: Output
) -> Commitment:
    """Write checkpoint 0 and the commitment; where a killed training left them, see that they are this one's."""
    from fonderie.train.loop import begin
    from fonderie.train.record import checkpoint
    from fonderie.train.record.journal import CHECKPOINTS

    path = out.path / COMMITMENT
    if not path.exists():
        last = checkpoint.latest(out.path / CHECKPOINTS)
        if last is not None and last.name != checkpoint.folder_name(0):
            raise StoreError(
                f"{out.path} holds {last.name}, and no {path.name}", hint=f"Remove {out.path} to start again."
            )
        root = begin(*fresh(), training.plan, out.path, aside=out.state)
        commitment = draft.model_copy(update={"initial_state": root})
        # By way of `state`: what a crash leaves beside the file would become part of the artifact.
        write_atomically(out.state / COMMITMENT, commitment.to_json().encode("utf-8"))
        (out.state / COMMITMENT).replace(path)
        sync_folder(out.path)
        return commitment
    commitment = read_commitment(path)
    if commitment != draft.model_copy(update={"initial_state": commitment.initial_state}):
        raise StoreError(
            f"{path} commits to another training than this one", hint=f"Remove {out.path} to start again."
        )
    return commitment


def _write_derived(path: Path, training: Trainable) -> None:
    config = training.config
    derived = {
        "model": {**config.model_dump(mode="json"), "parameters": config.parameters},
        "training": training.derived(),
    }
    path.write_text(json.dumps(derived, indent=1) + "\n", encoding="utf-8")


def _statistics(training: Trainable, lines: list[LogLine]) -> dict[str, Any]:
    config = training.config
    # One step's loss says little: the last twentieth is averaged.
    last = [line.loss for line in lines[-max(1, len(lines) // 20) :]]
    tokens = lines[-1].tokens
    return {
        "parameters": config.parameters,
        "steps": len(lines),
        "tokens": tokens,
        "flops": flops_until(config, training.plan, lines[-1].step),
        "flops_formula": FLOPS_FORMULA,
        "final_loss": sum(last) / len(last),
        "final_loss_steps": len(last),
    }
