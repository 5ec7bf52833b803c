"""An audit from beginning to end: open the target, collect what binds and what is there, grade, compare claims."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fonderie.audit import criteria_from_facts as frameworks
from fonderie.audit import european_index, mof
from fonderie.audit.cards import Survey, survey
from fonderie.audit.collected import collect_facts, facts_of_mof
from fonderie.audit.datasets import collect_data, data_findings
from fonderie.audit.facts import ModelFacts
from fonderie.audit.hazards import find_hazards
from fonderie.audit.hub import HUB_NAME, Hub, open_repository
from fonderie.audit.integrity import check_integrity
from fonderie.audit.method import collect_method, no_replay
from fonderie.audit.own import OwnRelease, examine_release, is_release, own_facts, own_sets, replayed
from fonderie.audit.report import AuditReport, Subject, conclude, grade_all, in_order
from fonderie.audit.target import Target, open_folder
from fonderie.audit.terms import collect_terms
from fonderie.audit.washing import Contradiction, Facts, find_contradictions
from fonderie.core.environment import installed_version
from fonderie.core.errors import UsageError
from fonderie.core.machine import Machine
from fonderie.release.findings.openness import Finding
from fonderie.release.folder import plain
from fonderie.release.hashing import Hashing

YAML_ENDINGS = (".yml", ".yaml")
ALWAYS_A_PATH = re.compile(r"^[./~]|/$|\\")


@dataclass(frozen=True)
class Request:
    """What was asked for."""

    what: str
    """A path, or a name on a hub."""
    revision: str | None = None
    segments: int = 0
    """How many segments of the training to do again; 0 for none."""
    seed: int = 0
    """Which segments."""


def audit(
    request: Request,
    machine: Machine,
    *,
    hub: Hub | None = None,
    hashing: Hashing | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> AuditReport:
    """Audit a folder, an MOF description, or a repository; UsageError if there is none of these.

    `hashing` is that of the folder's files, where it began earlier: a release of ours is asked for every hash.
    """
    path = Path(request.what)
    date = now().date().isoformat()
    if path.exists():
        _refuse_options(request, revision=True)
        if path.is_file():
            return _audit_description(path, request, date)
        target = open_folder(path)
        if is_release(target):
            return _audit_own(target, str(path), request, machine, date, hashing=hashing)
        _refuse_options(request, segments=True)
        return _audit_stranger(survey(target), str(path), None, date)
    if ALWAYS_A_PATH.search(request.what) or not HUB_NAME.match(request.what):
        raise UsageError(
            f"{plain(request.what)}: nothing is there, and it is no name that a hub can have",
            hint="Give a folder, an MOF YAML file, or OWNER/NAME of a hub (HF_ENDPOINT names which).",
        )
    _refuse_options(request, segments=True)
    hub = hub or Hub()
    target, record = open_repository(hub, request.what, request.revision)
    return _audit_stranger(survey(target, record), f"{hub.endpoint}/{request.what}", hub, date)


def _refuse_options(request: Request, *, revision: bool = False, segments: bool = False) -> None:
    if revision and request.revision:
        raise UsageError("--revision is for a hub's repository; a folder is what it is")
    if segments and request.segments:
        raise UsageError(
            f"{plain(request.what)} cannot be replayed: only a folder that fonderie made holds what that needs",
            hint="Leave --replay out; the method is then graded by what is there.",
        )


def _audit_description(path: Path, request: Request, date: str) -> AuditReport:
    """A file that describes a model in the Model Openness Framework's YAML: declared, all of it."""
    if path.suffix.casefold() not in YAML_ENDINGS:
        raise UsageError(
            f"{path} is a file, and no .yml or .yaml that describes a model",
            hint="Give the folder of a release, an MOF YAML file, or OWNER/NAME of a hub.",
        )
    _refuse_options(request, segments=True)
    model = mof.read(path)
    facts = facts_of_mof(model)
    grades = frameworks.grade(facts)
    findings = [
        Finding(
            rule=f"{grade.criterion}.declared",
            criterion=grade.criterion,
            verdict=grade.verdict,
            level="declared",
            summary=plain("; ".join(grade.reasons))[:600] + ".",
        )
        for grade in (grades.use, grades.data, grades.method)
    ]
    subject = Subject(kind="MOF description", name=plain(model.name), place=str(path), files=1)
    return _report(subject, findings, facts, date, model=model)


