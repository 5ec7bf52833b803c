"""Findings: how far a release meets the three criteria of openness, each with what it rests on.

1. use: nothing restricts the use of weights and software, nor of the data they come from;
2. data: the documents trained on are provided, or anyone can make them again;
3. method: code, parameters, logs and evaluation are there, and the training can be done again.

A finding states what this release shows, never that a model *is* open: nobody outside has replayed it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fonderie.core.manifest import FileEntry, Manifest
from fonderie.licences.verdict import judge
from fonderie.release.account import counted, document_files, generates, reads_sources
from fonderie.release.chain.published import Published, documents, restrictions
from fonderie.release.findings.base import base_findings
from fonderie.release.findings.finding import (
    EVIDENCE_SHOWN,
    FINDINGS_ORDER,
    Criterion,
    Evidence,
    Files,
    Finding,
    Level,
    Outcome,
    evidence_in,
)
from fonderie.release.findings.method import method_findings
from fonderie.release.layout import manifest_name
from fonderie.release.records import Report, SourceReport
from fonderie.release.report import relaxed

__all__ = ["FINDINGS_ORDER", "Criterion", "Evidence", "Finding", "Level", "Outcome", "openness_findings", "overall"]

_BY_STATUS: dict[str, Outcome] = {"free": "pass", "restricted": "fail", "unknown": "unknown"}


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
        *base_findings(manifests, files),
        *method_findings(report, manifests, files),
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
        evidence=evidence_in(files, "recipe.toml", "licence of the release call", f'licence = "{licence}"'),
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
        evidence=evidence_in(files, "lock.json", "policy.also_allow", f"also_allow = {allowed}"),
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
        for item in evidence_in(files, manifest_name(manifest.key), rule, excerpt)
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
        evidence=evidence_in(files, manifest_name(maker.key), "environment.libraries", excerpt) if maker else (),
    )


def _sources(report: Report, manifests: Sequence[Manifest], files: Files) -> list[Finding]:
    found, included = [], documents(manifests, files)
    for source in report.sources:
        readers = [
            manifest for manifest in manifests if reads_sources(manifest) and source.name in counted(manifest)
        ]
        found.append(
            _generated(source, readers, files) if source.generated else _read(source, readers, included, files)
        )
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
            for item in evidence_in(
                files, manifest_name(manifest.key), "parameters.seed", f"seed = {manifest.parameters.get('seed')}"
            )
        ),
    )


def _read(source: SourceReport, readers: Sequence[Manifest], included: Published, files: Files) -> Finding:
    read = [entry for manifest in readers for entry in document_files(manifest)]
    restricted = restrictions(source, readers)
    provided = included.whole and source.tokens > 0 and bool(source.licences)
    if provided:
        summary = (
            f"The documents of {source.name} that were trained on ({source.kept:,}) are included, every shard with "
            "the hash that its making recorded"
            + (
                f", but not all under free licences: {', '.join(restricted)}."
                if restricted
                else ", all under free licences."
            )
        )
    elif read:
        summary = (
            f"The files of {source.name} ({len(read):,}) are named and hashed, not distributed with this release."
        )
    else:
        summary = f"Nothing says which files {source.name} was read from."
    evidence = (
        [
            item
            for name in included.present
            for item in evidence_in(files, name, "included, hash as made", source.name)
        ]
        if provided
        else []
    )
    return Finding(
        rule=f"data.source.{source.name}",
        criterion="data",
        verdict="pass" if provided and not restricted else "partial" if read or provided else "unknown",
        level="verified" if provided else "parsed",
        summary=summary,
        evidence=(
            *evidence[:EVIDENCE_SHOWN],
            *(
                item
                for manifest in readers
                if document_files(manifest)
                for item in evidence_in(
                    files, manifest_name(manifest.key), "sources", _first_of(document_files(manifest))
                )
            ),
        ),
    )


def _first_of(entries: Sequence[FileEntry]) -> str:
    names = [f"{entry.path} {entry.sha256}" for entry in entries[:1]]
    return " ".join([*names, *([f"and {len(entries) - 1:,} more"] if entries[1:] else [])])
