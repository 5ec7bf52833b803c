"""One line of a gate: what is demanded of a score, and whether it is so.

Of an interval the worse end counts, unless the line says that the value does: a score that is only perhaps good
enough does not pass, nor does one that has perhaps fallen too far. More items make the interval narrower.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from fonderie.core.errors import InputError
from fonderie.core.intervals import Interval, difference, mcnemar, paired_proportions, paired_ratios
from fonderie.evaluate.score import DECIMALS, Outcome, Score

Counts = Literal["interval", "value"]
Kind = Literal["at_least", "at_most", "regression"]


class Verdict(BaseModel):
    """What one line came to; it can be judged again from what it says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    """regression: the fall from the parent must not exceed what is demanded."""
    score: str
    on: str
    language: str | None = None
    demanded: float
    counts: Counts
    value: float
    """The score's; of a regression how much worse it is than the parent's, negative where it is better."""
    low: float
    high: float
    n: int
    parent: float | None = None
    """The parent's score."""
    compared: str = ""
    """How a regression was measured."""
    passed: bool


def holds(kind: Kind, demanded: float, counts: Counts, value: float, interval: Interval) -> bool:
    """Whether a line passes, from its figures alone."""
    if kind == "at_least":
        return (interval.low if counts == "interval" else value) >= demanded
    return (interval.high if counts == "interval" else value) <= demanded


def judge_bound(score: Score, kind: Literal["at_least", "at_most"], demanded: float, counts: Counts) -> Verdict:
    """A minimum of a score that should be high, a maximum of one that should be low; InputError for the reverse."""
    if (kind == "at_least") != (score.better == "higher"):
        wanted = "at_least" if score.better == "higher" else "at_most"
        raise InputError(
            f"the gate demands {kind} = {demanded:g} of {score.name} on {score.source}, of which {score.better} "
            f"is better",
            hint=f"Write {wanted} = {demanded:g}.",
        )
    interval = Interval(score.low, score.high)
    return Verdict(
        kind=kind,
        score=score.name,
        on=score.source,
        language=score.language,
        demanded=demanded,
        counts=counts,
        value=score.value,
        low=score.low,
        high=score.high,
        n=score.n,
        passed=holds(kind, demanded, counts, score.value, interval),
    )


def judge_regression(
    score: Score,
    parent: Score,
    outcomes: tuple[Sequence[Outcome], Sequence[Outcome]],
    *,
    margin: float,
    counts: Counts,
    resamples: int,
    seed: int,
) -> Verdict:
    """How much worse than the parent; `outcomes` are those of both scores, the parent's second."""
    if score.better != parent.better:
        raise InputError(f"{score.name} on {score.source}: better is {score.better} here, {parent.better} there")
    interval, n, how = _interval_of_fall(score, parent, outcomes, resamples=resamples, seed=seed)
    value, (low, high) = worse_by(score, parent), (round(end, DECIMALS) for end in interval)
    return Verdict(
        kind="regression",
        score=score.name,
        on=score.source,
        language=score.language,
        demanded=margin,
        counts=counts,
        value=value,
        low=low,
        high=high,
        n=n,
        parent=parent.value,
        compared=how,
        passed=holds("regression", margin, counts, value, Interval(low, high)),
    )


def worse_by(score: Score, parent: Score) -> float:
    """How much worse a score is than its parent's, negative where it is better."""
    return round(parent.value - score.value if score.better == "higher" else score.value - parent.value, DECIMALS)


def _interval_of_fall(
    score: Score, parent: Score, outcomes: tuple[Sequence[Outcome], Sequence[Outcome]], *, resamples: int, seed: int
) -> tuple[Interval, int, str]:
    """The interval of the fall, over how many, and in words how."""
    mine, theirs = outcomes
    if mine and [_same(outcome) for outcome in mine] == [_same(outcome) for outcome in theirs]:
        better, worse = (theirs, mine) if score.better == "higher" else (mine, theirs)
        first, second = ([outcome.value for outcome in group] for group in (better, worse))
        if all(outcome.weight == 1 and outcome.value in (0.0, 1.0) for outcome in (*mine, *theirs)):
            up = sum(a > b for a, b in zip(first, second, strict=True))
            down = sum(a < b for a, b in zip(first, second, strict=True))
            lost, gained = (up, down) if score.better == "higher" else (down, up)
            chance = f"McNemar p = {mcnemar(lost, gained):.2g}"
            how = f"the same items: {lost} lost, {gained} gained, {chance}; interval: Agresti-Min"
            return paired_proportions(up, down, len(mine)), len(mine), how
        weights = [outcome.weight for outcome in mine]
        found = paired_ratios(first, second, weights, resamples=resamples, seed=seed)
        return found, len(mine), f"the same documents: paired bootstrap, {resamples} resamples, seed {seed}"
    own, its = Interval(score.low, score.high), Interval(parent.low, parent.high)
    how = "other documents or items than the parent's: independent intervals (MOVER)"
    n = min(score.n, parent.n)
    if score.better == "higher":
        return difference(parent.value, its, score.value, own), n, how
    return difference(score.value, own, parent.value, its), n, how


def _same(outcome: Outcome) -> tuple[str, float]:
    return outcome.id, outcome.weight
