"""Findings on the third criterion: record, evaluation, checkpoints, and whether anyone has trained it again."""

from collections.abc import Sequence

from fonderie.core.manifest import Manifest
from fonderie.release.account import also_trained_on
from fonderie.release.chain.published import checkpoint_names, checkpoints, tokens, trainings
from fonderie.release.findings.finding import EVIDENCE_SHOWN, Files, Finding, evidence_in
from fonderie.release.layout import TRAINING, checkpoint_files, manifest_name
from fonderie.release.records import Report
from fonderie.train.record.commitment import COMMITMENT, LOG

RECORD = (f"{TRAINING}/{COMMITMENT}", f"{TRAINING}/{LOG}")


def method_findings(report: Report, manifests: Sequence[Manifest], files: Files) -> list[Finding]:
    """All of them."""
    return [
        _record(manifests, files),
        _evaluation(report, manifests, files),
        _checkpoints(manifests, files),
        _replay(manifests, files),
    ]


def _record(manifests: Sequence[Manifest], files: Files) -> Finding:
    needed = ["recipe.toml", "lock.json", *RECORD, *(manifest_name(item.key) for item in manifests)]
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
            *evidence_in(files, "recipe.toml", "included", "the whole recipe"),
            *evidence_in(files, "lock.json", "included", "key and digest of every call"),
            *(
                item
                for name in RECORD
                for item in evidence_in(files, name, "included", "the record of the training")
            ),
        ),
    )


def _evaluation(report: Report, manifests: Sequence[Manifest], files: Files) -> Finding:
    there = bool(report.scores) and "scores.json" in files
    held_out = max((score.n for score in report.scores if score.unit == "documents"), default=0)
    asked = sum(score.n for score in report.scores if score.unit == "items")
    also = f" Items of tasks asked: {asked:,}; the card says how many of them were trained on." if asked else ""
    # A maker who does not count them leaves it open, and open is not none.
    counts = also_trained_on(manifests)
    clean = there and all(count == 0 for count in counts)
    known = ", ".join("an unknown number" if count is None else f"{count:,}" for count in counts)
    return Finding(
        rule="method.evaluation",
        criterion="method",
        verdict="pass" if clean else "partial",
        level="parsed",
        summary=(
            f"Scores on {held_out:,} held-out documents are included, with intervals and method; of these "
            f"{'none' if clean else known} were also trained on, by content id.{also}"
            if there
            else "No evaluation is included."
        ),
        evidence=evidence_in(files, "scores.json", "included", f"{len(report.scores)} scores"),
    )


def _checkpoints(manifests: Sequence[Manifest], files: Files) -> Finding:
    included = checkpoints(manifests, files)
    names = checkpoint_names(included)
    written = {name.split("/")[1] for manifest in trainings(manifests) for name in checkpoint_files(manifest)}
    if included.whole:
        summary = f"Checkpoints of the training are included ({len(names)}: {names[0]} to {names[-1]})."
    elif written:
        summary = (
            f"The final weights are included; the training's checkpoints ({len(written)}) are named and hashed in "
            "its manifest, not distributed with this release."
        )
    else:
        summary = "The final weights are included; no intermediate checkpoint is recorded."
    return Finding(
        rule="method.checkpoints",
        criterion="method",
        # One alone is the end of the training: nothing lies between it and the weights.
        verdict="pass" if included.whole and len(names) > 1 else "partial",
        level="verified" if included.whole else "parsed",
        summary=summary,
        evidence=tuple(
            item
            for name in included.present
            if name.endswith("/state.json")
            for item in evidence_in(files, name, "included, hash as made", name.split("/")[-2])
        )[:EVIDENCE_SHOWN],
    )


def _replay(manifests: Sequence[Manifest], files: Files) -> Finding:
    here = tokens(manifests, files).whole and checkpoints(manifests, files).whole
    return Finding(
        rule="method.replay",
        criterion="method",
        verdict="partial",
        level="declared",
        summary=(
            f"Everything needed to replay the training is {'included' if here else 'named'}, but no third party "
            "has replayed it yet."
        ),
        evidence=evidence_in(files, f"{TRAINING}/{COMMITMENT}", "included", "what the training committed to"),
    )
