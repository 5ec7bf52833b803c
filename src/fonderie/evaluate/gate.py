"""evaluate.gate: what a model must score before anyone is shown it, and how far it may fall behind its parent.

Lucie's instruct model had lost a quarter of its arithmetic (GSM8K 23.5 to 17.9) when it was shown to the public,
who found out. A release that holds a failed gate is not served or pushed unless somebody says why (`release.gate`).
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, model_validator

from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.core.step import Artifact, Inputs, Output, Parameters, Port, step
from fonderie.evaluate.score import ALL, Outcome, Score, outcomes_of, read_outcomes, read_scores
from fonderie.evaluate.verdict import Counts, Verdict, judge_bound, judge_regression

GATE = "gate.json"


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    score: str
    """The score's name, such as "accuracy" or "bits_per_byte"."""
    on: str = ALL
    """The suite, task or source it is of."""
    language: str | None = None
    """The language, where scores over all sources are told apart by it."""
    counts: Counts = "interval"
    """interval: the worse end of the 95 % interval counts. value: the figure itself does."""


class Bound(_Line):
    """What a score must reach."""

    at_least: float | None = None
    """The least, of a score that should be high."""
    at_most: float | None = None
    """The most, of a score that should be low."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(f"give at_least or at_most of {self.score} on {self.on}")
        return self


class Fall(_Line):
    """How far a score may fall."""

    margin: NonNegativeFloat
    """By how much it may be worse than the parent's, in its own unit."""


class GateParameters(Parameters):
    """The lines; every one of them must hold."""

    minima: tuple[Bound, ...] = ()
    """What scores must reach: `{ score = "accuracy", on = "french/arithmetic", at_least = 0.5 }`, or `at_most`."""
    regressions: tuple[Fall, ...] = ()
    """How far scores may fall behind the parent's: `{ score = "bits_per_byte", margin = 0.02 }`."""
    bootstrap: int = Field(default=1_000, ge=100)
    """Resamples of an interval that has no closed form."""
    seed: int = 0
    """Of the resamples."""

    @model_validator(mode="after")
    def _something_is_demanded(self) -> Self:
        if not (self.minima or self.regressions):
            raise ValueError("a gate without minima or regressions lets everything through: give one of them")
        return self


