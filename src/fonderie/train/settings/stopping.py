"""Early stopping: what validation losses say of going on. Imports no torch, so that an auditor can decide again.

After every checkpoint the loss of each group of validation documents is measured, before the first step too. A
group has stopped learning once its loss has not been lower than its lowest by more than `least` for `patience`
measurements; the training ends when all groups have, or any. The model is that of the measurement with the lowest
mean over groups, each counting alike however many documents it has.

    validation.jsonl      one line per measurement: see `Measurement`
"""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveInt

from fonderie.core.step import Parameters

VALIDATION = "validation.jsonl"


class EarlyStopping(Parameters):
    """When to stop, by the loss on validation documents, group by group."""

    groups: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Groups of sources by name, such as { parliament = ["assemblee", "senat"] }; each source alone if none is
    named. Claire's groups are its genres of speech."""
    patience: PositiveInt = 3
    """Measurements without a lower loss after which a group has stopped learning."""
    least: NonNegativeFloat = 0.0
    """Nats per token by which a loss must be lower to count."""
    ends_when: Literal["all", "any"] = "all"
    """Whether all groups must have stopped learning, or one is enough."""
    batch: Annotated[int, Field(ge=1)] = 16
    """Windows at once when measuring."""


class Measurement(BaseModel):
    """The losses after one step."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    step: int
    losses: dict[str, float]
    """Nats per token of each group's documents."""

    @property
    def mean(self) -> float:
        """Over groups, each counting alike."""
        return sum(self.losses.values()) / len(self.losses)


class Decision(NamedTuple):
    """What the measurements so far come to."""

    ends: bool
    best_step: int
    """The step whose weights are the model's."""
    stopped: tuple[str, ...]
    """Groups that have stopped learning."""


def decide(measured: Sequence[Measurement], rule: EarlyStopping) -> Decision:
    """Whether the training ends here, and which weights are the best so far."""
    stopped = tuple(group for group in measured[0].losses if _has_stopped(group, measured, rule))
    enough = len(stopped) == len(measured[0].losses) if rule.ends_when == "all" else bool(stopped)
    best = min(measured, key=lambda one: (one.mean, one.step))
    return Decision(enough, best.step, stopped)


def ended_after(measured: Sequence[Measurement], rule: EarlyStopping, last: int) -> int:
    """The step after which the training ends by its measurements; `last`, the plan's own, if they never say so."""
    return next((one.step for n, one in enumerate(measured, 1) if decide(measured[:n], rule).ends), last)


def _has_stopped(group: str, measured: Sequence[Measurement], rule: EarlyStopping) -> bool:
    lowest, since = measured[0].losses[group], 0
    for one in measured[1:]:
        if one.losses[group] < lowest - rule.least:
            lowest, since = one.losses[group], 0
        else:
            since += 1
            if since == rule.patience:
                return True
    return False


def read_measurements(data: bytes) -> list[Measurement]:
    """Every whole line of validation.jsonl; ValueError for one that is no measurement."""
    return [
        Measurement.model_validate_json(line) for line in data.splitlines(keepends=True) if line.endswith(b"\n")
    ]


def to_line(one: Measurement) -> str:
    """A measurement as its line."""
    return json.dumps(one.model_dump()) + "\n"


def group_of(source: str, groups: Mapping[str, Sequence[str]]) -> str | None:
    """The group that a source belongs to; None if groups are named, and not for it."""
    if not groups:
        return source
    return next((name for name, sources in groups.items() if source in sources), None)
