"""release.bundle: the folder that strangers load, read and check.

Weights, tokenizer, logs and scores are copied byte for byte, so that their hashes are those of the manifests that
made them; everything else is written from the manifests. No time of now, no name of this machine: the same inputs
give the same release.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field

from fonderie.core.errors import LicenceError, ReleaseError
from fonderie.core.machine import Machine
from fonderie.core.manifest import InputEntry, describe_file, list_files
from fonderie.core.step import (
    Artifact,
    Inputs,
    Output,
    Parameters,
    Policy,
    Port,
    RecipePolicy,
    Source,
    SourceFiles,
    step,
)
from fonderie.core.wiring import CHECKPOINT_STEP
from fonderie.corpus.rights import admit
from fonderie.licences.verdict import judge
from fonderie.release.attribution import Attribution, attributions
from fonderie.release.cards.notices import LICENCE_FILE, licence_text
from fonderie.release.facts import Sample
from fonderie.release.findings.openness import overall
from fonderie.release.law.publisher import FILE as PUBLISHER_FILE
from fonderie.release.law.publisher import (
    Publisher,
    load_publisher,
    refuse_strangers,
    refuse_unfinished,
    source_gaps,
)
from fonderie.release.law.shared import read_sources
from fonderie.release.layout import (
    ATTRIBUTION,
    BUNDLE_VERSION,
    INDEX,
    NEEDED,
    TRAINING,
    Acknowledgement,
    ReleaseIndex,
    Trained,
    copied_files,
    is_training,
    manifest_name,
)
from fonderie.release.pages import ATTRIBUTIONS, SAMPLES, Contents, to_json, write_pages
from fonderie.release.report import gather, report_of
from fonderie.release.reports.course import READ
from fonderie.release.survey import FILE as SURVEY_FILE
from fonderie.release.survey import SURVEY, survey
from fonderie.release.tombstones import copy_lists

UNKNOWN = "unknown"
"""How a policy says that it accepts documents without a known licence."""


class BundleParameters(Parameters):
    """The release's name, its rights, and what it says of itself."""

    name: str = Field(min_length=1, max_length=96, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Letters, digits, dots, hyphens: as a hub names a model."""
    version: str = Field(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9][A-Za-z0-9.+_-]*$")
    """Such as "0.1.0"."""
    licence: str
    """SPDX identifier of the weights' licence; one that is not free must also stand in the recipe's policy."""
    language: tuple[str, ...] = ()
    """ISO 639-1 codes of the languages it was trained on."""
    description: str = ""
    """One paragraph of Markdown for the top of the card."""
    demonstration: bool = False
    """The card says first that the model is small and often wrong."""
    checkpoints: bool = True
    """Include every checkpoint that the training kept, so that anyone can replay what lies between them."""
    tokens: bool = True
    """Include the token shards; without them nobody can replay the training from this folder alone."""
    documents: bool = True
    """Include the documents that were packed. A corpus too large to pass on is named and hashed only: give false.

    Documents whose licence is unknown may not be passed on: neither they nor their tokens can be included."""
    base: bool = True
    """Include the training that this one went on from, below `base/`: its weights and records, and of its
    checkpoints, tokens and documents what these three say."""
    publisher: SourceFiles | None = None
    """What only people can say of the release: see recipes/publisher.example.toml. Copied into it."""
    status: Literal["draft", "final"] = "draft"
    """A "final" release is refused while a mandatory field of `publisher` is missing or a placeholder."""
    i_know_it_failed: Acknowledgement | None = None
    """Why a release that fails its gate is shown all the same: { reason = "…", by = "…", on = 2026-11-26 }. The
    card says it; without it, such a release is neither served nor pushed."""
    policy: RecipePolicy = Policy()
    """The recipe's [policy]."""


def refuse_unwired(params: BundleParameters, wired: Mapping[str, Sequence[str]]) -> None:
    """Only a gate can fail, and a gate judges scores; ValueError for the recipe to explain."""
    if params.i_know_it_failed and not wired.get("gate"):
        raise ValueError("i_know_it_failed speaks of a gate, and none is wired: inputs = { gate = … }")
    if wired.get("gate") and not wired.get("scores"):
        raise ValueError("a gate is wired without the scores that it judges: inputs = { scores = … }")


def refuse_early(params: BundleParameters, sources: Mapping[str, tuple[Source, ...]]) -> None:
    """Judge the weights' licence, and what a final release needs of its publisher, before anything is trained."""
    verdict = judge(params.licence)
    if verdict.status == "unknown":
        raise LicenceError(
            f"the weights cannot be released under '{params.licence}': {verdict.reason}",
            hint='Give an SPDX identifier, such as licence = "Apache-2.0".',
        )
    admit(params.licence, params.policy, f"the release '{params.name}'")
    if UNKNOWN in params.policy.also_allow and (params.documents or params.tokens):
        raise LicenceError(
            f"the release '{params.name}' would pass on documents whose licence is unknown, as the policy allows",
            hint="Give it documents = false and tokens = false: they are then named and hashed, not included.",
        )
    publisher = load_publisher(sources.get("publisher", ()))
    if params.status == "final":
        refuse_unfinished(publisher, str(params.publisher), params.name)


@step(
    "release.bundle",
    version=BUNDLE_VERSION,
    parameters=BundleParameters,
    produces="release",
    inputs={
        "model": Port("model"),
        "tokenizer": Port("tokenizer"),
        "scores": Port("scores", many=True, optional=True),
        "samples": Port("samples", many=True, optional=True),
        "course": Port("scores", many=True, optional=True),
        "gate": Port("gate", optional=True),
    },
    needs_lock=True,
    obeys_tombstones=True,
    preflight=refuse_early,
    wiring=refuse_unwired,
)
def bundle(inputs: Inputs, params: BundleParameters, out: Output, machine: Machine) -> None:
    """Copy, attribute, describe; last of all list every file with its hash."""
    refuse_early(params, inputs.sources)
    _refuse_other_scores(inputs, params)
    index = _index(inputs, params)
    lineage = gather(artifact for group in inputs.artifacts.values() for artifact in group)
    credited = attributions(lineage, machine)
    _refuse_unknown(index, credited)
    _copy(lineage, index, out.path, machine)
    copy_lists(inputs.tombstones, out.path)
    _write_manifests(lineage, out.path)
    _write(out.path / ATTRIBUTION, to_json(ATTRIBUTIONS.dump_python(credited, mode="json")))
    _write(out.path / LICENCE_FILE, licence_text(index.licence))
    surveyed = survey(lineage, machine)
    _write(out.path / SURVEY_FILE, to_json(SURVEY.dump_python(surveyed, mode="json")))
    publisher = _copy_publisher(inputs, params, lineage, out.path)
    entries = list_files(out.path)
    written = write_pages(
        Contents(
            index=index,
            manifests=[artifact.manifest for artifact in lineage],
            lock=json.loads((out.path / "lock.json").read_bytes()),
            attributions=credited,
            samples=[sample for artifact in inputs.all("samples") for sample in _samples(artifact)],
            config=json.loads((out.path / "config.json").read_bytes()),
            files={entry.path: entry.sha256 for entry in entries},
            sizes={entry.path: entry.size_bytes for entry in entries},
            survey=surveyed,
            publisher=publisher,
            training={
                name: (out.path / TRAINING / name).read_bytes()
                for name in READ
                if (out.path / TRAINING / name).is_file()
            },
        )
    )
    for name, text in written.texts.items():
        _write(out.path / name, text)
    # What was hashed above is not hashed again: checkpoints are large.
    entries += [describe_file(out.path / name, name) for name in written.texts]
    index = index.model_copy(update={"files": tuple(sorted(entries, key=lambda entry: PurePosixPath(entry.path)))})
    _write(out.path / INDEX, to_json(index.model_dump(mode="json")))
    out.statistics.update(
        files=len(index.files) + 1,
        size_bytes=sum(entry.size_bytes for entry in index.files),
        openness=overall(written.findings),
        warnings=list(written.report.warnings),
    )


def _index(inputs: Inputs, params: BundleParameters) -> ReleaseIndex:
    def entry(artifact: Artifact) -> InputEntry:
        return InputEntry(key=artifact.key, digest=artifact.digest)

    model = inputs.one("model")
    trained = _trained(model, inputs.one("tokenizer"), params)
    return ReleaseIndex(
        **params.model_dump(exclude={"policy", "tokens", "documents", "publisher", "base"}),
        model_digest=model.digest,
        model=entry(model),
        tokenizer=entry(inputs.one("tokenizer")),
        scores=tuple(map(entry, inputs.all("scores"))),
        samples=tuple(map(entry, inputs.all("samples"))),
        course=tuple(map(entry, inputs.all("course"))),
        gate=next(map(entry, inputs.all("gate")), None),
        lock=entry(inputs.one("lock")),
        tokens=trained.tokens,
        further_tokens=trained.further_tokens,
        documents=trained.documents,
        base=trained.base,
        files=(),
    )


def _trained(model: Artifact, tokenizer: Artifact, params: BundleParameters) -> Trained:
    """What the release holds of a training, and of those that it went on from."""

    def entry(artifact: Artifact) -> InputEntry:
        return InputEntry(key=artifact.key, digest=artifact.digest)

    training = _training_of(model)
    tokens = list({pack.key: pack for pack in training.upstream.get("tokens", ())}.values())
    documents = [item for pack in tokens for item in pack.upstream.get("documents", ())]
    came_from = training.upstream.get("model", ()) if params.base else ()
    bases = [base for base in came_from if is_training(_training_of(base).manifest)]
    return Trained(
        model=entry(model),
        tokenizer=entry(tokenizer),
        tokens=entry(tokens[0]) if params.tokens and tokens else None,
        further_tokens=tuple(map(entry, tokens[1:])) if params.tokens else (),
        documents=tuple(map(entry, documents)) if params.documents else (),
        base=_trained(bases[0], _training_of(bases[0]).upstream["tokenizer"][0], params) if bases else None,
    )


def _training_of(model: Artifact) -> Artifact:
    """The training that a model is the end of, or a checkpoint."""
    return model.upstream["model"][0] if model.manifest.step == CHECKPOINT_STEP else model


def _refuse_other_scores(inputs: Inputs, params: BundleParameters) -> None:
    """Scores are of this model, the gate judges them, and a failure is acknowledged only where there is one."""
    model = inputs.one("model").key
    for scores in inputs.all("scores"):
        if model not in {artifact.key for artifact in scores.upstream.get("model", ())}:
            raise ReleaseError(
                f"the release '{params.name}' is given scores of another model, which its card would call its own",
                hint="Wire the scores of the released model; those of a parent go to the gate's `parent`, those of "
                "checkpoints on the way to `course`.",
            )
    training = _training_of(inputs.one("model")).key
    for scores in inputs.all("course"):
        if training not in {_training_of(artifact).key for artifact in scores.upstream.get("model", ())}:
            raise ReleaseError(
                f"the release '{params.name}' is given the course of another training than that of its model",
                hint="Wire scores of this training's checkpoints, such as those of 'base@step-400'.",
            )
    for gate in inputs.all("gate"):
        judged = {artifact.key for artifact in gate.upstream["scores"]}
        if not judged <= {artifact.key for artifact in inputs.all("scores")}:
            raise ReleaseError(
                f"the gate judges scores that the release '{params.name}' does not hold",
                hint="Wire the same scores to the gate and to the release.",
            )
        if gate.manifest.statistics["gate"]["passed"] and params.i_know_it_failed:
            raise ReleaseError(
                f"the release '{params.name}' says that it failed its gate, and it has passed",
                hint="Take i_know_it_failed out of the recipe.",
            )


def _copy_publisher(
    inputs: Inputs, params: BundleParameters, lineage: Sequence[Artifact], folder: Path
) -> Publisher | None:
    """Copy publisher.toml; a final release is refused while a source that was read is not described in it."""
    files = inputs.sources.get("publisher", ())
    publisher = load_publisher(files)
    if publisher is None:
        return None
    read = read_sources(report_of([artifact.manifest for artifact in lineage]))
    refuse_strangers(publisher, read, str(files[0].path))
    if params.status == "final":
        refuse_unfinished(publisher, str(files[0].path), params.name, source_gaps(publisher, read))
    shutil.copyfile(files[0].path, folder / PUBLISHER_FILE)
    return publisher


def _refuse_unknown(index: ReleaseIndex, credited: Sequence[Attribution]) -> None:
    if not (index.documents or index.tokens):
        return
    for attribution in credited:
        for licence in attribution.licences:
            verdict = judge(licence)
            if verdict.status == "unknown":
                raise LicenceError(
                    f"documents of the source {attribution.source} are under '{licence}', which is unknown: "
                    f"the release '{index.name}' may not pass them on",
                    hint="Give it documents = false and tokens = false: they are then named and hashed only.",
                )


def _copy(lineage: Sequence[Artifact], index: ReleaseIndex, folder: Path, machine: Machine) -> None:
    found = {artifact.key: artifact for artifact in lineage}
    plan = copied_files(index, {key: artifact.manifest for key, artifact in found.items()})
    with machine.bar("copying", sum(len(names) for _, names in plan), "files") as bar:
        for entry, names in plan:
            for there, here in names.items():
                source, target = found[entry.key].path / there, folder / here
                if source.is_file():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source, target)
                bar.advance()
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise ReleaseError(f"the inputs hold no {', '.join(missing)}: they are no model and tokenizer to release")


def _write_manifests(lineage: Sequence[Artifact], folder: Path) -> None:
    for artifact in lineage:
        path = folder / manifest_name(artifact.key)
        path.parent.mkdir(exist_ok=True)
        if path.exists():
            raise ReleaseError(f"two keys begin alike, and {path.name} cannot name both")
        _write(path, artifact.manifest.model_dump_json(indent=1) + "\n")


def _samples(artifact: Artifact) -> list[Sample]:
    return SAMPLES.validate_json((artifact.path / "samples.json").read_bytes())


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
