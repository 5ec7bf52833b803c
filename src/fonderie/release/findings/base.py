"""Findings on what a model went on from, where others made it: their licence, their data, their method.

A base that model.import brought was trained elsewhere, on documents that this release neither has nor can name. Its
makers' statements are repeated, and judged as far as words can be judged; nothing here can be verified.
"""

from collections.abc import Sequence

from fonderie.core.manifest import Manifest
from fonderie.licences.verdict import judge
from fonderie.release.findings.finding import Files, Finding, Outcome, evidence_in
from fonderie.release.layout import manifest_name

IMPORT = "model.import"
_BY_STATUS: dict[str, Outcome] = {"free": "pass", "restricted": "fail", "unknown": "unknown"}


def base_findings(manifests: Sequence[Manifest], files: Files) -> list[Finding]:
    """Three for each imported base; none where everything was trained here."""
    return [
        finding
        for manifest in manifests
        if manifest.step == IMPORT
        for finding in (_licence(manifest, files), _data(manifest, files), _method(manifest, files))
    ]


def base_names(manifests: Sequence[Manifest]) -> list[tuple[str, str]]:
    """Name and licence of each imported base, as the recipe states them."""
    return [
        (str(manifest.parameters.get("name")), str(manifest.parameters.get("licence")))
        for manifest in manifests
        if manifest.step == IMPORT
    ]


def _licence(manifest: Manifest, files: Files) -> Finding:
    name, licence = (str(manifest.parameters.get(key)) for key in ("name", "licence"))
    verdict = judge(licence)
    return Finding(
        rule=f"use.base_licence.{name}",
        criterion="use",
        verdict=_BY_STATUS[verdict.status],
        level="declared",
        summary=(
            f"The base {name} is stated to be under {verdict.licence}, which is {verdict.status}: {verdict.reason}."
        ),
        evidence=evidence_in(files, manifest_name(manifest.key), "parameters.licence", f"licence = {licence}"),
    )


def _data(manifest: Manifest, files: Files) -> Finding:
    name, data = (str(manifest.parameters.get(key) or "") for key in ("name", "data"))
    return Finding(
        rule=f"data.base.{name}",
        criterion="data",
        verdict="partial" if data else "fail",
        level="declared",
        summary=(
            f"The base {name} was trained by others; its documents are stated to be published at {data}, and are "
            "neither part of this release nor checked by it."
            if data
            else f"The base {name} was trained by others, on documents that are not published: this release cannot "
            "provide what it was trained on."
        ),
        evidence=evidence_in(files, manifest_name(manifest.key), "parameters.data", f"data = {data!r}"),
    )


def _method(manifest: Manifest, files: Files) -> Finding:
    name = str(manifest.parameters.get("name"))
    entries = [entry for group in manifest.sources.values() for entry in group]
    return Finding(
        rule=f"method.base.{name}",
        criterion="method",
        verdict="partial",
        level="declared",
        summary=(
            f"How the base {name} was trained is not recorded here, and nobody can repeat it from this release; "
            f"its files ({len(entries):,}) are named and hashed."
        ),
        evidence=evidence_in(
            files, manifest_name(manifest.key), "sources", " ".join(f"{e.path} {e.sha256}" for e in entries[:1])
        ),
    )
