"""Checkpoints: folders that are there whole or not at all, and say so themselves.

    step-00000400/
      <name>.safetensors    tensors, as many files as are given
      state.json            step, facts, the sha256 of every file, its own content included, and the root over them

A folder is written aside, synced, and renamed into place: `write` makes the tensors' files, so that their root is
known, and `seal` the checkpoint. Nothing is ever unpickled. The root is defined in commitment.py.
"""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load as load_safetensors
from safetensors.torch import save_file
from torch import Tensor

from fonderie.core.digest import digest_bytes, digest_file, digest_json
from fonderie.core.errors import StoreError
from fonderie.core.files import sync_folder, sync_tree
from fonderie.train.commitment import state_root

STATE = "state.json"
FORMAT = 2
_NAME = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True)
class Checkpoint:
    """What one folder holds, verified."""

    step: int
    facts: dict[str, Any]
    root: str
    tensors: dict[str, dict[str, Tensor]]
    """By file name without suffix, then by tensor name."""


@dataclass(frozen=True)
class Draft:
    """A checkpoint whose tensors are written, and which nobody finds yet."""

    path: Path
    step: int
    files: dict[str, tuple[int, str]]
    """Size in bytes and digest of each file of tensors."""

    @property
    def root(self) -> str:
        """The root over the tensors."""
        return state_root(self.files)


def write(aside: Path, step: int, tensors: Mapping[str, Mapping[str, Tensor]]) -> Draft:
    """Write the tensors of a checkpoint into the folder `aside`."""
    fresh = aside / folder_name(step)
    if fresh.exists():
        shutil.rmtree(fresh)
    fresh.mkdir(parents=True)
    for name, group in tensors.items():
        # safetensors refuses tensors that share memory or have gaps; the optimizer's and model's have neither.
        save_file({key: value.detach().cpu().contiguous() for key, value in group.items()}, _file(fresh, name))
    paths = [_file(fresh, name) for name in tensors]
    return Draft(fresh, step, {path.name: (path.stat().st_size, digest_file(path)) for path in paths})


def seal(draft: Draft, folder: Path, facts: Mapping[str, Any]) -> Path:
    """Make a draft a checkpoint of `folder`, on the same file system; one of the same step is replaced.

    `facts` is anything JSON holds.
    """
    target = folder / draft.path.name
    if target.exists():
        shutil.rmtree(target)
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        "format": FORMAT,
        "step": draft.step,
        "facts": dict(facts),
        "files": {name: digest for name, (_, digest) in draft.files.items()},
        "root": draft.root,
    }
    text = json.dumps({**state, "digest": digest_json(state)}, indent=1, sort_keys=True) + "\n"
    (draft.path / STATE).write_text(text, encoding="utf-8")
    sync_tree(draft.path)
    draft.path.rename(target)
    sync_folder(folder)
    return target


def discard(draft: Draft) -> None:
    """Remove a draft that nobody will seal."""
    shutil.rmtree(draft.path)


def folder_name(step: int) -> str:
    """What the folder of a step's checkpoint is called."""
    return f"step-{step:08d}"


def load(path: Path) -> Checkpoint:
    """Read a checkpoint, every byte verified. Raises StoreError naming the file that is missing or altered."""
    state = _read_state(path)
    tensors, files = {}, {}
    for name, digest in state["files"].items():
        try:
            data = (path / name).read_bytes()
        except OSError as error:
            raise _broken(path / name, f"cannot be read: {error.strerror}") from error
        if digest_bytes(data) != digest:
            raise _broken(path / name, "is not what the checkpoint recorded")
        files[name] = (len(data), digest)
        tensors[name.removesuffix(".safetensors")] = load_safetensors(data)
    if state_root(files) != state["root"]:
        raise _broken(path / STATE, "states a root that its files do not give")
    return Checkpoint(state["step"], state["facts"], state["root"], tensors)


def all_of(folder: Path) -> list[Path]:
    """The checkpoints in a folder, by step number; never by date, and without judging whether they are sound."""
    found = {path: _NAME.fullmatch(path.name) for path in folder.glob("step-*")}
    numbered = [(int(match[1]), path) for path, match in found.items() if match is not None]
    return [path for _, path in sorted(numbered)]


def latest(folder: Path) -> Path | None:
    """The checkpoint with the highest step, sound or not: loading it tells, and no older one is taken silently."""
    return next(reversed(all_of(folder)), None)


def prune(folder: Path, keep: int) -> None:
    """Remove all but the `keep` latest."""
    for path in all_of(folder)[: -keep or None]:
        shutil.rmtree(path)


def _read_state(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads((path / STATE).read_bytes())
        digest = state.pop("digest")
        sound = digest_json(state) == digest
    except OSError as error:
        raise _broken(path / STATE, f"cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, AttributeError) as error:
        raise _broken(path / STATE, "is not a checkpoint's state") from error
    if not sound:
        raise _broken(path / STATE, "is not what was written")
    if state["format"] != FORMAT:
        raise _broken(path / STATE, f"has format {state['format']}, which this version does not read")
    return state


def _broken(file: Path, what: str) -> StoreError:
    return StoreError(
        f"{file} {what}",
        hint=f"Remove {file.parent} to go on from the checkpoint before it, or from the start if there is none.",
    )


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.safetensors"
