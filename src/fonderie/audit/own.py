"""A Fonderie release: verified from weights to sources, its findings worked out anew, not read from its file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from fonderie.audit.datasets import DataSet
from fonderie.audit.facts import Component, Fact, ModelFacts
from fonderie.audit.target import Entry, Target, UnreadableError, shorten
from fonderie.core.digest import digest_bytes
from fonderie.core.errors import ReleaseError
from fonderie.core.machine import Machine
from fonderie.core.manifest import Manifest
from fonderie.licences.verdict import Status, Verdict, judge
from fonderie.release.chain.manifests import LockRecord
from fonderie.release.findings.openness import Evidence, Finding, Level, Outcome, openness_findings
from fonderie.release.folder import JSON_LIMIT_BYTES, Folder
from fonderie.release.hashing import Hashing
from fonderie.release.layout import BUNDLE_VERSION, FORMAT, INDEX, MANIFESTS, ReleaseIndex
from fonderie.release.pages import PAGES, in_running_order, without_course
from fonderie.release.records import Report
from fonderie.release.report import report_of
from fonderie.release.verify import Verification, verify

if TYPE_CHECKING:
    from fonderie.audit.replay.report import ReplayReport

PROBLEMS_SHOWN = 5
REPLAY = "method.replay"


@dataclass(frozen=True)
class OwnRelease:
    """What a Fonderie release comes to."""

    verification: Verification
    findings: tuple[Finding, ...]
    licence: str
    """Of the weights, as release.json states it."""
    report: Report | None
    """None where the manifests could not be understood."""
    hashed: Mapping[str, Entry]
    """Every file with its hash, if all are as release.json lists them: so that none is hashed a second time."""
    rewritten: frozenset[str]
    """Pages that verify wrote again from the manifests and found the same."""


def is_release(target: Target) -> bool:
    """Whether a target has a release.json that this program can read as its own.

    One that it cannot read does not shield a release: it is then audited as a stranger's, and the file is named.
    """
    if target.root is None or INDEX not in target.entries:
        return False
    try:
        data = target.fetch(INDEX, JSON_LIMIT_BYTES)
        index = ReleaseIndex.model_validate_json(data) if len(data) <= JSON_LIMIT_BYTES else None
    except (UnreadableError, ValidationError, RecursionError):
        index = None
    if index is None or index.format != FORMAT:
        target.unread[INDEX] = "no index of a release that this version reads"
        return False
    return True


def examine_release(root: Path, machine: Machine | None = None, *, hashing: Hashing | None = None) -> OwnRelease:
    """Verify a release, each file hashed once, and work its findings out; ReleaseError if it is none."""
    verification = verify(root, machine, hashing=hashing)
    folder = Folder.open(root)
    index = ReleaseIndex.model_validate_json(folder.read(INDEX))
    files = {entry.path: entry.sha256 for entry in index.files}
    try:
        manifests, lock = _read(folder)
        ordered = without_course(in_running_order(manifests, lock), index)
        report = report_of(ordered, lock)
        findings = openness_findings(ordered, lock, report, index.licence, files)
    except (ReleaseError, ValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
        # Statistics are the maker's word, in any shape: what cannot be read as ours is said, not raised.
        said = f"Its manifests cannot be understood: {shorten(type(error).__name__ + ' ' + str(error), 160)}"
        findings, report = [_unreadable(said)], None
    broken = _broken(verification, folder)
    if broken:
        # What the manifests say is worth nothing while they and the files disagree.
        findings = [_doubted(finding) if finding.criterion != "use" else finding for finding in findings]
    checks = {check.name: check.ok for check in verification.checks}
    same = checks.get("pages", False) and index.bundle_version == BUNDLE_VERSION
    return OwnRelease(
        verification,
        (*broken, *findings),
        index.licence,
        report,
        {entry.path: Entry(entry.size_bytes, entry.sha256) for entry in index.files} if checks["files"] else {},
        frozenset(PAGES) if same else frozenset(),
    )


def _read(folder: Folder) -> tuple[list[Manifest], dict[str, Any]]:
    names = [name for name in folder.files if name.startswith(f"{MANIFESTS}/")]
    manifests = [Manifest.model_validate_json(folder.read(name)) for name in names]
    raw = folder.read("lock.json")
    LockRecord.model_validate_json(raw)
    lock: dict[str, Any] = json.loads(raw)
    return manifests, lock


def _broken(verification: Verification, folder: Folder) -> list[Finding]:
    if verification.ok:
        return []
    shown = "; ".join(verification.problems[:PROBLEMS_SHOWN])
    more = len(verification.problems) - PROBLEMS_SHOWN
    summary = f"The release does not hold: {shown}{f'; and {more:,} more' if more > 0 else ''}."
    digest = digest_bytes(folder.read(INDEX))
    evidence = (Evidence(path=INDEX, sha256=digest, rule="fonderie verify", excerpt=shorten(shown)),)
    return [
        Finding(
            rule=f"{criterion}.integrity",
            criterion=criterion,
            verdict="fail",
            level="verified",
            summary=summary,
            evidence=evidence,
        )
        for criterion in ("data", "method")
    ]


def _unreadable(said: str) -> Finding:
    return Finding(rule="method.manifests", criterion="method", verdict="fail", level="parsed", summary=said)


def _doubted(finding: Finding) -> Finding:
    verdict: Outcome = "unknown" if finding.verdict == "pass" else finding.verdict
    return finding.model_copy(update={"verdict": verdict})


_BY_REPLAY: dict[str, Outcome] = {
    "identical": "pass",
    "consistent": "pass",
    "inconclusive": "partial",
    "different": "fail",
}


def replayed(findings: tuple[Finding, ...], report: "ReplayReport") -> tuple[Finding, ...]:
    """The findings with what a replay showed in place of the maker's own word on it."""
    finding = Finding(
        rule=REPLAY,
        criterion="method",
        verdict=_BY_REPLAY[report.verdict],
        level="verified",
        summary=f"Training was done again here, and came out {report.verdict}: {shorten(str(report.detail), 600)}",
    )
    return (*(item for item in findings if item.rule != REPLAY), finding)


