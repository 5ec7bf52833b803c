"""What became of each source, from manifests alone: read, kept, dropped, edited, held out, packed, evaluated."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fonderie.core.manifest import FileEntry, Manifest
from fonderie.corpus.hold_out import HELD_OUT, NOT_HELD_OUT
from fonderie.evaluate.score import Score
from fonderie.licences.verdict import judge
from fonderie.release.records import Branch, LicenceCount, SourceReport, Stage


def counted(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """Per source, the ledger's counts of a step that reads or changes documents; empty for other steps."""
    return _sources(manifest, "read")


def packed(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """Per source, documents and tokens of a step that packs; empty for other steps."""
    return _sources(manifest, "tokens")


def _sources(manifest: Manifest, having: str) -> dict[str, dict[str, Any]]:
    sources = manifest.statistics.get("sources")
    if not isinstance(sources, dict):
        return {}
    return {name: counts for name, counts in sources.items() if isinstance(counts, dict) and having in counts}


def evaluations(manifests: Sequence[Manifest]) -> list[Manifest]:
    """The makings of scores of the model itself: not those of a parent that a gate compares it with."""
    gates = [manifest for manifest in manifests if "gate" in manifest.statistics]
    own = {entry.key for gate in gates for entry in gate.inputs.get("scores", [])}
    parents = {entry.key for gate in gates for entry in gate.inputs.get("parent", [])} - own
    return [item for item in manifests if "scores" in item.statistics and item.key not in parents]


def also_trained_on(manifests: Sequence[Manifest]) -> list[int | None]:
    """Of each evaluation on held-out documents, how many were trained on as well; None where nobody counted."""
    return [
        manifest.statistics.get("also_trained_on")
        for manifest in evaluations(manifests)
        if any(score.get("unit", "documents") == "documents" for score in manifest.statistics["scores"])
    ]


def reads_sources(manifest: Manifest) -> bool:
    """Whether this step is where documents enter: it counts documents and has no upstream."""
    return bool(counted(manifest)) and not any(manifest.inputs.values())


def document_files(manifest: Manifest) -> Sequence[FileEntry]:
    """The files that a step read documents from; lists and forms that it was given beside them are none."""
    return manifest.sources.get("path", [])


def generates(manifest: Manifest) -> bool:
    """Whether documents enter here without any file being read."""
    return reads_sources(manifest) and not any(manifest.sources.values())


def upstream(keys: Iterable[str], manifests: Mapping[str, Manifest]) -> set[str]:
    """These keys and all that they were made from, as far as the manifests are there."""
    seen: set[str] = set()
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if key in seen or key not in manifests:
            continue
        seen.add(key)
        waiting += [entry.key for group in manifests[key].inputs.values() for entry in group]
    return seen


def branches(manifests: Sequence[Manifest]) -> dict[str, Branch]:
    """Where the documents of each document step end: in tokens, in scores only, or nowhere yet."""
    by_key = {manifest.key: manifest for manifest in manifests}
    documents = [manifest.key for manifest in manifests if counted(manifest)]
    trained = upstream((manifest.key for manifest in manifests if packed(manifest)), by_key)
    scored = upstream(
        (
            entry.key
            for manifest in manifests
            for port, measured in (("documents", "scores" in manifest.statistics), ("validation", True))
            if measured
            for entry in manifest.inputs.get(port, [])
        ),
        by_key,
    )
    if trained:
        return {
            key: "training" if key in trained else "evaluation" if key in scored else "other" for key in documents
        }
    # Nothing is packed yet: all that is not the held-out side is on its way to training.
    aside = {key for key in documents if _keeps_held_out(by_key[key])}
    return {key: "evaluation" if upstream([key], by_key) & aside else "training" for key in documents}


def _keeps_held_out(manifest: Manifest) -> bool:
    return any(NOT_HELD_OUT in counts["dropped"] for counts in counted(manifest).values())


def account(manifests: Sequence[Manifest], calls: Mapping[str, str], scores: Sequence[Score]) -> list[SourceReport]:
    """The report of each source that the manifests name; manifests stand in the order of making."""
    where = branches(manifests)
    names = sorted({name for manifest in manifests for name in (*counted(manifest), *packed(manifest))})
    all_tokens = sum(counts["tokens"] for manifest in manifests for counts in packed(manifest).values())
    return [
        _source(name, manifests=manifests, calls=calls, where=where, scores=scores, all_tokens=all_tokens)
        for name in names
    ]


def _source(
    name: str,
    *,
    manifests: Sequence[Manifest],
    calls: Mapping[str, str],
    where: Mapping[str, Branch],
    scores: Sequence[Score],
    all_tokens: int,
) -> SourceReport:
    stages = [
        _stage(counted(manifest)[name], manifest, calls, where[manifest.key])
        for manifest in manifests
        if name in counted(manifest)
    ]
    readers = [manifest for manifest in manifests if reads_sources(manifest) and name in counted(manifest)]
    training = [stage for stage in stages if stage.branch == "training"]
    dropped, edited = Counter[str](), Counter[str]()
    for stage in training:
        dropped.update(stage.dropped)
        edited.update(stage.edited)
    held_out = dropped.pop(HELD_OUT, 0)
    dropped.pop(NOT_HELD_OUT, None)
    packs = [packed(manifest)[name] for manifest in manifests if name in packed(manifest)]
    tokens = sum(counts["tokens"] for counts in packs)
    left = sum(counts["documents"] for counts in packs) if packs else training[-1].kept if training else 0
    return SourceReport(
        name=name,
        generated=bool(readers) and all(generates(manifest) for manifest in readers),
        read=sum(counted(manifest)[name]["read"] for manifest in readers),
        read_bytes=sum(counted(manifest)[name]["read_bytes"] for manifest in readers),
        licences=_licences(name, readers),
        stages=tuple(stages),
        dropped=dict(sorted(dropped.items())),
        edited=dict(sorted(edited.items())),
        held_out=held_out,
        kept=left,
        tokens=tokens,
        token_share=round(tokens / all_tokens, 6) if all_tokens else 0.0,
        scores=tuple(score for score in scores if score.source == name),
    )


def _stage(counts: Mapping[str, Any], manifest: Manifest, calls: Mapping[str, str], branch: Branch) -> Stage:
    return Stage(
        call=calls.get(manifest.key, manifest.step),
        step=manifest.step,
        branch=branch,
        read=counts["read"],
        read_bytes=counts["read_bytes"],
        kept=counts["kept"],
        kept_bytes=counts["kept_bytes"],
        dropped=dict(counts["dropped"]),
        edited=dict(counts["edited"]),
    )


def _licences(name: str, readers: Sequence[Manifest]) -> tuple[LicenceCount, ...]:
    total = Counter[str]()
    for manifest in readers:
        total.update(manifest.statistics.get("licences", {}).get(name, {}))
    verdicts = [(judge(licence), count) for licence, count in sorted(total.items())]
    return tuple(
        LicenceCount(licence=verdict.licence, documents=count, status=verdict.status, reason=verdict.reason)
        for verdict, count in verdicts
    )
