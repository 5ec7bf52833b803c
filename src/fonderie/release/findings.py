"""Findings: how far a release meets the three criteria of openness, each with what it rests on.

1. use: nothing restricts the use of weights and software, nor of the data they come from;
2. data: the documents trained on are provided, or anyone can make them again;
3. method: code, parameters, logs and evaluation are there, and the training can be done again.

A finding states what this release shows, never that a model *is* open: nobody outside has replayed it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from fonderie.core.manifest import FileEntry, Manifest
from fonderie.licences.verdict import judge
from fonderie.release.account import counted, generates, reads_sources
from fonderie.release.layout import manifest_name
from fonderie.release.records import Report, SourceReport
from fonderie.release.report import relaxed

Criterion = Literal["use", "data", "method"]
Outcome = Literal["pass", "partial", "fail", "unknown"]
Level = Literal["declared", "present", "parsed", "verified"]

FINDINGS_ORDER: tuple[Outcome, ...] = ("fail", "unknown", "partial", "pass")
_BY_STATUS: dict[str, Outcome] = {"free": "pass", "restricted": "fail", "unknown": "unknown"}


class Evidence(BaseModel):
    """What a finding rests on: a file of the release, and the words or figures in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    sha256: str
    rule: str
    """How the excerpt was read."""
    excerpt: str


class Finding(BaseModel):
    """One rule applied to one release."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: str
    criterion: Criterion
    verdict: Outcome
    level: Level
    """How deeply the evidence was looked at."""
    summary: str
    """One sentence."""
    evidence: tuple[Evidence, ...] = ()


Files = Mapping[str, str]
"""Digest of each file that the release holds, by name."""


def _evidence(files: Files, path: str, rule: str, excerpt: str) -> tuple[Evidence, ...]:
    """One piece of evidence; nothing if the release does not hold the file."""
    return (Evidence(path=path, sha256=files[path], rule=rule, excerpt=excerpt),) if path in files else ()


def openness_findings(
    manifests: Sequence[Manifest], lock: Mapping[str, Any], report: Report, licence: str, files: Files
) -> list[Finding]:
    """All findings on a release, what fails first; `licence` is the weights'."""
    found = [
        _weights(licence, files),
        _policy(manifests, lock, files),
        *_data_licences(report, manifests, files),
        _software(manifests, files),
        *_sources(report, manifests, files),
        _record(manifests, files),
        _evaluation(report, manifests, files),
        _checkpoints(manifests),
        _replay(),
    ]
    return sorted(found, key=lambda finding: FINDINGS_ORDER.index(finding.verdict))


def overall(findings: Sequence[Finding]) -> dict[Criterion, Outcome]:
    """The worst verdict on each criterion; a criterion without a finding is unknown."""
    criteria: tuple[Criterion, ...] = ("use", "data", "method")
    return {
        criterion: min(
            (finding.verdict for finding in findings if finding.criterion == criterion),
            key=FINDINGS_ORDER.index,
            default="unknown",
        )
        for criterion in criteria
    }


def _weights(licence: str, files: Files) -> Finding:
    verdict = judge(licence)
    return Finding(
        rule="use.weights_licence",
        criterion="use",
        verdict=_BY_STATUS[verdict.status],
        level="declared",
        summary=f"The weights are under {verdict.licence}, which is {verdict.status}: {verdict.reason}.",
        evidence=_evidence(files, "recipe.toml", "licence of the release call", f'licence = "{licence}"'),
    )


def _policy(manifests: Sequence[Manifest], lock: Mapping[str, Any], files: Files) -> Finding:
    allowed = relaxed(manifests, lock)
    summary = (
        f"The recipe's policy was relaxed: beyond free licences it accepts {', '.join(allowed)}."
        if allowed
        else "The recipe's policy accepts nothing but free licences."
    )
    return Finding(
        rule="use.policy",
        criterion="use",
        verdict="fail" if allowed else "pass",
        level="parsed",
        summary=summary,
        evidence=_evidence(files, "lock.json", "policy.also_allow", f"also_allow = {allowed}"),
    )


