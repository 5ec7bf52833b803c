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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load as load_safetensors
from safetensors.torch import load_file, save_file
from torch import Tensor

from fonderie.core.digest import digest_bytes, digest_file, digest_json
from fonderie.core.errors import StoreError
from fonderie.core.files import sync_folder, sync_tree
from fonderie.train.record.commitment import state_root

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
class State:
    """What state.json says, itself verified; the files are not."""

    step: int
    facts: dict[str, Any]
    files: dict[str, str]
    """The digest of each file of tensors."""
    root: str


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
        save_file({key: value.detach().cpu().contiguous() for key, value in group.items()}, file_of(fresh, name))
    paths = [file_of(fresh, name) for name in tensors]
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
    (draft.path / STATE).write_text(_text_of(state), encoding="utf-8")
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
    state = read_state(path)
    tensors = {}
    for name, digest in state.files.items():
        try:
            data = (path / name).read_bytes()
        except OSError as error:
            raise _broken(path / name, f"cannot be read: {error.strerror}") from error
        if digest_bytes(data) != digest:
            raise _broken(path / name, "is not what the checkpoint recorded")
        tensors[name.removesuffix(".safetensors")] = load_safetensors(data)
    check_root(path, state)
    return Checkpoint(state.step, state.facts, state.root, tensors)


def load_group(path: Path, name: str) -> dict[str, Tensor]:
    """Read one group of a checkpoint's tensors, verified. Raises StoreError as `load` does."""
    state, file = read_state(path), file_of(path, name)
    check_file(path, file.name, state)
    return load_file(file)


def check(path: Path) -> State:
    """Hash all files of a checkpoint. Raises StoreError naming the first that is missing or altered."""
    state = read_state(path)
    for name in state.files:
        check_file(path, name, state)
    check_root(path, state)
    return state


def set_aside(path: Path, aside: Path) -> None:
    """Put a damaged checkpoint where nobody looks for one, for as long as the training lasts."""
    aside.mkdir(parents=True, exist_ok=True)
    target = aside / f"damaged-{path.name}"
    shutil.rmtree(target, ignore_errors=True)
    path.rename(target)


def check_file(path: Path, name: str, state: State) -> None:
    """Hash one of a checkpoint's files. Raises StoreError if it is missing or altered."""
    try:
        sound = digest_file(path / name) == state.files[name]
    except OSError as error:
        raise _broken(path / name, f"cannot be read: {error.strerror}") from error
    if not sound:
        raise _broken(path / name, "is not what the checkpoint recorded")


def check_root(path: Path, state: State) -> None:
    """See that a checkpoint's root is that of its files, which have been hashed."""
    files = {name: ((path / name).stat().st_size, digest) for name, digest in state.files.items()}
    if state.root != state_root(files):
        raise _broken(path / STATE, "states a root that its files do not give")


def all_of(folder: Path) -> list[Path]:
    """The checkpoints in a folder, by step number; never by date, and without judging whether they are sound."""
    found = {path: _NAME.fullmatch(path.name) for path in folder.glob("step-*")}
    numbered = [(int(match[1]), path) for path, match in found.items() if match is not None]
    return [path for _, path in sorted(numbered)]


def latest(folder: Path) -> Path | None:
    """The checkpoint with the highest step, sound or not: loading it tells, and no older one is taken silently."""
    return next(reversed(all_of(folder)), None)


def step_of(path: Path) -> int:
    """The step of a checkpoint's folder, by its name."""
    return int(path.name.removeprefix("step-"))


def remove(path: Path, aside: Path) -> None:
    """Remove a checkpoint by way of the folder `aside`, on the same file system: none is ever there in part."""
    gone = aside / f"removed-{path.name}"
    shutil.rmtree(gone, ignore_errors=True)
    aside.mkdir(parents=True, exist_ok=True)
    path.rename(gone)
    shutil.rmtree(gone)


def prune(folder: Path, kept: Callable[[Sequence[int]], set[int]], *, aside: Path, latest: int = 0) -> None:
    """Remove the checkpoints whose steps are not `kept` among all that are there; the `latest` ones stay anyway."""
    paths = {step_of(path): path for path in all_of(folder)}
    steps = sorted(paths)
    keep = kept(steps) | set(steps[max(0, len(steps) - latest) :])
    for step, path in paths.items():
        if step not in keep:
            remove(path, aside)


def read_state(path: Path) -> State:
    """Read a checkpoint's state.json. Raises StoreError if it is not what was written."""
    try:
        data = (path / STATE).read_bytes()
        state: dict[str, Any] = json.loads(data)
        del state["digest"]
        sound = _text_of(state).encode("utf-8") == data
    except OSError as error:
        raise _broken(path / STATE, f"cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise _broken(path / STATE, "is not a checkpoint's state") from error
    if not sound:
        raise _broken(path / STATE, "is not what was written")
    if state["format"] != FORMAT:
        raise _broken(path / STATE, f"has format {state['format']}, which this version does not read")
    if path.name != folder_name(state["step"]):
        raise _broken(path / STATE, f"is of step {state['step']:,}, and its folder of another")
    return State(state["step"], state["facts"], state["files"], state["root"])


def _text_of(state: Mapping[str, Any]) -> str:
    """What state.json holds, its digest included: every byte follows from what it says."""
    return json.dumps({**state, "digest": digest_json(state)}, indent=1, sort_keys=True) + "\n"


def _broken(file: Path, what: str) -> StoreError:
    return StoreError(
        f"{file} {what}",
        hint=f"Remove {file.parent} to go on from the checkpoint before it, or from the start if there is none.",
    )


def file_of(folder: Path, name: str) -> Path:
    """Where a checkpoint has a group of tensors."""
    return folder / f"{name}.safetensors"
