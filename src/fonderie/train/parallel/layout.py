"""Whether a training can be laid over so many processes, before any of them starts. Imports no torch."""

from collections.abc import Iterable

from fonderie.core.errors import UsageError
from fonderie.core.machine import Machine
from fonderie.core.recipe import Call
from fonderie.model.config import ModelConfig
from fonderie.train.settings.continued import ContinueParameters
from fonderie.train.settings.plan import Plan
from fonderie.train.settings.pretrain import PretrainParameters
from fonderie.train.settings.shared import Settings
from fonderie.train.training import plan_of


def check_layouts(calls: Iterable[Call], machine: Machine) -> None:
    """UsageError naming the first training among these calls that cannot be laid over this machine's processes."""
    for call in calls:
        if isinstance(call.parameters, Settings):
            try:
                check_layout(call.parameters, machine)
            except UsageError as error:
                error.message = f"[{call.name}] {error.message}"
                raise


def check_layout(params: Settings, machine: Machine) -> None:
    """UsageError for what a training cannot do in this machine's processes, as far as its parameters tell.

    What only its base or its documents tell is refused when they are read.
    """
    if machine.recompute and params.compile:
        raise UsageError("--recompute and compile = true do not go together", hint="Leave one of them out.")
    if machine.processes > 1 and isinstance(params, ContinueParameters):
        if params.lora is not None:
            raise UsageError("a low-rank adapter is trained by one process", hint="Leave out --processes.")
        if params.early_stopping is not None:
            raise UsageError(
                "early_stopping is judged by the one process that trains, and there are several",
                hint="Leave out --processes, or early_stopping and its validation.",
            )
    parts = machine.tensor_parallel
    if parts > 1:
        if params.optimizer == "muon":
            raise UsageError(
                "Muon needs a matrix's rows in their own order, which --tensor-parallel does not leave",
                hint="Leave --tensor-parallel out, or train with AdamW.",
            )
        if params.fp8:
            raise UsageError("fp8 = true and --tensor-parallel do not go together", hint="Leave one of them out.")
        if isinstance(params, PretrainParameters):
            check_cut(params.config_for(vocabulary=1), parts)
    phases = params.all_phases
    if not any(phase.depends_on_data for phase in phases):
        check_rows(plan_of(params, [1] * len(phases)), machine.processes // parts)


def check_rows(plan: Plan, shares: int) -> None:
    """UsageError for a step with too few sequences for so many shares of each micro-batch."""
    for phase in plan.phases:
        smallest, parts = phase.sizes.of(1), phase.accumulation
        if smallest < shares * parts:
            raise UsageError(
                f"phase '{phase.name}' has steps of {smallest} sequences, too few for {shares} processes "
                f"with {parts} micro-batches each",
                hint="Use fewer --processes, a larger --tensor-parallel, or less accumulation.",
            )


def check_cut(config: ModelConfig, parts: int) -> None:
    """UsageError naming the size that does not divide, or the part of the model that cannot be cut."""
    for name in ("kv_heads", "heads", "hidden"):
        if getattr(config, name) % parts:
            raise UsageError(
                f"{name} {getattr(config, name)} is not a multiple of --tensor-parallel {parts}",
                hint="Every process of a tensor group has as many heads, and as much of the feed-forward network.",
            )
    if config.qk_norm_sizes:
        raise UsageError(
            "--tensor-parallel cannot cut a model whose queries and keys are normed", hint="Leave it out."
        )
