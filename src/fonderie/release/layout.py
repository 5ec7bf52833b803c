"""What a release folder holds, and `release.json`, which lists it.

What is for whom:

    README.md report.md report.json findings.json ledger.json attribution.json    for people and auditors
    model.safetensors config.json generation_config.json tokenizer.json …         for Hugging Face clients
    training/log.jsonl training/parameters.json loss.svg scores.json samples.json  how it was trained, what it does
    outcomes.parquet gate.json                                                     every answer; what was demanded
    training/report.html training/mix.json training/validation.jsonl               its course, for people to look at
    training/commitment.json training/checkpoints/step-…/                          what a replay begins from
    adapter/adapter_model.safetensors adapter/adapter_config.json                  what was trained, where the base
                                                                                   was frozen; the weights hold it
    data/documents/00000.parquet … data/tokens/                                    what it was trained on: document
                                                                                   shard n became token shard n
    documents/public-summary.en.html … publisher.toml survey.json                  for the law; what it rests on
    data/README.md croissant.json bill-of-materials.spdx.json NOTICE.md LICENSE    for programs; what licences ask
    erasures/<reference>.json                                                      what the next build may not read
    base/model.safetensors base/training/… base/data/… base/base/…                 what it went on from, if it did:
                                                                                   the same, one folder deeper
    recipe.toml lock.json manifests/<16 hexadecimal digits of the key>.json        how to make it again
    release.json                                                                   every other file, hashed

Names never change between releases: a client finds the same thing in the same place.
"""

from collections.abc import Mapping
from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fonderie.core.document import FOLDER as DOCUMENTS_THERE
from fonderie.core.manifest import FileEntry, InputEntry, Manifest
from fonderie.core.wiring import CHECKPOINT_STEP
from fonderie.evaluate.score import OUTCOMES
from fonderie.train.record.commitment import COMMITMENT, DERIVED, LOG, REFERENCE
from fonderie.train.settings.lora import ADAPTER
from fonderie.train.settings.stopping import VALIDATION
from fonderie.train.view.mix import MIX

FORMAT = 1
BUNDLE_VERSION = 3
"""Of the step release.bundle: raised whenever the same inputs would give other bytes, a card's words included."""
INDEX = "release.json"
SIGNATURE = "release.dsse.json"
"""Signs every other file, release.json included; so it is added after the making, and listed nowhere."""
EXPOSURES = "failed-gate.json"
"""Who showed a release although it failed its gate, and why; added after the making, and listed nowhere."""
GATE = "gate.json"
ATTRIBUTION = "attribution.json"
MANIFESTS = "manifests"
KEY_DIGITS = 16
TRAINING = "training"
TRAINING_REPORT = f"{TRAINING}/report.html"
CHECKPOINTS_THERE = "checkpoints"
CHECKPOINTS = f"{TRAINING}/{CHECKPOINTS_THERE}"
BASE = "base/"
"""Before the names of all that belongs to the training that this one went on from."""
TOKENS = "data/tokens"
DOCUMENTS = f"data/{DOCUMENTS_THERE}"

MODEL_FILES = {
    "model.safetensors": "model.safetensors",
    "config.json": "config.json",
    "generation_config.json": "generation_config.json",
    COMMITMENT: f"{TRAINING}/{COMMITMENT}",
    LOG: f"{TRAINING}/{LOG}",
    DERIVED: f"{TRAINING}/{DERIVED}",
    MIX: f"{TRAINING}/{MIX}",
    VALIDATION: f"{TRAINING}/{VALIDATION}",
    REFERENCE: f"{TRAINING}/{REFERENCE}",
    f"{ADAPTER}/adapter_model.safetensors": f"{ADAPTER}/adapter_model.safetensors",
    f"{ADAPTER}/adapter_config.json": f"{ADAPTER}/adapter_config.json",
    "loss.svg": "loss.svg",
}
"""Files of a model artifact, and where a release holds them; its checkpoints beside them, unless told otherwise."""

TOKENIZER_FILES = {
    "tokenizer.json": "tokenizer.json",
    "tokenizer_config.json": "tokenizer_config.json",
    "chat_template.jinja": "chat_template.jinja",
}
LOCK_FILES = {"recipe.toml": "recipe.toml", "lock.json": "lock.json"}
NEEDED = ("model.safetensors", "config.json", "tokenizer.json", "recipe.toml", "lock.json")
"""Without these a folder is no release, whatever its index says."""


class Acknowledgement(BaseModel):
    """Why a release that fails its gate is shown all the same, as the recipe says it; the card repeats it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    reason: str = Field(min_length=1)
    """One sentence."""
    by: str = Field(min_length=1)
    """Who answers for it."""
    on: date
    """When it was decided."""


class Trained(BaseModel):
    """A training that a release holds, with what it was trained on, as far as that is here too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: InputEntry
    tokenizer: InputEntry
    tokens: InputEntry | None = None
    """What the token shards were copied from; None if they are not here."""
    further_tokens: tuple[InputEntry, ...] = ()
    """The same of the further mixes of a training in phases, in the order in which it takes them."""
    documents: tuple[InputEntry, ...] = ()
    """What the documents were copied from, in the order of packing; none if they are not here."""
    base: "Trained | None" = None
    """The training that it went on from; None if it began from random weights, or that training is not here."""


