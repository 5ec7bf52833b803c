"""The three criteria of openness from declared facts, and the OSI's definition beside them.

1. use: nothing restricts the use of weights and software; 2. data: the documents trained on are provided, under
free licences, both the collection and what is in it; 3. method: code, parameters, logs, checkpoints, so that the
training can be followed.

Two answers for each. `as_declared` is what follows if the facts are true. `verdict` is what an audit may say: data
never pass unless their hashes were checked, nor the method unless a segment was trained again, so that facts which
somebody merely declares reach "partial" at best.

The Open Source AI Definition 1.0 (opensource.org/ai, October 2024) asks for less: a description of the data is
enough. It also asks for the complete code. `osaid` gives what the definition comes to as the OSI's reviewers seem
to have applied it, taking a pipeline specified in a paper for the specification the definition speaks of;
`osaid_letter` what it comes to when code must be published as code.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from fonderie.audit.facts import Component, ModelFacts
from fonderie.licences.verdict import Verdict, judge
from fonderie.release.findings.openness import FINDINGS_ORDER, Criterion, Level, Outcome

Osaid = Literal["pass", "relicense", "fail"]
"""`relicense`: all it asks for is there, under terms that are not open."""

LEVELS: tuple[Level, ...] = ("declared", "present", "parsed", "verified")
_SOFTWARE: tuple[Component, ...] = ("training_code", "preprocessing_code", "inference_code", "evaluation_code")
_RUNNING: tuple[Component, ...] = ("weights", "end_weights", "inference_code", "training_code")
_METHOD: tuple[Component, ...] = ("training_code", "preprocessing_code", "metadata", "checkpoints", "logs")


class CriterionGrade(BaseModel):
    """One criterion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    criterion: Criterion
    verdict: Outcome
    as_declared: Outcome
    level: Level
    """Of the weakest fact that it rests on."""
    reasons: tuple[str, ...]


class OpennessGrade(BaseModel):
    """All three, and the OSI's definition."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    use: CriterionGrade
    data: CriterionGrade
    method: CriterionGrade
    osaid: Osaid
    osaid_letter: Osaid
    osaid_reasons: tuple[str, ...]
    """What is missing for a pass, first what no change of licence would mend."""

    @property
    def really_open(self) -> bool:
        """Whether all three criteria hold, if the facts are true."""
        return all(grade.as_declared == "pass" for grade in (self.use, self.data, self.method))


def grade(facts: ModelFacts) -> OpennessGrade:
    """Grade the three criteria and the OSI's definition."""
    missing, letter = _osaid_components(facts)
    terms = _osaid_terms(facts)
    return OpennessGrade(
        name=facts.name,
        use=_use(facts),
        data=_data(facts),
        method=_method(facts),
        osaid="fail" if missing else "relicense" if terms else "pass",
        osaid_letter="fail" if missing or letter else "relicense" if terms else "pass",
        osaid_reasons=(*missing, *letter, *terms),
    )


def _level(facts: ModelFacts, components: Sequence[Component]) -> Level:
    levels = [facts.fact(name).level for name in components if name in facts.components]
    return min(levels, key=LEVELS.index, default="declared")


def _use(facts: ModelFacts) -> CriterionGrade:
    """The union of all terms: a free licence with a policy beside it is not free."""
    reasons = [f"{terms.name}: {terms.excerpt or 'binds the user'}" for terms in facts.terms if terms.restricts]
    outcome: Outcome = "fail" if reasons else "pass"
    looked_at = [name for name in _RUNNING if facts.fact(name).published in ("all", "part")]
    if not {"weights", "end_weights"} & set(looked_at):
        closed = facts.fact("weights").published == "none"
        reasons.append("no weights are published" if closed else "no weights are known to be published")
        outcome = "fail" if closed else _worse(outcome, "unknown")
    for name in looked_at:
        verdict = facts.judge(name)
        if verdict.status != "free":
            reasons.append(f"{_name(name)}: {verdict.licence}, {verdict.reason}")
            outcome = _worse(outcome, "fail" if verdict.status == "restricted" else "unknown")
        if facts.fact(name).gated and not any(terms.restricts for terms in facts.terms):
            reasons.append(f"{_name(name)}: only after asking or accepting terms")
            outcome = _worse(outcome, "fail")
    level = _level(facts, looked_at)
    said = tuple(reasons) or ("weights and software under free licences, nothing beside them",)
    return CriterionGrade(criterion="use", verdict=outcome, as_declared=outcome, level=level, reasons=said)