def _data_licences(report: Report, manifests: Sequence[Manifest], files: Files) -> list[Finding]:
    """One finding per source and licence that is not free; one in all where there is none."""
    found = [
        Finding(
            rule=f"use.data_licence.{source.name}",
            criterion="use",
            verdict="fail",
            level="parsed",
            summary=(
                f"{count.documents:,} documents of the source {source.name} are under {count.licence}, "
                f"which is {count.status}: {count.reason}."
            ),
            evidence=_read_evidence(source.name, manifests, files, f"{count.licence}: {count.documents}"),
        )
        for source in report.sources
        for count in source.licences
        if count.status != "free"
    ]
    silent = [source.name for source in report.sources if not source.licences]
    if silent:
        found.append(
            Finding(
                rule="use.data_licences",
                criterion="use",
                verdict="unknown",
                level="parsed",
                summary=f"No licence is recorded for the documents of {', '.join(silent)}.",
            )
        )
    if found:
        return found
    licences = sorted({count.licence for source in report.sources for count in source.licences})
    return [
        Finding(
            rule="use.data_licences",
            criterion="use",
            verdict="pass" if licences else "unknown",
            level="parsed",
            summary=(
                f"Every document read is recorded under a licence that restricts no use: {', '.join(licences)}."
                if licences
                else "No document and no licence is recorded."
            ),
            evidence=tuple(
                item
                for source in report.sources
                for item in _read_evidence(
                    source.name,
                    manifests,
                    files,
                    ", ".join(f"{count.licence}: {count.documents}" for count in source.licences),
                )
            ),
        )
    ]


def _read_evidence(source: str, manifests: Sequence[Manifest], files: Files, excerpt: str) -> tuple[Evidence, ...]:
    rule = f"statistics.licences.{source}"
    return tuple(
        item
        for manifest in manifests
        if reads_sources(manifest) and source in counted(manifest)
        for item in _evidence(files, manifest_name(manifest.key), rule, excerpt)
    )


def _software(manifests: Sequence[Manifest], files: Files) -> Finding:
    versions = sorted(
        {
            str(version)
            for manifest in manifests
            if (version := manifest.environment.get("libraries", {}).get("fonderie"))
        }
    )
    excerpt = f"fonderie {', '.join(versions)}"
    maker = next((manifest for manifest in manifests if manifest.step.startswith("train.")), None)
    return Finding(
        rule="use.software",
        criterion="use",
        verdict="pass" if versions else "unknown",
        level="declared",
        summary=(
            f"Made with Fonderie {', '.join(versions)} (Apache-2.0); loads with transformers (Apache-2.0)."
            if versions
            else "The manifests do not say which version of the software made this release."
        ),
        evidence=_evidence(files, manifest_name(maker.key), "environment.libraries", excerpt) if maker else (),
    )


def _sources(report: Report, manifests: Sequence[Manifest], files: Files) -> list[Finding]:
    found = []
    for source in report.sources:
        readers = [
            manifest for manifest in manifests if reads_sources(manifest) and source.name in counted(manifest)
        ]
        describe = _generated if source.generated else _read
        found.append(describe(source, readers, files))
    if found:
        return found
    return [
        Finding(
            rule="data.sources",
            criterion="data",
            verdict="unknown",
            level="parsed",
            summary="No source is recorded.",
        )
    ]


def _generated(source: SourceReport, readers: Sequence[Manifest], files: Files) -> Finding:
    seeds = ", ".join(str(manifest.parameters.get("seed")) for manifest in readers)
    return Finding(
        rule=f"data.source.{source.name}",
        criterion="data",
        verdict="pass",
        level="parsed",
        summary=(
            f"The documents of {source.name} are composed by the recipe itself from seed {seeds}: anyone can make "
            "the same ones again by running it."
        ),
        evidence=tuple(
            item
            for manifest in readers
            if generates(manifest)
            for item in _evidence(
                files, manifest_name(manifest.key), "parameters.seed", f"seed = {manifest.parameters.get('seed')}"
            )
        ),
    )