def _audit_stranger(seen: Survey, place: str, hub: Hub | None, date: str) -> AuditReport:
    terms = collect_terms(seen)
    integrity = check_integrity(seen.target)
    sets = collect_data(seen, hub, integrity, terms)
    standings = collect_method(seen, hub)
    method = [standing.finding for standing in standings]
    findings = [*(term.finding for term in terms), *data_findings(seen, sets, integrity), *method, no_replay()]
    contradictions = find_contradictions(Facts(seen, terms, sets, method), hub)
    facts = collect_facts(seen, terms, sets, standings)
    subject = _subject("hub repository" if hub is not None else "folder", seen.target, place)
    return _report(subject, findings, facts, date, contradictions=contradictions, target=seen.target)


def _audit_own(
    target: Target, place: str, request: Request, machine: Machine, date: str, *, hashing: Hashing | None
) -> AuditReport:
    assert target.root is not None
    release = examine_release(target.root, machine, hashing=hashing)
    target.entries.update(release.hashed)
    findings, replay = release.findings, None
    if request.segments:
        findings, replay = _replay(target.root, release, request, machine)
    seen = survey(target, None)
    terms = collect_terms(seen, release.rewritten)
    standings = collect_method(seen, None)
    sets = own_sets(release)
    # The terms are asked of everyone alike; on data and method the manifests say more than names of files do.
    graded = [*findings, *(term.finding for term in terms)]
    method = [finding for finding in findings if finding.criterion == "method"]
    contradictions = find_contradictions(Facts(seen, terms, sets, method), None)
    facts = own_facts(collect_facts(seen, terms, sets, standings), release)
    subject = _subject("fonderie release", target, place).model_copy(
        update={
            "name": f"{release.verification.name} {release.verification.version}",
            "digest": release.verification.digest,
        }
    )
    return _report(
        subject,
        graded,
        facts,
        date,
        contradictions=contradictions,
        target=target,
        checks=tuple(check.model_dump(mode="json") for check in release.verification.checks),
        links=tuple(link.model_dump(mode="json") for link in release.verification.links),
        chain=release.verification.chain,
        replay=replay,
    )


def _replay(
    root: Path, release: OwnRelease, request: Request, machine: Machine
) -> tuple[tuple[Finding, ...], dict[str, Any] | None]:
    """Train sampled segments again; a release that does not hold is not worth the electricity."""
    if not release.verification.ok:
        return release.findings, None
    from fonderie.audit.replay.replay import replay_release

    report = replay_release(root, segments=request.segments, seed=request.seed, tokens=(), machine=machine)
    return replayed(release.findings, report), report.model_dump(mode="json")


def _subject(kind: Any, target: Target, place: str) -> Subject:
    return Subject(
        kind=kind,
        name=plain(target.name),
        place=plain(place),
        revision=target.revision,
        files=len(target.entries),
        size_bytes=sum(entry.size_bytes or 0 for entry in target.entries.values()),
    )


def _report(
    subject: Subject,
    findings: list[Finding],
    facts: ModelFacts,
    date: str,
    *,
    model: mof.MofModel | None = None,
    contradictions: list[Contradiction] | None = None,
    target: Target | None = None,
    **other: Any,
) -> AuditReport:
    ordered = in_order(findings)
    criteria = grade_all(ordered)
    contradictions = contradictions or []
    washed = sum(item.severity == "open-washing" for item in contradictions)
    verdict, headline = conclude(criteria, washed)
    framework = mof.grade(model or mof.from_facts(facts))
    osaid = frameworks.grade(facts)
    return AuditReport(
        tool=f"fonderie {installed_version('fonderie')}",
        date=date,
        subject=subject,
        verdict=verdict,
        headline=headline,
        criteria=criteria,
        findings=ordered,
        contradictions=tuple(contradictions),
        hazards=tuple(find_hazards(target)) if target is not None else (),
        mof=framework.as_json(),
        mof_notes=tuple(map(plain, framework.differences)),
        european_index=european_index.grade(facts).as_json(),
        osaid={"verdict": osaid.osaid, "reasons": [plain(reason) for reason in osaid.osaid_reasons]},
        **other,
    )