def own_sets(release: OwnRelease) -> list[DataSet]:
    """The sources of a release as data sets, for what compares them with claims."""
    if release.report is None:
        return []
    by_source = {finding.rule.removeprefix("data.source."): finding for finding in release.findings}
    found = []
    for source in release.report.sources:
        finding = by_source.get(source.name)
        if finding is not None:
            verdict = _worst(count.licence for count in source.licences)
            provided = True if finding.verdict == "pass" else None
            found.append(DataSet(source.name, finding, provided, verdict, verdict, quote=None))
    return found


def _worst(licences: Any) -> Verdict:
    ranks: tuple[Status, ...] = ("restricted", "unknown", "free")
    unsaid = Verdict("", "unknown", "no licence is recorded")
    return min(map(judge, licences), key=lambda verdict: ranks.index(verdict.status), default=unsaid)


def own_facts(facts: ModelFacts, release: OwnRelease) -> ModelFacts:
    """Facts that only the manifests tell: the program that made it is free, and is named with its version."""
    verdicts = {finding.rule: finding.verdict for finding in release.findings}
    level: Level = "verified" if release.verification.ok else "declared"
    components: dict[Component, Fact] = dict(facts.components)
    software = Fact(published="all", licence="Apache-2.0", where="fonderie", source="manifests", level="declared")
    for component in (
        "training_code",
        "preprocessing_code",
        "evaluation_code",
        "inference_code",
        "supporting_libraries",
    ):
        components[component] = software
    if release.report is not None:
        sources = [finding for finding in release.findings if finding.criterion == "data"]
        there = bool(sources) and all(finding.verdict == "pass" for finding in sources)
        licences = sorted({count.licence for source in release.report.sources for count in source.licences})
        components["datasets"] = Fact(
            published="all" if there else "none",
            described="all",
            licence=" AND ".join(licences),
            content_licence=" AND ".join(licences),
            source="manifests",
            level=level,
        )
    if verdicts.get("method.checkpoints") == "pass":
        components["checkpoints"] = Fact(published="all", source="manifests", level=level)
    if verdicts.get("method.evaluation") == "pass":
        components["evaluation_results"] = Fact(published="all", source="manifests", level=level)
    if verdicts.get("method.record") == "pass":
        components["logs"] = Fact(published="all", where="training/log.jsonl", source="manifests", level=level)
        components["metadata"] = Fact(published="all", where="recipe.toml", source="manifests", level=level)
    return facts.model_copy(update={"components": components, "licence": release.licence})