class ReleaseIndex(BaseModel):
    """What release.json holds: the file by which everything else is checked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    bundle_version: int = BUNDLE_VERSION
    """Which version of release.bundle wrote the pages."""
    name: str
    version: str
    licence: str
    """SPDX identifier of the weights' licence."""
    language: tuple[str, ...] = ()
    description: str = ""
    demonstration: bool = False
    status: Literal["draft", "final"] = "draft"
    """Final: every field that only its publisher can fill is filled."""
    model_digest: str
    """The digest of the model artifact that the weights were copied from."""
    model: InputEntry
    tokenizer: InputEntry
    scores: tuple[InputEntry, ...] = ()
    samples: tuple[InputEntry, ...] = ()
    course: tuple[InputEntry, ...] = Field(default=(), exclude_if=lambda value: not value)
    """Scores of the training's checkpoints, for its report alone: what the released model scores is `scores`."""
    gate: InputEntry | None = None
    """What was demanded of the scores; None if nothing was."""
    i_know_it_failed: Acknowledgement | None = None
    """Why it is shown although it failed; None unless it did."""
    lock: InputEntry
    checkpoints: bool = False
    """Whether the checkpoints that the training kept are here."""
    tokens: InputEntry | None = None
    """What the token shards here were copied from; None if they are not here."""
    further_tokens: tuple[InputEntry, ...] = ()
    """The same of further mixes of a training in phases, in the order in which it takes them: data/tokens-2, …"""
    documents: tuple[InputEntry, ...] = ()
    """What the documents here were copied from, in the order of packing; none if they are not here."""
    base: Trained | None = None
    """The training that this one went on from, in the folder `base`; None if it began from random weights, or that
    training is not here."""
    files: tuple[FileEntry, ...]
    """Every other file of the release, in path order."""


def training_behind(model: Manifest | None, manifests: Mapping[str, Manifest]) -> Manifest | None:
    """The training that made a model: of a checkpoint, the one it was taken out of; None if it is not here."""
    if model is not None and model.step == CHECKPOINT_STEP:
        return next((manifests.get(entry.key) for entry in model.inputs.get("model", ())), None)
    return model


def is_training(manifest: Manifest) -> bool:
    """Whether it is the making of weights by training, with a commitment and a log."""
    return manifest.step.startswith("train.") and "tokens" in manifest.inputs


def manifest_name(key: str) -> str:
    """Where a release holds the manifest of a key."""
    return f"{MANIFESTS}/{key.removeprefix('sha256:')[:KEY_DIGITS]}.json"


def numbered(name: str, index: int) -> str:
    """scores.json, scores-2.json, …: a release holds one file per evaluation, each as it was written."""
    stem, dot, ending = name.rpartition(".")
    return name if index == 0 else f"{stem}-{index + 1}{dot}{ending}"


Copied = list[tuple[InputEntry, dict[str, str]]]
"""Artifacts, with the names of some of their files there and in the release."""


def copied_files(index: ReleaseIndex, manifests: Mapping[str, Manifest]) -> Copied:
    """Each artifact that a release copies files from; `manifests`, by key, say which files the larger ones have."""
    plan = [(index.lock, LOCK_FILES), *_training_files(index, manifests, checkpoints=index.checkpoints)]
    plan += [(entry, {"scores.json": numbered("scores.json", i)}) for i, entry in enumerate(index.scores)]
    plan += [(entry, {OUTCOMES: numbered(OUTCOMES, i)}) for i, entry in enumerate(index.scores)]
    plan += [(index.gate, {GATE: GATE})] if index.gate else []
    plan += [(entry, {"samples.json": numbered("samples.json", i)}) for i, entry in enumerate(index.samples)]
    return plan


def _training_files(
    trained: "ReleaseIndex | Trained", manifests: Mapping[str, Manifest], *, checkpoints: bool
) -> Copied:
    """What a release holds of one training, and below `base/` of those that it went on from."""
    model = {**MODEL_FILES, **(checkpoint_files(manifests.get(trained.model.key)) if checkpoints else {})}
    plan: Copied = [(trained.model, model), (trained.tokenizer, TOKENIZER_FILES)]
    for number, entry in enumerate(all_tokens(trained)):
        plan.append((entry, token_files(manifests.get(entry.key), tokens_folder(number))))
    plan += document_files(trained.documents, manifests)
    if trained.base:
        below = _training_files(trained.base, manifests, checkpoints=checkpoints)
        plan += [(entry, {there: BASE + here for there, here in names.items()}) for entry, names in below]
    return plan


def checkpoint_files(model: Manifest | None) -> dict[str, str]:
    """The checkpoints of a model artifact, there and here."""
    names = [entry.path for entry in model.files] if model else []
    return {name: f"{TRAINING}/{name}" for name in names if name.startswith(f"{CHECKPOINTS_THERE}/")}


def token_files(tokens: Manifest | None, folder: str) -> dict[str, str]:
    """The files of a tokens artifact, there and here."""
    return {entry.path: f"{folder}/{entry.path}" for entry in (tokens.files if tokens else [])}


def tokens_folder(number: int) -> str:
    """Where a release holds the token shards of a mix, counted from 0: data/tokens, data/tokens-2, …"""
    return TOKENS if number == 0 else f"{TOKENS}-{number + 1}"


def all_tokens(here: "ReleaseIndex | Trained") -> tuple[InputEntry, ...]:
    """What the token shards here were copied from, every mix once."""
    return (here.tokens, *here.further_tokens) if here.tokens else ()


def document_files(entries: tuple[InputEntry, ...], manifests: Mapping[str, Manifest]) -> Copied:
    """The document shards of several artifacts, numbered through as the packing numbered its token shards."""
    plan: Copied = []
    number = 0
    for entry in entries:
        manifest = manifests.get(entry.key)
        shards = [file.path for file in manifest.files if _is_shard(file.path)] if manifest else []
        names = {}
        for name in sorted(shards, key=lambda name: (len(name), name)):  # as `shard_paths` orders them
            names[name] = f"{DOCUMENTS}/{number:05d}.parquet"
            number += 1
        plan.append((entry, names))
    return plan


def _is_shard(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    return folder == DOCUMENTS_THERE and file.endswith(".parquet")
