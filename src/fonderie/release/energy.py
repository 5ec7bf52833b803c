"""Energy and arithmetic of a build, summed over its manifests: what was measured, how, and what was not.

Nothing is estimated here. A step whose energy no counter measured counts as not measured, never as zero, and a sum
over steps of which one is missing is no sum. What a manifest estimates stands apart, with its formula.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from fonderie.core.energy import NOT_STATED
from fonderie.core.manifest import Manifest

JOULES_PER_KWH = 3.6e6
NOT_RECORDED = "not recorded"
NOT_TRAINING = ("train.checkpoint",)
"""Steps of train.* that take weights out of a training, and count what that one computed."""

Number = TypeVar("Number", int, float)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class StepEnergy(_Record):
    """What one making took."""

    call: str
    """The recipe's name for it, or the step's where no lock says."""
    step: str
    key: str
    seconds: float
    """Of all its runs, where one that was interrupted was gone on with."""
    joules: float | None
    """None where nothing measured it."""
    country: str
    """Where, as who ran it stated: a code of ISO 3166-1, or that nobody did."""
    estimated_joules: float | None
    """By a formula; never counted as measured."""
    estimate_formula: str
    method: str
    """How the joules were obtained, or why they were not."""
    flops: int | None
    """Floating-point operations by the formula; None where the step counts none."""
    flops_formula: str
    hardware: str

    @property
    def trains(self) -> bool:
        """Whether this making changed weights."""
        return self.step.startswith("train.") and self.step not in NOT_TRAINING


class EnergyAccount(_Record):
    """The energy and the arithmetic of a whole build."""

    steps: tuple[StepEnergy, ...]
    """In the order of the manifests."""
    joules: float | None
    """Of every step; None unless every one was measured."""
    measured: int
    """How many steps were measured."""
    training_joules: float | None
    """Of the training steps; None unless there is one and every one was measured."""
    training_seconds: float
    training_estimated_joules: float | None
    """Estimated of the training steps; None unless there is one and each has an estimate."""
    estimate_formulas: tuple[str, ...]
    countries: tuple[str, ...]
    """Where the training steps ran, as far as it was stated."""
    flops: int | None
    """Of the training steps; None unless there is one and every one says."""
    flops_formulas: tuple[str, ...]
    """How the operations were counted."""
    methods: tuple[str, ...]
    """How the energy of the training steps was obtained, or why it was not."""
    hardware: tuple[str, ...]
    """What the training steps ran on."""

    @property
    def training_kwh(self) -> float | None:
        """Of the training steps, in kilowatt-hours."""
        return None if self.training_joules is None else self.training_joules / JOULES_PER_KWH


class Electricity(_Record):
    """What a publisher knows of the electricity used; no meter can tell."""

    grams_co2e_per_kwh: PositiveFloat
    """Carbon intensity of the electricity, in grams of CO2 equivalent per kilowatt-hour."""
    source: str = Field(min_length=1)
    """Where that figure comes from, such as the grid operator's yearly report."""
    location: str = Field(min_length=1)
    """Where the computers stood, as finely as may be said."""


def account_energy(manifests: Iterable[Manifest], calls: Mapping[str, str] | None = None) -> EnergyAccount:
    """Sum the manifests of a build; `calls` gives keys the recipe's names."""
    steps = tuple(_step(manifest, calls or {}) for manifest in manifests)
    training = [step for step in steps if step.trains]
    return EnergyAccount(
        steps=steps,
        joules=_sum(step.joules for step in steps),
        measured=sum(step.joules is not None for step in steps),
        training_joules=_sum(step.joules for step in training),
        training_seconds=sum(step.seconds for step in training),
        training_estimated_joules=_sum(step.estimated_joules for step in training),
        estimate_formulas=_distinct(step.estimate_formula for step in training),
        countries=_distinct(step.country for step in training if step.country != NOT_STATED),
        flops=_sum(step.flops for step in training),
        flops_formulas=_distinct(step.flops_formula for step in training),
        methods=_distinct(step.method for step in training),
        hardware=_distinct(step.hardware for step in training),
    )


def emissions_grams(account: EnergyAccount, electricity: Electricity | None) -> float | None:
    """Grams of CO2 equivalent of the training; None unless its energy was measured and the electricity is known."""
    if account.training_kwh is None or electricity is None:
        return None
    return account.training_kwh * electricity.grams_co2e_per_kwh


def _step(manifest: Manifest, calls: Mapping[str, str]) -> StepEnergy:
    flops, energy = manifest.statistics.get("flops"), manifest.energy
    estimate = energy.get("estimate") or {}
    return StepEnergy(
        call=calls.get(manifest.key, manifest.step),
        step=manifest.step,
        key=manifest.key,
        seconds=energy.get("seconds", manifest.duration_seconds),
        joules=energy.get("joules"),
        country=str(energy.get("country", NOT_STATED)),
        estimated_joules=estimate.get("joules"),
        estimate_formula=str(estimate.get("formula", "")),
        method=str(energy.get("method", NOT_RECORDED)),
        flops=flops if isinstance(flops, int) else None,
        flops_formula=str(manifest.statistics.get("flops_formula", "")),
        hardware=hardware(manifest.environment),
    )


def hardware(environment: Mapping[str, Any]) -> str:
    """The accelerators of a making, or its processor; never the machine's name."""
    gpus = [str(name) for name in environment.get("gpus") or ()]
    if gpus:
        return ", ".join(f"{gpus.count(name)} x {name}" for name in dict.fromkeys(gpus))
    processor, cores = environment.get("processor"), environment.get("cores")
    if not processor:
        return NOT_RECORDED
    return f"{processor}, {cores} cores, no GPU" if cores else f"{processor}, no GPU"


def _sum(values: Iterable[Number | None]) -> Number | None:
    known = list(values)
    total = [value for value in known if value is not None]
    return sum(total) if total and len(total) == len(known) else None


def _distinct(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in words if word))