def _data(facts: ModelFacts) -> CriterionGrade:
    names: list[Component] = ["datasets"]
    if "end_datasets" in facts.components:
        names.append("end_datasets")
    reasons: list[str] = []
    outcome: Outcome = "pass"
    for name in names:
        fact, verdict = facts.fact(name), facts.judge(name)
        if fact.published == "unknown":
            found: Outcome = "unknown"
        elif fact.published == "all":
            found = (
                "pass" if verdict.status == "free" and judge(fact.content_licence).status == "free" else "partial"
            )
        else:
            found = "partial" if fact.published == "part" else "fail"
        if fact.published != "all":
            reasons.append(f"{_name(name)}: {_extent(fact.published)}" + f" ({fact.note})" * bool(fact.note))
        if fact.published in ("all", "part"):
            reasons.extend(_data_licences(name, verdict, judge(fact.content_licence)))
        outcome = _worse(outcome, found)
    if outcome == "fail" and any(facts.fact(name).published in ("all", "part") for name in names):
        outcome = "partial"
    return _capped("data", outcome, _level(facts, names), reasons, "no hash was checked")


def _data_licences(name: Component, collection: Verdict, contents: Verdict) -> list[str]:
    """A licence of the collection does not license the texts in it."""
    found = []
    if collection.status != "free":
        found.append(f"{_name(name)}: collection under {collection.licence}, {collection.reason}")
    if contents.status != "free":
        found.append(f"{_name(name)}: licence of the contents {contents.licence}, {contents.reason}")
    return found


def _method(facts: ModelFacts) -> CriterionGrade:
    reasons = [f"{_name(name)}: {_extent(facts.fact(name).published)}" for name in _METHOD if not _all(facts, name)]
    code = facts.fact("training_code").published
    outcome: Outcome = "pass"
    if reasons:
        shown = any(facts.fact(name).published in ("all", "part") for name in _METHOD)
        told = facts.fact("training_code").described in ("all", "part")
        outcome = "partial" if shown or told else "unknown" if code == "unknown" else "fail"
    return _capped("method", outcome, _level(facts, _METHOD), reasons, "no segment was trained again")


def _capped(
    criterion: Criterion, declared: Outcome, level: Level, reasons: list[str], unchecked: str
) -> CriterionGrade:
    verdict = declared
    if declared == "pass" and level != "verified":
        verdict = "partial"
        reasons = [*reasons, f"all there, as declared; {unchecked}"]
    said = tuple(reasons) or ("all there, and checked",)
    return CriterionGrade(criterion=criterion, verdict=verdict, as_declared=declared, level=level, reasons=said)


def _osaid_components(facts: ModelFacts) -> tuple[list[str], list[str]]:
    """What is missing for the definition, and what is missing for its letter only."""
    missing, letter = [], []
    data = facts.fact("datasets")
    if data.described != "all":
        missing.append(f"data: described {_extent(data.described)}")
    if facts.fact("weights").published != "all":
        missing.append(f"weights: {_extent(facts.fact('weights').published)}")
    for name in ("training_code", "preprocessing_code", "inference_code"):
        fact = facts.fact(name)
        if fact.described != "all":
            missing.append(f"{_name(name)}: {_extent(fact.published)}")
        elif fact.published != "all":
            letter.append(f"{_name(name)}: specified in a document, {_extent(fact.published)} as code")
    return missing, letter


def _osaid_terms(facts: ModelFacts) -> list[str]:
    """Terms that are not the OSI's kind, on weights and code; the definition asks nothing of the data's licence."""
    found = [f"{terms.name} binds the user" for terms in facts.terms if terms.restricts]
    released: tuple[Component, ...] = ("weights", *_SOFTWARE)
    for name in released:
        if facts.fact(name).published in ("all", "part"):
            verdict = facts.judge(name)
            if verdict.status != "free":
                found.append(f"{_name(name)}: {verdict.licence}, {verdict.reason}")
    return found


def _all(facts: ModelFacts, name: Component) -> bool:
    return facts.fact(name).published == "all"


def _worse(first: Outcome, second: Outcome) -> Outcome:
    return min(first, second, key=FINDINGS_ORDER.index)


def _name(component: str) -> str:
    return component.replace("_", " ")


def _extent(extent: str) -> str:
    return {"all": "in full", "part": "in part", "none": "not published", "unknown": "not known"}[extent]
