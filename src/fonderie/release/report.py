"""The report of a build, from manifests alone: what became of each source, what was trained, what it scores.

`fonderie show` prints it for people; a release carries it as report.json and report.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fonderie.core.manifest import Manifest
from fonderie.core.step import Artifact
from fonderie.core.wiring import CHECKPOINT_STEP
from fonderie.evaluate.gate import Gate, in_words
from fonderie.evaluate.score import Score
from fonderie.release.account import account, evaluations
from fonderie.release.records import LineageEntry, Report, SourceReport, Training
from fonderie.release.writing import tables

if TYPE_CHECKING:
    from rich.console import RenderableType

FAILED_GATE = "FAILED GATE:"
"""How a warning begins that is not about rights."""

__all__ = ["Report", "build_report", "gather", "render", "report_of", "to_markdown"]


def build_report(artifacts: Iterable[Artifact], lock: Mapping[str, Any] | None = None) -> Report:
    """The report of artifacts and all they were made from; `lock` gives the calls their names."""
    lineage = gather(artifacts)
    return report_of([artifact.manifest for artifact in lineage], lock)


def gather(artifacts: Iterable[Artifact]) -> list[Artifact]:
    """Artifacts and all they were made from, each once, inputs before what they feed."""
    found = {item.key: item for artifact in artifacts for item in artifact.lineage()}
    return list(found.values())


def report_of(manifests: Sequence[Manifest], lock: Mapping[str, Any] | None = None) -> Report:
    """The report of manifests that stand in the order of making."""
    calls = call_names(lock)
    scores = [
        Score.model_validate(score)
        for manifest in evaluations(manifests)
        for score in manifest.statistics["scores"]
    ]
    sources = account(manifests, calls, scores)
    # Where not the end of a training but one of its checkpoints is released, what had been trained by then counts.
    taken = {
        entry.key: manifest.statistics
        for manifest in manifests
        if manifest.step == CHECKPOINT_STEP
        for entry in manifest.inputs.get("model", ())
    }
    return Report(
        warnings=(*_failed_gates(manifests), *_warnings(sources, relaxed(manifests, lock))),
        sources=tuple(sources),
        tokens=sum(source.tokens for source in sources),
        trainings=tuple(
            _training(manifest, calls, taken.get(manifest.key, {}))
            for manifest in manifests
            if manifest.step.startswith("train.")
        ),
        scores=tuple(scores),
        lineage=tuple(_lineage_entry(manifest, manifests, calls) for manifest in manifests),
    )


def call_names(lock: Mapping[str, Any] | None) -> dict[str, str]:
    """The recipe's name of each key; the last where two calls ask for the same."""
    return {entry["key"]: name for name, entry in lock["calls"].items()} if lock else {}


def relaxed(manifests: Iterable[Manifest], lock: Mapping[str, Any] | None = None) -> list[str]:
    """The licences that the recipe's policy accepted beyond the free ones."""
    policies = [manifest.parameters.get("policy") for manifest in manifests]
    policies.append(lock.get("policy") if lock else None)
    allowed = {
        licence for policy in policies if isinstance(policy, dict) for licence in policy.get("also_allow", [])
    }
    return sorted(allowed)


def _failed_gates(manifests: Sequence[Manifest]) -> Iterable[str]:
    for manifest in manifests:
        if "gate" in manifest.statistics:
            for line in Gate.model_validate(manifest.statistics["gate"]).failed:
                yield f"{FAILED_GATE} {in_words(line)}."


def _warnings(sources: Sequence[SourceReport], also_allowed: Sequence[str]) -> Iterable[str]:
    for source in sources:
        for count in source.licences:
            if count.status != "free":
                yield (
                    f"{count.status.upper()} DATA: {count.documents:,} documents of the source {source.name} are "
                    f"under {count.licence} ({count.reason})."
                )
    if also_allowed:
        yield f"RELAXED POLICY: the recipe accepts, beyond free licences, {', '.join(also_allowed)}."


def _training(manifest: Manifest, calls: Mapping[str, str], taken: Mapping[str, Any]) -> Training:
    return Training(
        call=calls.get(manifest.key, manifest.step),
        step=manifest.step,
        parameters=manifest.parameters,
        statistics={**manifest.statistics, **taken},
        measured=manifest.measured,
        environment=manifest.environment,
        seconds=manifest.duration_seconds,
        energy=manifest.energy,
    )


def _lineage_entry(manifest: Manifest, manifests: Sequence[Manifest], calls: Mapping[str, str]) -> LineageEntry:
    steps = {other.key: other.step for other in manifests}
    return LineageEntry(
        call=calls.get(manifest.key, manifest.step),
        step=manifest.step,
        version=manifest.version,
        key=manifest.key,
        digest=manifest.digest,
        inputs={
            port: tuple(calls.get(entry.key, steps.get(entry.key, entry.key)) for entry in entries)
            for port, entries in manifest.inputs.items()
        },
        seconds=manifest.duration_seconds,
        joules=manifest.energy.get("joules"),
    )


def render(report: Report) -> "RenderableType":
    """The report for a terminal: warnings first, then tables."""
    return tables.to_rich(report)


def to_markdown(report: Report) -> str:
    """The report as Markdown: warnings first, then tables."""
    return tables.to_markdown(report)
