"""Class and progress of a model under the Model Openness Framework.

A component counts when it is included under an open licence: its own, else that of its type, else the
distribution's. A class is met when all it asks for counts, and that of every class below; while the class below is
not met, the progress of the one above is 0. A research paper stands in for a missing technical report.

The framework is declarative: it believes what a model's file says. Its verdict is given as its own tool gives it;
where our verdict on a licence differs (it does not know the French Licence Ouverte), `differences` says so, and
`ours` holds the class that would follow.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fonderie.audit.facts import ModelFacts
from fonderie.audit.mof_framework import (
    BY_NAME,
    COMPONENTS,
    LABELS,
    RESEARCH_PAPER,
    TECHNICAL_REPORT,
    UNLICENSED,
    Component,
    is_open,
    required_up_to,
)
from fonderie.audit.parse import YAML_LIMIT_CHARS, ParseError, read_yaml
from fonderie.core.errors import InputError
from fonderie.licences.verdict import judge

Status = Literal["open", "invalid", "unlicensed", "missing"]
_HINT = "see the models of github.com/lfai/model_openness_tool for the framework's YAML"
_DOCUMENTS = frozenset(("Model card", "Data card", "Evaluation results", TECHNICAL_REPORT, RESEARCH_PAPER))


class MofModel(BaseModel):
    """A model as the framework's YAML describes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ""
    licences: Mapping[str, str] = Field(default_factory=dict)
    """Licence by "distribution", "code", "data" and "document"."""
    components: Mapping[str, str | None] = Field(default_factory=dict)
    """Each component that is included, with its own licence; None where it states none, "" where it has none."""
    unknown: tuple[str, ...] = ()
    """Components that the framework does not know; they count for nothing."""

    def licence_of(self, component: Component) -> str:
        """The licence a component is under, or `UNLICENSED`."""
        own = self.components.get(component.name)
        if own is not None:
            return own or UNLICENSED
        return self.licences.get(component.content) or self.licences.get("distribution") or UNLICENSED


class Standing(BaseModel):
    """How one component stands."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    mof_class: int
    required: bool
    status: Status
    licence: str = ""


class MofResult(BaseModel):
    """Class and progress, component by component."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    mof_class: int
    """1 is the most open, 3 the least, 0 none."""
    progress: dict[int, float]
    """Percentage of each class."""
    components: tuple[Standing, ...]
    unknown: tuple[str, ...] = ()
    ours: int
    """The class that our own verdicts on the licences would give."""
    differences: tuple[str, ...] = ()
    """Components on whose licence we and the framework disagree, with the reason."""

    @property
    def label(self) -> str:
        """The class as the framework's tool writes it."""
        return LABELS[self.mof_class]

    def as_json(self) -> dict[str, Any]:
        """The verdict in the framework's own terms."""
        progress = {str(mof_class): percent for mof_class, percent in sorted(self.progress.items())}
        return {"class": self.mof_class, "label": self.label, "progress": progress}


def read(path: Path) -> MofModel:
    """A model's YAML file; InputError names the file and what is wrong with it."""
    with path.open("rb") as file:
        raw = file.read(4 * YAML_LIMIT_CHARS + 1)
    try:
        # One character takes four bytes at most, so a longer text has been cut, and read_yaml refuses it.
        value = read_yaml(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8, from byte {error.start}", hint=_HINT) from None
    except ParseError as error:
        raise InputError(f"{path}: {error}", hint=_HINT) from None
    try:
        return parse(value)
    except ValueError as error:
        raise InputError(f"{path} is not a model of the Model Openness Framework: {error}", hint=_HINT) from None


def parse(value: Any) -> MofModel:
    """A model from what its YAML holds; ValueError says what is missing."""
    if not isinstance(value, dict):
        raise ValueError("it holds no fields")
    release = value.get("release", value)
    # PHP writes an empty table and an empty list alike, so either may stand for "none".
    listed = (release.get("components") or []) if isinstance(release, dict) and "components" in release else None
    if not isinstance(listed, list):
        raise ValueError("release.components, the list of components, is missing")
    licences = release.get("license") or {}
    if not isinstance(licences, dict):
        raise ValueError("release.license is not a table of distribution, code, data and document")
    components: dict[str, str | None] = {}
    unknown: list[str] = []
    for entry in listed:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise ValueError("a component without a name")
        if entry["name"] not in BY_NAME:
            unknown.append(entry["name"])
            continue
        # Named twice, a component keeps the last licence that is written for it.
        own = _component_licence(entry.get("license"))
        components[entry["name"]] = components.get(entry["name"]) if own is None else own
    return MofModel(
        name=_text(release.get("name")),
        licences={str(kind): _global_licence(entry) for kind, entry in licences.items()},
        components=components,
        unknown=tuple(unknown),
    )


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, dict | list) else str(value)


