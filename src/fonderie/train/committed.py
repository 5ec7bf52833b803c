"""What every training step does around its own model, data and objective: commit, learn, write.

    model.safetensors config.json generation_config.json    the final weights, as the step saves them
    commitment.json                                          tokens, parameters, data order and initial state, named
                                                             before the first step: see commitment.py
    log.jsonl loss.svg                                       the loss of every step, in a chain, and its curve
    parameters.json                                          every size and setting, derived ones included
    checkpoints/step-…/                                      weights, optimizer and random state to go on from

Killed at any moment and run again, it goes on from its last checkpoint and writes the same bytes. All trainings
write these files through this module, so that verify, replay, release and why read every one of them alike.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fonderie.core.errors import StoreError
from fonderie.core.files import sync_folder, write_atomically
from fonderie.core.machine import Machine
from fonderie.core.step import Output
from fonderie.model.config import ModelConfig
from fonderie.train.batch import Batch
from fonderie.train.commitment import COMMITMENT, LOG, Commitment, LogLine, read_log
from fonderie.train.curve import loss_curve
from fonderie.train.plan import Plan
from fonderie.train.seen import DERIVED
from fonderie.train.training import read_commitment

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from fonderie.model.transformer import Decoder
    from fonderie.train.loop import Part

FLOPS_FORMULA = "6 N + 12 L H Q T per token (PaLM, appendix B)"


class Trainable(Protocol):
    """A training whose parameters, data and sizes are settled, and nothing learnt."""

    @property
    def plan(self) -> Plan:
        """Steps, learning rates, checkpoints."""

    @property
    def config(self) -> ModelConfig:
        """The sizes of the model that comes of it."""

    def batches(self, step: int) -> Batch:
        """The batch of a step, counted from 1: a pure function."""

    def fresh(self, device: str) -> "tuple[Decoder, Optimizer]":
        """The model with the weights it begins from, and its optimizer before the first step."""

    def objective(self, model: "Decoder", part: "Part", plan: Plan) -> "Tensor":
        """The loss of a part of a batch, summed over what counts in it."""

    def count(self, batch: Batch) -> int:
        """What the summed loss of a batch is divided by."""

    def derived(self) -> dict[str, Any]:
        """Every setting of the training, for parameters.json."""


def train_committed(
    training: Trainable,
    draft: Commitment,
    out: Output,
    machine: Machine,
    *,
    save: "Callable[[Decoder, Path], None]",
) -> None:
    """Commit, train, then write the model; statistics hold its size, tokens, steps, FLOPs and final loss.

    `draft` is the commitment but for its initial state, `save` writes the final weights into a folder. Call
    `fonderie.model.numerics.settle` first. Raises StoreError for a staging folder of another training or a damaged
    checkpoint, StepError for a loss that is not a number.
    """
    from fonderie.train.loop import train

    clock = time.monotonic()
    model, optimizer = training.fresh(machine.device)
    commitment = _commit(draft, training, model, optimizer, out)
    committed = time.monotonic() - clock
    plan, clock = training.plan, time.monotonic()
    with machine.bar("training", plan.steps, "steps") as bar:
        begun = train(
            model,
            optimizer,
            training.batches,
            plan,
            out.path,
            aside=out.state,
            head=commitment.digest,
            advance=bar.advance,
            objective=training.objective,
            count=training.count,
        )
    seconds = time.monotonic() - clock

    save(model, out.path)
    lines = read_log((out.path / LOG).read_bytes())
    curve = loss_curve([line.tokens for line in lines], [line.loss for line in lines])
    (out.path / "loss.svg").write_bytes(curve)
    _write_derived(out.path / DERIVED, training)
    out.statistics.update(_statistics(training, lines))
    done = plan.tokens - plan.tokens_until(begun)
    out.measured.update(_measured(seconds, done, begun, machine), commitment_seconds=round(committed, 3))


def _commit(
    draft: Commitment, training: Trainable, model: "Decoder", optimizer: "Optimizer", out: Output
) -> Commitment:
    """Write checkpoint 0 and the commitment; where a killed training left them, see that they are this one's."""
    from fonderie.train import checkpoint
    from fonderie.train.loop import CHECKPOINTS, begin

    path = out.path / COMMITMENT
    if not path.exists():
        last = checkpoint.latest(out.path / CHECKPOINTS)
        if last is not None and last.name != checkpoint.folder_name(0):
            raise StoreError(
                f"{out.path} holds {last.name}, and no {path.name}", hint=f"Remove {out.path} to start again."
            )
        root = begin(model, optimizer, training.plan, out.path, aside=out.state)
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
        "flops": tokens * config.flops_per_token,
        "flops_formula": FLOPS_FORMULA,
        "final_loss": sum(last) / len(last),
        "final_loss_steps": len(last),
    }


def _measured(seconds: float, tokens: int, begun: int, machine: Machine) -> dict[str, Any]:
    import torch

    return {
        "training_seconds": round(seconds, 3),
        "tokens_per_second": round(tokens / seconds, 1),
        "resumed_from_step": begun,
        "threads": machine.threads,
        "device": machine.device,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