def _read(source: SourceReport, readers: Sequence[Manifest], files: Files) -> Finding:
    read = [entry for manifest in readers for entries in manifest.sources.values() for entry in entries]
    return Finding(
        rule=f"data.source.{source.name}",
        criterion="data",
        verdict="partial" if read else "unknown",
        level="parsed",
        summary=(
            f"The files of {source.name} ({len(read):,}) are named and hashed, not distributed with this release."
            if read
            else f"Nothing says which files {source.name} was read from."
        ),
        evidence=tuple(
            item
            for manifest in readers
            for entries in manifest.sources.values()
            for item in _evidence(files, manifest_name(manifest.key), "sources", _first_of(entries))
        ),
    )


def _first_of(entries: Sequence[FileEntry]) -> str:
    names = [f"{entry.path} {entry.sha256}" for entry in entries[:1]]
    return " ".join([*names, *([f"and {len(entries) - 1:,} more"] if entries[1:] else [])])


def _record(manifests: Sequence[Manifest], files: Files) -> Finding:
    needed = ["recipe.toml", "lock.json", "training/log.jsonl", *(manifest_name(item.key) for item in manifests)]
    missing = [name for name in needed if name not in files]
    return Finding(
        rule="method.record",
        criterion="method",
        verdict="partial" if missing else "pass",
        level="present",
        summary=(
            f"The record of how it was made is incomplete: {', '.join(missing)} missing."
            if missing
            else f"Recipe, lock, training log and the manifests of all {len(manifests):,} makings are included."
        ),
        evidence=(
            *_evidence(files, "recipe.toml", "included", "the whole recipe"),
            *_evidence(files, "lock.json", "included", "key and digest of every call"),
            *_evidence(files, "training/log.jsonl", "included", "the training log"),
        ),
    )


def _evaluation(report: Report, manifests: Sequence[Manifest], files: Files) -> Finding:
    there = bool(report.scores) and "scores.json" in files
    documents = max((score.n for score in report.scores), default=0)
    # A maker who does not count them leaves it open, and open is not none.
    counts = [
        manifest.statistics.get("also_trained_on") for manifest in manifests if "scores" in manifest.statistics
    ]
    clean = there and all(count == 0 for count in counts)
    known = ", ".join("an unknown number" if count is None else f"{count:,}" for count in counts)
    return Finding(
        rule="method.evaluation",
        criterion="method",
        verdict="pass" if clean else "partial",
        level="parsed",
        summary=(
            f"Scores on {documents:,} held-out documents are included, with intervals and method; of these "
            f"{'none' if clean else known} were also trained on, by content id."
            if there
            else "No evaluation is included."
        ),
        evidence=_evidence(files, "scores.json", "included", f"{len(report.scores)} scores"),
    )


def _checkpoints(manifests: Sequence[Manifest]) -> Finding:
    written = sorted(
        {
            entry.path.split("/")[1]
            for manifest in manifests
            if manifest.step.startswith("train.")
            for entry in manifest.files
            if entry.path.startswith("checkpoints/")
        }
    )
    return Finding(
        rule="method.checkpoints",
        criterion="method",
        verdict="partial",
        level="parsed",
        summary=(
            f"The final weights are included; the training's checkpoints ({len(written)}) are named and hashed "
            "in its manifest, not distributed with this release."
            if written
            else "The final weights are included; no intermediate checkpoint is recorded."
        ),
    )


def _replay() -> Finding:
    return Finding(
        rule="method.replay",
        criterion="method",
        verdict="partial",
        level="declared",
        summary="Everything needed to replay the training is named, but no third party has replayed it yet.",
    )