class Gate(BaseModel):
    """What gate.json holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    passed: bool
    model: str
    """The digest of the model that was judged."""
    parent: str | None = None
    """The digest of its parent, where one was compared with."""
    lines: tuple[Verdict, ...] = Field(min_length=1)

    @property
    def failed(self) -> list[Verdict]:
        """The lines that do not hold."""
        return [line for line in self.lines if not line.passed]


def refuse_unwired(params: GateParameters, wired: Mapping[str, Sequence[str]]) -> None:
    """Regressions need a parent, and a parent is for regressions; ValueError for the recipe to explain."""
    if params.regressions and not wired.get("parent"):
        raise ValueError("regressions compare with a parent: wire its scores, inputs = { parent = … }")
    if wired.get("parent") and not params.regressions:
        raise ValueError("a parent's scores are wired, and no regressions say what is compared with them")


@step(
    "evaluate.gate",
    version=1,
    parameters=GateParameters,
    produces="gate",
    inputs={"scores": Port("scores", many=True), "parent": Port("scores", many=True, optional=True)},
    wiring=refuse_unwired,
)
def gate(inputs: Inputs, params: GateParameters, out: Output, machine: Machine) -> None:  # noqa: ARG001
    """Write gate.json and gate.md: the verdict of every line; a gate that fails stops no build, but its release."""
    model = model_of(inputs.all("scores"))
    own, parents = _Evaluated.of(inputs.all("scores")), _Evaluated.of(inputs.all("parent"))
    lines = [_bound(line, own) for line in params.minima]
    parent = model_of(inputs.all("parent")) if params.regressions else None
    if parent is not None:
        if parent.key == model.key or parent.key not in {item.key for item in model.lineage()}:
            whose = "the judged model itself" if parent.key == model.key else "one that it was not made from"
            raise InputError(
                f"the scores in `parent` are of {whose}, so nothing could be said to have fallen",
                hint="Wire the scores of the model that its training began with.",
            )
        lines += [_fall(line, own, parents, params) for line in params.regressions]
    found = Gate(
        passed=all(line.passed for line in lines),
        model=model.digest,
        parent=parent.digest if parent else None,
        lines=tuple(lines),
    )
    (out.path / GATE).write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (out.path / "gate.md").write_text(to_markdown(found), encoding="utf-8")
    out.statistics["gate"] = found.model_dump(mode="json")


def model_of(scores: Sequence[Artifact]) -> Artifact:
    """The one model that these scores are of; InputError if they are of several, or of none."""
    models = {item.key: item for artifact in scores for item in artifact.upstream.get("model", ())}
    if len(models) != 1:
        raise InputError(
            f"a gate judges one model, and these scores are of {len(models)}",
            hint="Wire the scores of one model to `scores`, those of its parent to `parent`.",
        )
    return next(iter(models.values()))


class _Evaluated:
    """Scores, and what each sums up."""

    def __init__(self, found: Sequence[tuple[Score, list[Outcome]]]) -> None:
        self.found = found

    @classmethod
    def of(cls, artifacts: Iterable[Artifact]) -> Self:
        """All scores of these evaluations."""
        return cls([pair for artifact in artifacts for pair in _with_outcomes(artifact.path)])

    def one(self, line: _Line) -> tuple[Score, list[Outcome]]:
        """The score that a line is about; InputError if there is none, or more than one."""
        fitting = [
            (score, outcomes)
            for score, outcomes in self.found
            if (score.name, score.source) == (line.score, line.on) and line.language in (None, score.language)
        ]
        if line.language is None and len(fitting) > 1:  # over all languages, then each of them
            fitting = [pair for pair in fitting if pair[0].language is None] or fitting
        if len(fitting) != 1:
            known = ", ".join(f"{score.name} on '{score.source}'" for score, _ in self.found) or "none"
            of = f"{line.score} on '{line.on}'" + (f" in {line.language}" if line.language else "")
            raise InputError(f"the gate is about {of}, of which there are {len(fitting)}", hint=f"Scores: {known}.")
        return fitting[0]


def _with_outcomes(folder: Path) -> list[tuple[Score, list[Outcome]]]:
    outcomes = read_outcomes(folder)
    return [(score, outcomes_of(score, outcomes)) for score in read_scores(folder)]


def _bound(line: Bound, own: _Evaluated) -> Verdict:
    score, _ = own.one(line)
    if line.at_least is not None:
        return judge_bound(score, "at_least", line.at_least, line.counts)
    assert line.at_most is not None
    return judge_bound(score, "at_most", line.at_most, line.counts)


def _fall(line: Fall, own: _Evaluated, parents: _Evaluated, params: GateParameters) -> Verdict:
    (score, outcomes), (parent, its) = own.one(line), parents.one(line)
    return judge_regression(
        score,
        parent,
        (outcomes, its),
        margin=line.margin,
        counts=line.counts,
        resamples=params.bootstrap,
        seed=params.seed,
    )


def in_words(line: Verdict) -> str:
    """One line in a sentence, with its figures."""
    on = f"{line.score} on {line.on}" + (f" ({line.language})" if line.language else "")
    end = "worse end of the interval" if line.counts == "interval" else "value"
    interval = f"[{line.low:.3f}, {line.high:.3f}], n = {line.n:,}"
    if line.kind == "regression":
        return (
            f"{on}: {line.value:+.3f} {interval} worse than the parent's {line.parent:.3f}, "
            f"at most {line.demanded:g} is allowed ({end}; {line.compared})"
        )
    demand = "at least" if line.kind == "at_least" else "at most"
    return f"{on}: {line.value:.3f} {interval}, {demand} {line.demanded:g} is demanded ({end})"


def to_markdown(found: Gate) -> str:
    """The page of a gate."""
    head = "The model passes its gate." if found.passed else "**The model FAILS its gate.**"
    rows = [f"- {'passed' if line.passed else '**FAILED**'}: {in_words(line)}" for line in found.lines]
    parent = f"\nParent: `{found.parent}`\n" if found.parent else ""
    return f"# Gate\n\n{head}\n\n" + "\n".join(rows) + f"\n\nModel: `{found.model}`\n{parent}"
