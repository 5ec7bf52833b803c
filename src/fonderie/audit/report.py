"""What an audit comes to: one record, as programs read it and as the terminal and the page show it."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from fonderie.audit.hazards import Hazard
from fonderie.audit.washing import Contradiction
from fonderie.release.findings.openness import FINDINGS_ORDER, Criterion, Finding, Level, Outcome, overall

FORMAT = 1
CRITERIA: tuple[Criterion, ...] = ("use", "data", "method")
LEVELS: tuple[Level, ...] = ("declared", "present", "parsed", "verified")

QUESTIONS: dict[Criterion, str] = {
    "use": "May anyone use it for anything?",
    "data": "Are the data it learnt from provided?",
    "method": "Is the method open to see and to repeat?",
}
ANSWERS: dict[Criterion, dict[Outcome, str]] = {
    "use": {
        "pass": "Yes: nothing found restricts its use.",
        "partial": "Not freely: something stands between the public and the model.",
        "fail": "No: its terms restrict what one may do with it.",
        "unknown": "It cannot be told: what binds its users is not clear.",
    },
    "data": {
        "pass": "Yes: the data are there, freely licensed, and are what the manifests list.",
        "partial": "In part: data are named or there, but not all of it can be had, or checked.",
        "fail": "No: data are missing, restricted, or not what the release says.",
        "unknown": "It cannot be told: data are named, and could not be looked at.",
    },
    "method": {
        "pass": "Yes: all of it is there, and training done again came out the same.",
        "partial": "In part: some of it is there, or nobody has repeated it.",
        "fail": "No: code or settings are missing, or it does not hold.",
        "unknown": "It cannot be told: too little of it could be looked at.",
    },
}


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Subject(_Record):
    """What was looked at."""

    kind: Literal["fonderie release", "folder", "hub repository", "MOF description"]
    name: str
    place: str
    """A path or an address."""
    revision: str = ""
    """The commit, for a hub."""
    digest: str = ""
    """Of the whole folder, for a Fonderie release."""
    files: int = 0
    size_bytes: int = 0


class Grade(_Record):
    """One criterion."""

    verdict: Outcome
    level: Level
    """Of what decided: how deeply it was looked at."""
    answer: str


class AuditReport(_Record):
    """One audit."""

    format: int = FORMAT
    tool: str
    date: str
    """Day of the audit, UTC."""
    subject: Subject
    verdict: Literal["open", "not open", "not shown to be open"]
    headline: str
    criteria: dict[Criterion, Grade]
    findings: tuple[Finding, ...]
    contradictions: tuple[Contradiction, ...] = ()
    hazards: tuple[Hazard, ...] = ()
    mof: dict[str, Any]
    """Class and progress of the Model Openness Framework, as its own tool gives them."""
    mof_notes: tuple[str, ...] = ()
    """Where our own verdicts on licences differ from the framework's."""
    european_index: dict[str, Any]
    osaid: dict[str, Any]
    """The Open Source AI Definition, which asks for less than the three criteria."""
    checks: tuple[dict[str, Any], ...] = ()
    """What `fonderie verify` checked, for a Fonderie release."""
    links: tuple[dict[str, Any], ...] = ()
    """The way from weights to sources, recomputed link by link."""
    chain: tuple[str, ...] = ()
    replay: dict[str, Any] | None = None

    @property
    def exit_status(self) -> int:
        """1 if a criterion fails."""
        return int(any(grade.verdict == "fail" for grade in self.criteria.values()))


def grade_all(findings: tuple[Finding, ...]) -> dict[Criterion, Grade]:
    """The worst verdict on each criterion, at the shallowest level of those that decided it."""
    found: dict[Criterion, Grade] = {}
    for criterion, verdict in overall(findings).items():
        deciding = [item for item in findings if item.criterion == criterion and item.verdict == verdict]
        level = min((item.level for item in deciding), key=LEVELS.index, default="declared")
        found[criterion] = Grade(verdict=verdict, level=level, answer=ANSWERS[criterion][verdict])
    return found


def in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    """By criterion, what fails first."""
    return tuple(
        sorted(findings, key=lambda item: (CRITERIA.index(item.criterion), FINDINGS_ORDER.index(item.verdict)))
    )


def conclude(
    criteria: dict[Criterion, Grade], washed: int
) -> tuple[Literal["open", "not open", "not shown to be open"], str]:
    """The verdict, and one sentence that says why."""
    failing = [criterion for criterion in CRITERIA if criteria[criterion].verdict == "fail"]
    short = {
        "use": "its use is restricted",
        "data": "the data it learnt from are not provided freely",
        "method": "its method is not laid open",
    }
    claims = f" It contradicts itself in {washed} place{'s' if washed > 1 else ''}." if washed else ""
    if failing:
        return "not open", f"Not open: {_joined([short[criterion] for criterion in failing])}.{claims}"
    if all(grade.verdict == "pass" for grade in criteria.values()):
        return "open", f"Open: free to use, its data provided, its method repeated here.{claims}"
    weak = [criterion for criterion in CRITERIA if criteria[criterion].verdict != "pass"]
    words = {"use": "free use", "data": "the data", "method": "the method"}
    listed = _joined([words[criterion] for criterion in weak])
    verb = "are" if len(weak) > 1 or weak == ["data"] else "is"
    return "not shown to be open", f"Nothing closed was found, but {listed} {verb} not fully shown.{claims}"


def _joined(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
