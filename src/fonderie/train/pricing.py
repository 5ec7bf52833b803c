"""What a training would cost, before anything runs: tokens, FLOPs, GPU-hours, energy. An estimate, never a measure.

Imports no torch: recipes for a cluster are priced on a laptop.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fonderie.core.recipe import Call, Recipe
from fonderie.train.settings.continued import ContinueParameters
from fonderie.train.settings.imported import ImportModelParameters
from fonderie.train.settings.plan import Plan
from fonderie.train.settings.pretrain import PretrainParameters
from fonderie.train.training import plan_of
from fonderie.train.view.view import flops_until

STEP = "train.pretrain"


@dataclass(frozen=True)
class Assumptions:
    """The machine that the estimate is for. Every figure of it is printed with the estimate."""

    gpu: str = "H100 SXM"
    peak_flops: float = 989e12
    """Per second and GPU, dense bf16, as its maker states it (NVIDIA, H100 data sheet)."""
    mfu: float = 0.35
    """Share of the peak that training uses; torchtitan publishes 0.33 to 0.39 for 8 B parameters on these GPUs.
    Lucie-7B's own logs come to 0.08, Luciole-8B's to 0.29 (derived from tokens per second and GPU)."""
    gpu_watts: float = 700.0
    """Of one GPU under load: the limit of its board (same data sheet). Its share of the host is not in it."""
    pue: float = 1.2
    """Energy of the whole data centre per energy of its machines; 1.2 is a good one."""


@dataclass(frozen=True)
class Price:
    """The estimate for one training."""

    call: str
    parameters: int
    steps: int | None
    """None where the duration is in epochs: it then depends on documents that nobody has read yet."""
    tokens: int | None
    flops: float | None
    gpu_hours: float | None
    kilowatt_hours: float | None


def price_recipe(recipe: Recipe, names: list[str], assumptions: Assumptions) -> list[Price]:
    """The estimate of every training among these calls that begins from nothing, or from a base of stated size."""
    found = []
    for name in names:
        call = recipe.calls[name]
        if call.step.name == STEP:
            found.append(price(name, call.parameters, _vocabulary(call, recipe.calls), assumptions))
        elif isinstance(call.parameters, ContinueParameters):
            size = _base_size(call, recipe.calls)
            if size is not None:
                found.append(price_continued(name, call.parameters, size, assumptions))
    return found


def price_continued(call: str, params: ContinueParameters, size: int, assumptions: Assumptions) -> Price:
    """The estimate of a training that goes on from a base of so many weights; its attention is not counted.

    6 FLOPs per weight and token; 4 where the weights are frozen, and only errors pass back through them.
    """
    phases = params.all_phases
    if any(phase.depends_on_data for phase in phases):
        return Price(call, size, None, None, None, None, None)
    plan = plan_of(params, [1] * len(phases))
    return _of(call, size, plan, float(plan.tokens * size * (6 if params.lora is None else 4)), assumptions)


def _base_size(call: Call, calls: Mapping[str, Call]) -> int | None:
    """Weights of the imported model that a training goes on from, if the recipe states them."""
    while "model" in call.inputs:
        (base,) = call.inputs["model"]
        call = calls[base]
    return call.parameters.size if isinstance(call.parameters, ImportModelParameters) else None


def price(call: str, params: Any, vocabulary: int, assumptions: Assumptions) -> Price:
    """The estimate of one training with a vocabulary of this size."""
    assert isinstance(params, PretrainParameters)
    config = params.config_for(vocabulary)
    phases = params.all_phases
    if any(phase.depends_on_data for phase in phases):
        return Price(call, config.parameters, None, None, None, None, None)
    plan = plan_of(params, [1] * len(phases))
    return _of(call, config.parameters, plan, float(flops_until(config, plan, plan.steps)), assumptions)


def _of(call: str, parameters: int, plan: Plan, flops: float, assumptions: Assumptions) -> Price:
    hours = flops / (assumptions.peak_flops * assumptions.mfu) / 3600
    energy = hours * assumptions.gpu_watts * assumptions.pue / 1e3
    return Price(call, parameters, plan.steps, plan.tokens, flops, hours, energy)


def _vocabulary(call: Call, calls: Mapping[str, Call]) -> int:
    (tokenizer,) = call.inputs["tokenizer"]
    # Whatever step makes a tokenizer, its parameters say how many ids it will have.
    return int(calls[tokenizer].parameters.model_dump()["vocabulary"])
