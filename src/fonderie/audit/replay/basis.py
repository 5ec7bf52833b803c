"""What a replay stands on, checked before anything is retrained: commitment, chain, token shards, checkpoints."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from fonderie.core.digest import digest_file
from fonderie.core.errors import InputError, ReleaseError
from fonderie.core.manifest import Manifest
from fonderie.core.wiring import CHECKPOINT_STEP
from fonderie.release.layout import (
    BASE,
    CHECKPOINTS,
    INDEX,
    MANIFESTS,
    TRAINING,
    ReleaseIndex,
    all_tokens,
    manifest_name,
    tokens_folder,
)
from fonderie.tokens.shards import TokenStream
from fonderie.train.again import Beside, parameters_named, training_named
from fonderie.train.record.commitment import (
    COMMITMENT,
    LOG,
    REFERENCE,
    Commitment,
    LogLine,
    break_in_chain,
    mix_of_phases,
    read_log,
    shuffle_seed,
    trees,
)
from fonderie.train.settings.continued import ContinueParameters
from fonderie.train.settings.plan import Plan
from fonderie.train.settings.shared import Settings
from fonderie.train.settings.stopping import VALIDATION, ended_after, read_measurements
from fonderie.train.training import read_commitment

if TYPE_CHECKING:
    from fonderie.train.committed import Trainable

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Basis:
    """A release's own account of its training, consistent with itself."""

    folder: Path
    index: ReleaseIndex
    commitment: Commitment
    commitment_path: Path
    lines: list[LogLine]
    tokens: tuple[Path, ...]
    """The token shards of each phase."""
    training: "Trainable"
    parameters: Settings
    beside: Beside
    checkpoints: dict[int, Path]
    """Published, by step."""
    last_step: int
    """The step after which the weights were taken."""
    made_on: Mapping[str, Any]
    """The environment that the manifest of the training states, and its threads and device."""

    @property
    def adapts(self) -> bool:
        """Whether an adapter was trained alone, on a frozen base."""
        return isinstance(self.parameters, ContinueParameters) and self.parameters.lora is not None

    def head_after(self, step: int) -> str:
        """The chain's value after a step; 0 is before the first."""
        return self.lines[step - 1].chain if step else self.commitment.digest

    def start_of(self, step: int) -> Path | None:
        """The checkpoint that a segment after a step begins from; None where its weights are made anew.

        Initial weights are drawn from the seed or read from the base: that they are is part of the claim. Of a base
        that is not here, the state before the first step shows what the training began from.
        """
        if step == 0 and (self.commitment.base is None or self.beside.base is not None):
            return None
        return self.checkpoints.get(step)

    def root_after(self, step: int) -> str | None:
        """The root that the chain holds for the checkpoint of a step, or None if it wrote none there."""
        return self.lines[step - 1].checkpoint if step else self.commitment.initial_state


def read_basis(folder: Path, tokens: Sequence[Path], base: Path | None = None) -> tuple[Basis, list[str]]:
    """What a release says of its training, and every reason not to believe it even before a replay.

    `base` is the folder of the model that it went on from, where the release does not hold it. ReleaseError if a
    file is missing or none: then there is nothing to replay.
    """
    index = _index(folder)
    path = folder / TRAINING / COMMITMENT
    if not path.is_file():
        raise ReleaseError(
            f"{folder} has no {TRAINING}/{COMMITMENT}: its training committed to nothing, so it cannot be replayed",
            hint="Releases made by release.bundle 2 and later have one.",
        )
    try:
        commitment = read_commitment(path)
        lines = read_log((folder / TRAINING / LOG).read_bytes())
        shards = _tokens(folder, index, tokens)
        roots = [_root(place) for place in shards]
        of_phases = tuple(shards[number] for number in mix_of_phases(commitment, roots))
        training = training_named(commitment, of_phases, _beside(folder, base))
    except (OSError, ValueError, InputError) as error:
        raise ReleaseError(f"{folder} cannot be replayed: {error}") from error
    made, made_on = _made_on(folder, index)
    basis = Basis(
        folder=folder,
        index=index,
        commitment=commitment,
        commitment_path=path,
        lines=lines,
        tokens=of_phases,
        training=training,
        parameters=parameters_named(commitment),
        beside=_beside(folder, base),
        checkpoints=_checkpoints(folder, len(lines)),
        made_on=made_on,
        last_step=_last_step(made, training.plan, parameters_named(commitment), folder),
    )
    return basis, _problems(basis, dict(zip(shards, roots, strict=True)))


