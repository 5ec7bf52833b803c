"""model.checkpoint: a model as it was after a step of its training; the inputs "base@step-400" and "base@main"."""

import json
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output, Parameters, Port, step
from fonderie.core.wiring import CHECKPOINT_STEP
from fonderie.model.config import ModelConfig
from fonderie.train.record.commitment import COMMITMENT, DERIVED, LOG, LogLine, read_log
from fonderie.train.record.curve import loss_curve
from fonderie.train.settings.continued import ContinueParameters
from fonderie.train.settings.plan import Plan
from fonderie.train.settings.shared import MAIN, Settings
from fonderie.train.training import plan_of

NAME = CHECKPOINT_STEP


class CheckpointParameters(Parameters):
    """Which checkpoint, and how much of it."""

    at: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)
    """ "step-400", or the name of a phase: the state after its last step."""
    state: bool = False
    """Take the optimizer's state along, so that a release of this model can be verified and replayed to its end."""


def refuse_absent(params: CheckpointParameters, feeding: Mapping[str, tuple[Parameters, ...]]) -> None:
    """ValueError for a checkpoint that the training will not keep, before anything is trained."""
    (training,) = feeding["model"]
    if not isinstance(training, Settings):
        raise ValueError(
            f"takes '{params.at}' of a model that is not trained by this recipe, and has no checkpoints"
        )
    if isinstance(training, ContinueParameters) and training.lora is not None:
        raise ValueError(
            f"takes '{params.at}' of a training with lora, whose checkpoints hold the adapter alone: "
            "only the model that it ends with is whole"
        )
    phases = training.all_phases
    if any(phase.depends_on_data for phase in phases):
        if not params.at.startswith("step-") and params.at not in [phase.name for phase in phases]:
            raise ValueError(f"there is no phase '{params.at}': {', '.join(phase.name for phase in phases)}")
        return
    refuse_unkept(params.at, plan_of(training, [1] * len(phases)))


def refuse_unkept(at: str, plan: Plan) -> int:
    """The step of a checkpoint that a training keeps; ValueError if it keeps none of that name."""
    due = [step for step in range(1, plan.steps + 1) if plan.checkpoint_due(step)]
    kept = sorted(plan.kept([0, *due]))
    step = plan.named(at)
    if step is None:
        names = ", ".join(phase.name for phase in plan.phases)
        raise ValueError(
            f"the training writes no checkpoint '{at}'; its phases: {names}; last step: {plan.steps:,}"
        )
    if step not in kept:
        raise ValueError(
            f"the checkpoint '{at}' does not stay: checkpoints_kept is {plan.checkpoints_kept}, which leaves steps "
            f"{', '.join(f'{one:,}' for one in kept[:12])}"
        )
    return step


@step(
    NAME,
    version=1,
    parameters=CheckpointParameters,
    produces="model",
    inputs={"model": Port("model")},
    upstream=refuse_absent,
)
def take(inputs: Inputs, params: CheckpointParameters, out: Output, machine: Machine) -> None:  # noqa: ARG001
    """Write the model after a step, its log up to there and its commitment; the checkpoint itself if asked for."""
    from fonderie.model.convert import load_pretrained, read_config, save_pretrained
    from fonderie.train.record import checkpoint
    from fonderie.train.record.journal import CHECKPOINTS

    folder = inputs.one("model").path
    derived = json.loads((folder / DERIVED).read_bytes())
    phases = _phases(derived["training"])
    at = _step(params.at, phases)
    path = folder / CHECKPOINTS / checkpoint.folder_name(at)
    if not path.is_dir():
        kept = ", ".join(found.name for found in checkpoint.all_of(folder / CHECKPOINTS))
        raise InputError(f"{folder} has no checkpoint '{params.at}'; kept: {kept or 'none'}")
    found = checkpoint.load(path)
    model, special = load_pretrained(folder), read_config(folder)
    if model.state_dict().keys() != found.tensors["model"].keys():
        raise InputError(f"{path} does not hold a whole model, but what was learnt beside one")
    model.load_state_dict(found.tensors["model"])
    if len(phases) > 1:  # as the loop does
        phase = _phase_of(at, phases)
        model.reposition(phase["context"], phase["rope_theta"])
    ids = {name: special.get(f"{name}_token_id") for name in ("bos", "eos", "pad")}
    save_pretrained(model, out.path, **ids)
    lines = (folder / LOG).read_bytes().splitlines(keepends=True)[:at]
    (out.path / LOG).write_bytes(b"".join(lines))
    for name in (COMMITMENT, DERIVED):
        shutil.copyfile(folder / name, out.path / name)
    if params.state:
        shutil.copytree(path, out.path / CHECKPOINTS / path.name)
    seen = read_log(b"".join(lines))
    if seen:
        curve = loss_curve([line.tokens for line in seen], [line.loss for line in seen])
        (out.path / "loss.svg").write_bytes(curve)
    out.statistics.update(_statistics(derived, seen))


def _statistics(derived: Mapping[str, Any], lines: Sequence[LogLine]) -> dict[str, Any]:
    """What had been trained by then, under the names that a whole training gives its own."""
    config = ModelConfig.model_validate({name: it for name, it in derived["model"].items() if name != "parameters"})
    left = tokens = lines[-1].tokens if lines else 0
    flops = 0
    for phase in _phases(derived["training"]):
        seen = min(left, phase["tokens"])
        flops += seen * config.model_copy(update={"context": phase["context"]}).flops_per_token
        left -= seen
    last = [line.loss for line in lines[-max(1, len(lines) // 20) :]]
    found: dict[str, Any] = {"steps": len(lines), "tokens": tokens, "flops": flops}
    return found | ({"final_loss": sum(last) / len(last), "final_loss_steps": len(last)} if last else {})


def _phases(training: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What parameters.json says of the phases; of instruction and preference training, their one."""
    one = {"name": MAIN, "first_step": 1, "rope_theta": None}
    same = {name: training[name] for name in ("steps", "tokens", "context")}
    found: list[dict[str, Any]] = training.get("phases") or [{**one, **same}]
    return found


def _step(at: str, phases: Sequence[Mapping[str, Any]]) -> int:
    ends = {phase["name"]: phase["first_step"] + phase["steps"] - 1 for phase in phases}
    if at in ends:
        return int(ends[at])
    number = at.removeprefix("step-")
    if number == at or not number.isdecimal():
        raise InputError(f"there is no phase '{at}': {', '.join(ends)}", hint="A step is named step-400.")
    return int(number)


def _phase_of(step: int, phases: list[dict[str, Any]]) -> dict[str, Any]:
    """The phase whose positions the model had after a step; the first, before any."""
    return next((phase for phase in reversed(phases) if phase["first_step"] <= max(step, 1)), phases[0])
