"""The 12 parameters of the European Open Source AI Index, graded from facts: open 1, partial 0.5, closed 0.

Source: osai-index.eu and its database github.com/Language-Technology-Assessment/main-database (CC-BY-4.0), as of
June 2026; criteria first in Liesenfeld and Dingemanse, "Rethinking open source generative AI", FAccT 2024. The
paper counts 14 parameters; the index dropped two, package and API, on 13 March 2026 (commit ff85b6f), and its
figures since count these 12. The rules here are ours: the index grades by hand, this grades what the facts say, so
that two models with the same facts get the same grade. docs/openness-of-public-models.md says where the two differ.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from fonderie.audit.facts import Component, Extent, Fact, ModelFacts
from fonderie.licences.verdict import judge

Value = Literal["open", "partial", "closed"]
Group = Literal["availability", "documentation", "access"]
SCORES: dict[Value, float] = {"open": 1.0, "partial": 0.5, "closed": 0.0}
_BY_EXTENT: dict[Extent, Value] = {"all": "open", "part": "partial", "none": "closed", "unknown": "closed"}


class Parameter(BaseModel):
    """One parameter, with what decided it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    group: Group
    value: Value
    reason: str
    known: bool = True
    """False where nobody looked: closed, as the index has it, but for want of a fact."""


class IndexResult(BaseModel):
    """All 12."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    parameters: tuple[Parameter, ...]

    @property
    def score(self) -> float:
        """0 to 12."""
        return sum(SCORES[parameter.value] for parameter in self.parameters)

    def as_json(self) -> dict[str, Any]:
        """Score, and each parameter with its reason."""
        parameters = [parameter.model_dump() for parameter in self.parameters]
        return {"score": self.score, "of": len(self.parameters), "parameters": parameters}


def grade(facts: ModelFacts) -> IndexResult:
    """All parameters, in the index's own order."""
    parameters = (
        _data("datasources_basemodel", facts.fact("datasets"), "the base model"),
        _data("datasources_endmodel", _end(facts, "end_datasets", "datasets"), "the end model"),
        _weights("weights_basemodel", facts.fact("weights"), "the base model"),
        _weights("weights_endmodel", _end(facts, "end_weights", "weights"), "the end model"),
        _training_code(facts),
        _document("code", facts.fact("code_documentation"), "documentation of the code"),
        _document("hardware_architecture", facts.fact("hardware"), "description of machines and training set-up"),
        _document("preprint", facts.fact("technical_report"), "archived report"),
        _document("paper", facts.fact("research_paper"), "peer-reviewed paper"),
        _document("modelcard", facts.fact("model_card"), "model card"),
        _document("datasheet", facts.fact("data_card"), "datasheet of the training data"),
        _licences(facts),
    )
    return IndexResult(name=facts.name, parameters=parameters)


def _end(facts: ModelFacts, end: Component, base: Component) -> Fact:
    """Where one model is both base and end, the index repeats the base model's grade."""
    return facts.fact(end) if end in facts.components else facts.fact(base)


def _data(name: str, fact: Fact, whose: str) -> Parameter:
    """The index asks for sources open to inspection or shared: all named, and at least some of them there."""
    value: Value = "closed"
    if fact.described == "all" and fact.published in ("all", "part"):
        value = "open"
    elif fact.described in ("all", "part"):
        value = "partial"
    reason = f"training data of {whose}: described {_words(fact.described)}, downloadable {_words(fact.published)}"
    return _parameter(name, "availability", value, reason, fact)


def _weights(name: str, fact: Fact, whose: str) -> Parameter:
    value = _BY_EXTENT[fact.published]
    reason = f"weights of {whose} published {_words(fact.published)}"
    if fact.gated and value == "open":
        value = "partial"
        reason += ", but only after asking or accepting terms"
    return _parameter(name, "availability", value, reason, fact)


def _training_code(facts: ModelFacts) -> Parameter:
    """Sparse code is partial in the index's words: so is code that only runs the model."""
    training, preparing = facts.fact("training_code"), facts.fact("preprocessing_code")
    extents = {training.published, preparing.published}
    if extents == {"all"}:
        value: Value = "open"
        reason = "code for preparing the data and for training published"
    elif extents & {"all", "part"}:
        value = "partial"
        reason = (
            f"training code published {_words(training.published)}, data preparation {_words(preparing.published)}"
        )
    elif facts.fact("inference_code").published in ("all", "part"):
        value, reason = "partial", "only code that runs the model is published"
    else:
        value, reason = "closed", "no code published"
    return _parameter("trainingcode", "availability", value, reason, training)


def _document(name: str, fact: Fact, what: str) -> Parameter:
    value = _BY_EXTENT[fact.published]
    reasons: dict[Value, str] = {
        "open": f"{what} that tells the whole: {fact.where or fact.source}".rstrip(": "),
        "partial": f"{what} that tells a part: {fact.note or fact.where or fact.source}".rstrip(": "),
        "closed": f"no {what}" if fact.published == "none" else f"no {what} known",
    }
    return _parameter(name, "documentation", value, reasons[value], fact)


def _licences(facts: ModelFacts) -> Parameter:
    """Open if all that is published is under open licences; partial if two of weights, code, data are, in part."""
    kinds: dict[str, tuple[Component, ...]] = {
        "weights": ("weights", "end_weights"),
        "code": ("training_code", "inference_code"),
        "data": ("datasets", "end_datasets"),
    }
    states: dict[str, list[bool]] = {}
    shown = []
    for kind, components in kinds.items():
        for component in components:
            if facts.fact(component).published in ("all", "part"):
                licence = facts.licence_of(component)
                states.setdefault(kind, []).extend(_each_open(licence))
                shown.append(f"{component.replace('_', ' ')} {licence or 'without a licence'}")
    if states and all(all(opens) for opens in states.values()):
        value: Value = "open"
    else:
        value = "partial" if sum(any(opens) for opens in states.values()) >= 2 else "closed"
    reason = "; ".join(shown) or "nothing is published"
    return Parameter(name="licences", group="access", value=value, reason=reason, known=bool(shown))


def _each_open(licence: str) -> list[bool]:
    """Whether each part of a collection is open: parts under several licences are written with AND."""
    return [judge(part).status == "free" for part in licence.split(" AND ")]


def _parameter(name: str, group: Group, value: Value, reason: str, fact: Fact) -> Parameter:
    known = not (fact.published == "unknown" and fact.described == "unknown")
    return Parameter(name=name, group=group, value=value, reason=reason, known=known)


def _words(extent: Extent) -> str:
    return {"all": "in full", "part": "in part", "none": "not at all", "unknown": "unknown"}[extent]