def _problems(basis: Basis, roots: Mapping[Path, str]) -> list[str]:
    commitment, found = basis.commitment, []
    for number, (folder, data) in enumerate(zip(basis.tokens, commitment.data, strict=True), 1):
        if roots[folder] != data.tokens.root:
            tokens, _ = trees(folder, TokenStream.open(folder).index)
            committed = {file.path: file for file in data.tokens.files}
            other = [file.path for file in tokens.files if committed.get(file.path) != file]
            found.append(
                f"token shards: {', '.join(other[:4]) or 'their list'} not those that the training committed to"
            )
        if shuffle_seed(data.tokens.root, basis.parameters.seed, number) != data.shuffle_seed:
            found.append("commitment: its shuffle seed does not follow from its tokens and `seed`")
    broken = break_in_chain(commitment.digest, basis.lines)
    if broken:
        found.append(f"log: {broken}")
    found += _base_problems(basis)
    steps = basis.last_step
    if len(basis.lines) != steps:
        found.append(f"log: it has {len(basis.lines):,} steps, and the parameters ask for {steps:,}")
    return found


def _base_problems(basis: Basis) -> list[str]:
    """Whether the base that is given is the one that the training committed to, by the hash of its weights."""
    base, digest = basis.beside.base, basis.commitment.base
    if base is None or digest is None:
        return []
    for path in sorted((basis.folder / MANIFESTS).glob("*.json")):
        manifest = Manifest.model_validate_json(path.read_bytes())
        if manifest.digest == digest:
            stated = {entry.path: entry.sha256 for entry in manifest.files}
            weights = base / WEIGHTS
            if weights.is_file() and stated.get(WEIGHTS) == digest_file(weights):
                return []
            return [f"base: {weights} is not what the training committed to go on from"]
    return ["base: no manifest here is of the model that the training committed to go on from"]


def _beside(folder: Path, base: Path | None) -> Beside:
    """What the training needs beside its tokens: the base that is given, or that the release holds."""
    below = folder / BASE
    found = base or (below if (below / WEIGHTS).is_file() else None)
    return Beside(base=found, reference=folder / TRAINING / REFERENCE)


def _index(folder: Path) -> ReleaseIndex:
    try:
        return ReleaseIndex.model_validate_json((folder / INDEX).read_bytes())
    except FileNotFoundError as error:
        raise ReleaseError(
            f"{folder} is no release: it has no {INDEX}", hint="A release is what release.bundle makes."
        ) from error
    except (OSError, ValidationError) as error:
        raise ReleaseError(f"{folder / INDEX} cannot be understood") from error


def _tokens(folder: Path, index: ReleaseIndex, given: Sequence[Path]) -> list[Path]:
    """The token shards of each mix."""
    here = [folder / tokens_folder(number) for number in range(max(1, len(all_tokens(index))))]
    shards = list(given) or here
    for place in shards:
        if not place.is_dir():
            raise ReleaseError(
                f"there are no token shards at {place}",
                hint="Make them: fonderie run recipe.toml --until the call of tokens.pack. Then give --tokens DIR, "
                "once for each mix.",
            )
    return [TokenStream.open(place).folder for place in shards]


def _root(folder: Path) -> str:
    tokens, _ = trees(folder, TokenStream.open(folder).index)
    return tokens.root


def _checkpoints(folder: Path, steps: int) -> dict[int, Path]:
    from fonderie.train.record import checkpoint

    published = [path for path in checkpoint.all_of(folder / CHECKPOINTS) if path.is_dir()]
    found = {int(path.name.removeprefix("step-")): path for path in published}
    return {step: path for step, path in found.items() if step <= steps}


def _made_on(folder: Path, index: ReleaseIndex) -> tuple[Manifest | None, dict[str, Any]]:
    """The manifest of the weights, and on what their training ran."""
    try:
        made = _manifest(folder, index.model.key)
        training = made
        if made.step == CHECKPOINT_STEP:
            training = _manifest(folder, made.inputs["model"][0].key)
    except (OSError, ValueError, LookupError):
        return None, {}
    return made, {**training.environment, **{name: training.measured.get(name) for name in ("threads", "device")}}


def _manifest(folder: Path, key: str) -> Manifest:
    return Manifest.model_validate(json.loads((folder / manifest_name(key)).read_bytes()))


def _last_step(made: Manifest | None, plan: Plan, parameters: Settings, folder: Path) -> int:
    """The step after which the weights were taken: the last, that of a checkpoint, or where it was ended early."""
    at = plan.named(str(made.parameters.get("at"))) if made is not None and made.step == CHECKPOINT_STEP else None
    if at is not None:
        return at
    rule = parameters.early_stopping if isinstance(parameters, ContinueParameters) else None
    if rule is None:
        return plan.steps
    return ended_after(read_measurements((folder / TRAINING / VALIDATION).read_bytes()), rule, plan.steps)
