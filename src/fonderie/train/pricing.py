"""What a training would cost, before anything runs: tokens, FLOPs, GPU-hours, energy. An estimate, never a measure.

Imports no torch: recipes for a cluster are priced on a laptop.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fonderie.core.recipe import Call, Recipe
from fonderie.model.config import ModelConfig
from fonderie.train.settings.continued import ContinueParameters
from fonderie.train.settings.imported import ImportModelParameters
from fonderie.train.settings.pretrain import PretrainParameters
from fonderie.train.settings.shared import Settings
from fonderie.train.steps.prefer import PreferParameters
from fonderie.train.training import plan_of
from fonderie.train.view.view import flops_until

BESIDES = "all pairs are read once by the base before and once by the model after, 2 FLOPs per weight and token"


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
    parameters: int | None = None
    """Of the model; None where only files that nobody has read yet can tell."""
    steps: int | None = None
    tokens: int | None = None
    flops: float | None = None
    gpu_hours: float | None = None
    kilowatt_hours: float | None = None
    unknown: str = ""
    """What there is no estimate without, in words; empty where there is one."""
    besides: str = ""
    """What is computed besides, and depends on documents that nobody has read yet; in words."""


class _UnknownSizeError(Exception):
    """Why the size of a model cannot be told, in words."""


def price_recipe(recipe: Recipe, names: list[str], assumptions: Assumptions) -> list[Price]:
    """The estimate of every training among these calls, or what it lacks."""
    found = []
    for name in names:
        call = recipe.calls[name]
        if isinstance(call.parameters, Settings):
            try:
                model = _model_of(call, recipe.calls)
            except _UnknownSizeError as reason:
                found.append(Price(name, unknown=str(reason)))
            else:
                found.append(price(name, call.parameters, model, assumptions))
    return found


def price(call: str, params: Settings, model: ModelConfig | int, assumptions: Assumptions) -> Price:
    """The estimate of one training of a model of these sizes, or of so many weights, all that is known of others'.

    6 FLOPs per weight and token, and those of attention where its sizes are known; 4 where the weights are frozen,
    and only errors pass back through them, the adapter's own not counted.
    """
    size = model if isinstance(model, int) else model.parameters
    phases = params.all_phases
    each = 4 if isinstance(params, ContinueParameters) and params.lora is not None else 6
    # What no gradients are computed of saves two of PaLM's six.
    saved = (6 - each) * (0 if isinstance(model, int) else _multiplied(model))
    if any(phase.depends_on_data for phase in phases):
        of_token = each * model if isinstance(model, int) else _at(model, phases[0].context).flops_per_token - saved
        why = f"its length is in epochs, so its cost depends on the documents: {of_token:.3g} FLOPs per token"
        return Price(call, size, unknown=why)
    plan = plan_of(params, [1] * len(phases))
    if isinstance(model, int):
        flops = each * size * plan.tokens
    else:
        flops = flops_until(model, plan, plan.steps) - saved * plan.tokens
    hours = flops / (assumptions.peak_flops * assumptions.mfu) / 3600
    energy = hours * assumptions.gpu_watts * assumptions.pue / 1e3
    besides = BESIDES if isinstance(params, PreferParameters) else ""
    return Price(call, size, plan.steps, plan.tokens, float(flops), hours, energy, besides=besides)


def _multiplied(model: ModelConfig) -> int:
    """Weights but for an input table of its own, which is looked up."""
    return model.parameters - (0 if model.tied_embeddings else model.vocabulary * model.width)


def _at(model: ModelConfig, context: int) -> ModelConfig:
    """The model as it is trained at a context, on which its attention's arithmetic depends."""
    return model.model_copy(update={"context": context})


def _model_of(call: Call, calls: Mapping[str, Call]) -> ModelConfig | int:
    """The sizes of the model that a call makes or goes on from; of one that others made, its number of weights.

    Rows that a table of embeddings gets on the way (tokens.transplant) are not counted.
    """
    params = call.parameters
    if isinstance(params, PretrainParameters):
        return params.config_for(_vocabulary(call, calls))
    if isinstance(params, ImportModelParameters):
        if params.size is None:
            raise _UnknownSizeError(f"[{call.name}] does not state the `size` of the model that it brings")
        return params.size
    (base,) = call.inputs["model"]
    return _model_of(calls[base], calls)


def _vocabulary(call: Call, calls: Mapping[str, Call]) -> int:
    (tokenizer,) = call.inputs["tokenizer"]
    # A tokenizer that is trained here has as many ids as it is asked for; of any other, its files know.
    vocabulary = calls[tokenizer].parameters.model_dump().get("vocabulary")
    if vocabulary is None:
        raise _UnknownSizeError(f"its vocabulary is that of [{tokenizer}], which nobody has read yet")
    return int(vocabulary)