def _component_licence(value: Any) -> str | None:
    if value is None:
        return None
    text = _text(value)
    return "" if text == UNLICENSED else text


def _global_licence(entry: Any) -> str:
    return _text(entry.get("name")) if isinstance(entry, dict) else ""


def from_facts(facts: ModelFacts) -> MofModel:
    """A model known by facts; a part of a data set or of a program is not the component, a partial document is."""
    components: dict[str, str | None] = {}
    for component in COMPONENTS:
        fact = facts.fact(component.fact)
        if fact.published == "all" or (fact.published == "part" and component.name in _DOCUMENTS):
            components[component.name] = facts.licence_of(component.fact)
    return MofModel(name=facts.name, components=components)


def grade(model: MofModel) -> MofResult:
    """Class and progress as the framework's tool computes them, and where our verdicts on licences differ."""
    standings = tuple(_standing(model, component, is_open) for component in COMPONENTS)
    progress = _progress(standings)
    ours = _progress([_standing(model, component, _free) for component in COMPONENTS])
    return MofResult(
        name=model.name,
        mof_class=_class(progress),
        progress=progress,
        components=standings,
        unknown=model.unknown,
        ours=_class(ours),
        differences=tuple(_differences(standings)),
    )


def _free(licence: str) -> bool:
    return licence != UNLICENSED and judge(licence).status == "free"


def _standing(model: MofModel, component: Component, opens: Callable[[str], bool]) -> Standing:
    status: Status = "missing"
    licence = ""
    if component.name in model.components:
        licence = model.licence_of(component)
        status = "unlicensed" if licence == UNLICENSED else "open" if opens(licence) else "invalid"
    return Standing(
        name=component.name,
        mof_class=component.mof_class,
        required=component.required,
        status=status,
        licence=licence,
    )


def _progress(standings: Any) -> dict[int, float]:
    counted = {standing.name for standing in standings if standing.status == "open"}
    stands_in = TECHNICAL_REPORT not in counted and RESEARCH_PAPER in counted
    progress = {}
    met = True
    for mof_class in (3, 2, 1):
        needed = {component.name for component in required_up_to(mof_class)}
        if stands_in:
            needed = needed - {TECHNICAL_REPORT} | {RESEARCH_PAPER}
        share = len(needed & counted) / len(needed) * 100
        progress[mof_class] = share if met else 0.0
        met = met and share == 100
    return progress


def _class(progress: Mapping[int, float]) -> int:
    return next((mof_class for mof_class in (1, 2, 3) if progress[mof_class] == 100), 0)


def _differences(standings: tuple[Standing, ...]) -> list[str]:
    found = []
    for standing in standings:
        if standing.status not in ("open", "invalid"):
            continue
        verdict = judge(standing.licence)
        if (verdict.status == "free") != (standing.status == "open"):
            theirs = "open" if standing.status == "open" else "not open"
            found.append(
                f"{standing.name}: {standing.licence} is {theirs} to the framework, "
                f"{verdict.status} to us ({verdict.reason})"
            )
    return found
