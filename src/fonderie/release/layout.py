"""What a release folder holds, and `release.json`, which lists it.

What is for whom:

    README.md report.md report.json findings.json ledger.json attribution.json    for people and auditors
    model.safetensors config.json generation_config.json tokenizer.json …         for Hugging Face clients
    training/log.jsonl training/parameters.json loss.svg scores.json samples.json  how it was trained, what it does
    recipe.toml lock.json manifests/<16 hexadecimal digits of the key>.json        how to make it again
    release.json                                                                   every other file, hashed

Names never change between releases: a client finds the same thing in the same place.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from fonderie.core.manifest import FileEntry, InputEntry

FORMAT = 1
BUNDLE_VERSION = 1
"""Of the step release.bundle: raised whenever the same inputs would give other bytes, a card's words included."""
INDEX = "release.json"
SIGNATURE = "release.dsse.json"
"""Signs every other file, release.json included; so it is added after the making, and listed nowhere."""
ATTRIBUTION = "attribution.json"
MANIFESTS = "manifests"
KEY_DIGITS = 16

MODEL_FILES = {
    "model.safetensors": "model.safetensors",
    "config.json": "config.json",
    "generation_config.json": "generation_config.json",
    "log.jsonl": "training/log.jsonl",
    "parameters.json": "training/parameters.json",
    "loss.svg": "loss.svg",
}
"""Files of a model artifact, and where a release holds them; checkpoints stay in the store."""

TOKENIZER_FILES = {
    "tokenizer.json": "tokenizer.json",
    "tokenizer_config.json": "tokenizer_config.json",
    "chat_template.jinja": "chat_template.jinja",
}
LOCK_FILES = {"recipe.toml": "recipe.toml", "lock.json": "lock.json"}
NEEDED = ("model.safetensors", "config.json", "tokenizer.json", "recipe.toml", "lock.json")
"""Without these a folder is no release, whatever its index says."""


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
    lock: InputEntry
    files: tuple[FileEntry, ...]
    """Every other file of the release, in path order."""


def manifest_name(key: str) -> str:
    """Where a release holds the manifest of a key."""
    return f"{MANIFESTS}/{key.removeprefix('sha256:')[:KEY_DIGITS]}.json"


def numbered(name: str, index: int) -> str:
    """scores.json, scores-2.json, …: a release holds one file per evaluation, each as it was written."""
    stem, dot, ending = name.rpartition(".")
    return name if index == 0 else f"{stem}-{index + 1}{dot}{ending}"


def copied_files(index: ReleaseIndex) -> list[tuple[InputEntry, dict[str, str]]]:
    """Each artifact that a release copies files from, with their names there and here."""
    plan = [(index.model, MODEL_FILES), (index.tokenizer, TOKENIZER_FILES), (index.lock, LOCK_FILES)]
    plan += [(entry, {"scores.json": numbered("scores.json", i)}) for i, entry in enumerate(index.scores)]
    plan += [(entry, {"samples.json": numbered("samples.json", i)}) for i, entry in enumerate(index.samples)]
    return plan
