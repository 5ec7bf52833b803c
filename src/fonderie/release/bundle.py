"""release.bundle: the folder that strangers load, read and check.

Weights, tokenizer, logs and scores are copied byte for byte, so that their hashes are those of the manifests that
made them; everything else is written from the manifests. No time of now, no name of this machine: the same inputs
give the same release.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from fonderie.core.errors import LicenceError, ReleaseError
from fonderie.core.machine import Machine
from fonderie.core.manifest import InputEntry, list_files
from fonderie.core.step import Artifact, Inputs, Output, Parameters, Policy, Port, RecipePolicy, Source, step
from fonderie.corpus.rights import admit
from fonderie.licences.verdict import judge
from fonderie.release.attribution import attributions
from fonderie.release.findings import overall
from fonderie.release.layout import (
    ATTRIBUTION,
    BUNDLE_VERSION,
    INDEX,
    NEEDED,
    ReleaseIndex,
    copied_files,
    manifest_name,
)
from fonderie.release.pages import ATTRIBUTIONS, SAMPLES, Contents, Sample, to_json, write_pages
from fonderie.release.report import gather


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
    policy: RecipePolicy = Policy()
    """The recipe's [policy]."""


def refuse_early(params: BundleParameters, sources: Mapping[str, tuple[Source, ...]]) -> None:  # noqa: ARG001
    """Judge the weights' licence before anything is trained."""
    verdict = judge(params.licence)
    if verdict.status == "unknown":
        raise LicenceError(
            f"the weights cannot be released under '{params.licence}': {verdict.reason}",
            hint='Give an SPDX identifier, such as licence = "Apache-2.0".',
        )
    admit(params.licence, params.policy, f"the release '{params.name}'")


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
    },
    needs_lock=True,
    preflight=refuse_early,
)
def bundle(inputs: Inputs, params: BundleParameters, out: Output, machine: Machine) -> None:
    """Copy, attribute, describe; last of all list every file with its hash."""
    refuse_early(params, {})
    index = _index(inputs, params)
    _copy(inputs, index, out.path)
    lineage = gather(artifact for group in inputs.artifacts.values() for artifact in group)
    _write_manifests(lineage, out.path)
    credited = attributions(lineage, machine)
    _write(out.path / ATTRIBUTION, to_json(ATTRIBUTIONS.dump_python(credited, mode="json")))
    written = write_pages(
        Contents(
            index=index,
            manifests=[artifact.manifest for artifact in lineage],
            lock=json.loads((out.path / "lock.json").read_bytes()),
            attributions=credited,
            samples=[sample for artifact in inputs.all("samples") for sample in _samples(artifact)],
            config=json.loads((out.path / "config.json").read_bytes()),
            files={entry.path: entry.sha256 for entry in list_files(out.path)},
        )
    )
    for name, text in written.texts.items():
        _write(out.path / name, text)
    index = index.model_copy(update={"files": tuple(list_files(out.path))})
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
    return ReleaseIndex(
        **params.model_dump(exclude={"policy"}),
        model_digest=model.digest,
        model=entry(model),
        tokenizer=entry(inputs.one("tokenizer")),
        scores=tuple(map(entry, inputs.all("scores"))),
        samples=tuple(map(entry, inputs.all("samples"))),
        lock=entry(inputs.one("lock")),
        files=(),
    )


def _copy(inputs: Inputs, index: ReleaseIndex, folder: Path) -> None:
    found = {artifact.key: artifact for group in inputs.artifacts.values() for artifact in group}
    for entry, names in copied_files(index):
        for there, here in names.items():
            source, target = found[entry.key].path / there, folder / here
            if source.is_file():
                target.parent.mkdir(exist_ok=True)
                shutil.copyfile(source, target)
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
    path.write_text(text, encoding="utf-8", newline="\n")
