"""What a replay stands on, checked before anything is retrained: commitment, chain, token shards, checkpoints."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fonderie.core.errors import InputError, ReleaseError
from fonderie.core.manifest import Manifest
from fonderie.release.layout import CHECKPOINTS, INDEX, TOKENS, TRAINING, ReleaseIndex, manifest_name
from fonderie.tokens.shards import TokenStream
from fonderie.train.commitment import (
    COMMITMENT,
    LOG,
    Commitment,
    LogLine,
    break_in_chain,
    read_log,
    shuffle_seed,
    trees,
)
from fonderie.train.training import Training, read_commitment


@dataclass(frozen=True)
class Basis:
    """A release's own account of its training, consistent with itself."""

    index: ReleaseIndex
    commitment: Commitment
    commitment_path: Path
    lines: list[LogLine]
    tokens: Path
    training: Training
    checkpoints: dict[int, Path]
    """Published, by step."""
    made_on: Mapping[str, Any]
    """The environment that the manifest of the training states, and its threads and device."""

    def head_after(self, step: int) -> str:
        """The chain's value after a step; 0 is before the first."""
        return self.lines[step - 1].chain if step else self.commitment.digest

    def root_after(self, step: int) -> str | None:
        """The root that the chain holds for the checkpoint of a step, or None if it wrote none there."""
        return self.lines[step - 1].checkpoint if step else self.commitment.initial_state


def read_basis(folder: Path, tokens: Path | None) -> tuple[Basis, list[str]]:
    """What a release says of its training, and every reason not to believe it even before a replay.

    ReleaseError if a file is missing or none: then there is nothing to replay.
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
        shards = _tokens(folder, tokens)
        training = Training.committed(commitment, [shards])
    except (OSError, ValueError, InputError) as error:
        raise ReleaseError(f"{folder} cannot be replayed: {error}") from error
    basis = Basis(
        index=index,
        commitment=commitment,
        commitment_path=path,
        lines=lines,
        tokens=shards,
        training=training,
        checkpoints=_checkpoints(folder, len(lines)),
        made_on=_made_on(folder, index),
    )
    return basis, _problems(basis)


def _problems(basis: Basis) -> list[str]:
    commitment, found = basis.commitment, []
    stream = basis.training.data[0].stream
    tokens, _ = trees(stream.folder, stream.index)
    if tokens.root != commitment.tokens.root:
        committed = {file.path: file for file in commitment.tokens.files}
        other = [file.path for file in tokens.files if committed.get(file.path) != file]
        found.append(
            f"token shards: {', '.join(other[:4]) or 'their list'} not those that the training committed to"
        )
    if shuffle_seed(commitment.tokens.root, basis.training.params.seed) != commitment.shuffle_seed:
        found.append("commitment: its shuffle seed does not follow from its tokens and `seed`")
    broken = break_in_chain(commitment.digest, basis.lines)
    if broken:
        found.append(f"log: {broken}")
    steps = basis.training.plan.steps
    if len(basis.lines) != steps:
        found.append(f"log: it has {len(basis.lines):,} steps, and the parameters ask for {steps:,}")
    return found


def _index(folder: Path) -> ReleaseIndex:
    try:
        return ReleaseIndex.model_validate_json((folder / INDEX).read_bytes())
    except FileNotFoundError as error:
        raise ReleaseError(
            f"{folder} is no release: it has no {INDEX}", hint="A release is what release.bundle makes."
        ) from error
    except (OSError, ValidationError) as error:
        raise ReleaseError(f"{folder / INDEX} cannot be understood") from error


def _tokens(folder: Path, given: Path | None) -> Path:
    shards = folder / TOKENS if given is None else given
    if not shards.is_dir():
        raise ReleaseError(
            f"there are no token shards at {shards}",
            hint="Make them: fonderie run recipe.toml --until the call of tokens.pack. Then give --tokens DIR.",
        )
    return TokenStream.open(shards).folder


def _checkpoints(folder: Path, steps: int) -> dict[int, Path]:
    from fonderie.train import checkpoint

    published = [path for path in checkpoint.all_of(folder / CHECKPOINTS) if path.is_dir()]
    found = {int(path.name.removeprefix("step-")): path for path in published}
    return {step: path for step, path in found.items() if step <= steps}


def _made_on(folder: Path, index: ReleaseIndex) -> dict[str, Any]:
    try:
        manifest = Manifest.model_validate(json.loads((folder / manifest_name(index.model.key)).read_bytes()))
    except (OSError, ValueError):
        return {}
    return {**manifest.environment, **{name: manifest.measured.get(name) for name in ("threads", "device")}}
