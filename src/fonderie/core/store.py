"""The store: a folder of artifacts, each committed whole or not at all.

    artifacts/<two digits>/<key>/manifest.json    the request, the bytes' hashes, the circumstances
    artifacts/<two digits>/<key>/files/…          the bytes
    artifacts/<two digits>/<key>/view/…           what people watched of the making: times, event files; not hashed
    staging/<making>/{whole,state}/               what is being made; invisible to readers
    runs/<recipe>/{lock.json,events.jsonl}        what each recipe last came to, and all that happened
    releases/<recipe>                             a link to the files of the last release
    holder.json                                   who holds the store, under an advisory lock

A commit writes, syncs, and renames; a crash at any moment leaves either no artifact or a whole one. Each making has
a staging folder of its own, so that a stray worker of a killed run writes where nobody looks; the next holder
sweeps it away. Only a resumable step finds its folder again, under its key.
"""

import fcntl
import json
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fonderie.core.digest import digest_file
from fonderie.core.errors import StoreError
from fonderie.core.files import disk_full, sync_folder, sync_tree, write_atomically
from fonderie.core.manifest import InputEntry, Manifest, files_digest, list_files, manifest_key
from fonderie.core.step import Artifact, Output

_DIGITS = re.compile(r"[0-9a-f]{64}")


class Store:
    """A folder of artifacts; `root` is made if it is not there."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        with _named(f"no store can be made at {self.root}"):
            for name in ("artifacts", "staging", "runs", "releases"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
        self._loaded: dict[str, Artifact] = {}

    @contextmanager
    def hold(self, who: str, *, wait: bool, say: Callable[[str], None]) -> Iterator[None]:
        """Hold the store against other runs; wait for the present holder, or raise StoreError naming it."""
        path = self.root / "holder.json"
        with _named(f"{path} cannot be written"):
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            with _named(f"{path} cannot be locked"):
                self._lock(handle, path, wait, say)
            record = {"who": who, "process": os.getpid(), "host": socket.gethostname(), "since": now()}
            with _named(f"{path} cannot be written"):
                os.truncate(handle, 0)
                os.pwrite(handle, json.dumps(record).encode("utf-8"), 0)
            self._sweep()
            yield
            # Who waits must not read our name when it is another's turn.
            os.truncate(handle, 0)
        finally:
            os.close(handle)

    def _lock(self, handle: int, path: Path, wait: bool, say: Callable[[str], None]) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(path)
            if not wait:
                raise StoreError(
                    f"the store {self.root} is held by {holder}",
                    hint="Wait until it ends, stop it, or give this run another --store.",
                ) from None
            say(f"Waiting: the store {self.root} is held by {holder}")
            fcntl.flock(handle, fcntl.LOCK_EX)

    def _sweep(self) -> None:
        """Remove what killed runs left in staging; what a resumable step can go on from stays."""
        for folder in (self.root / "staging").iterdir():
            if not _DIGITS.fullmatch(folder.name) or self.folder(folder.name).exists():
                shutil.rmtree(folder, ignore_errors=True)

    def folder(self, key: str) -> Path:
        """Where the artifact of a key lies, or would."""
        digits = key.removeprefix("sha256:")
        return self.root / "artifacts" / digits[:2] / digits

    def get(self, key: str, upstream: Mapping[str, tuple[Artifact, ...]] | None = None) -> Artifact | None:
        """The committed artifact of a key with all its upstream, or None.

        `upstream` is what a run has found for the ports: artifacts of the digests that the manifest names, but of
        other keys after an early cut-off. The manifest is then made to name those, so that walks stay in the run.
        Looks at the sizes of its files, not at their bytes: see `altered`. StoreError names what is wrong.
        """
        if key not in self._loaded:
            folder = self.folder(key)
            if not folder.exists():
                return None
            manifest = self._checked_manifest(key, folder)
            if upstream is None:
                upstream = {
                    port: tuple(self._upstream(entry.key, folder) for entry in entries)
                    for port, entries in manifest.inputs.items()
                }
            self._loaded[key] = Artifact(folder / "files", manifest, upstream)
        if upstream is not None:
            self._loaded[key] = _linked(self._loaded[key], upstream)
        return self._loaded[key]

    def _checked_manifest(self, key: str, folder: Path) -> Manifest:
        again = f"Remove {folder} to have it made again."
        manifest = read_manifest(folder / "manifest.json")
        if manifest.key != key:
            raise StoreError(f"{folder / 'manifest.json'} is the manifest of another artifact", hint=again)
        for entry in manifest.files:
            path = folder / "files" / entry.path
            if not path.is_file() or path.stat().st_size != entry.size_bytes:
                raise StoreError(f"{path} is missing or altered since it was committed", hint=again)
        return manifest

    def _upstream(self, key: str, folder: Path) -> Artifact:
        artifact = self.get(key)
        if artifact is None:
            raise StoreError(
                f"{folder} was made from {key}, which the store no longer holds",
                hint=f"Remove {folder} to have it made again.",
            )
        return artifact

    def stage(self, key: str, *, resumable: bool) -> Output:
        """A folder to write an artifact into; empty, unless the step is resumable and was interrupted."""
        digits = key.removeprefix("sha256:")
        with _named(f"nothing can be staged in {self.root / 'staging'}"):
            if resumable:
                staging = self.root / "staging" / digits
            else:
                staging = Path(tempfile.mkdtemp(prefix=f"{digits[:12]}-", dir=self.root / "staging"))
            out = Output(staging / "whole" / "files", staging / "state", staging / "whole" / "view")
            out.path.mkdir(parents=True, exist_ok=True)
            out.state.mkdir(exist_ok=True)
        return out

    def discard(self, out: Output) -> None:
        """Throw a staging folder away."""
        shutil.rmtree(out.state.parent, ignore_errors=True)

    def commit(self, out: Output, **request: Any) -> Artifact:
        """Make a staged folder an artifact: hash, sync, rename. `request` is the rest of the manifest.

        StoreError if it holds what an artifact cannot: a link, a pipe, a name that is not UTF-8.
        """
        whole = out.path.parent
        try:
            files = list_files(out.path)
        except ValueError as error:
            raise StoreError(f"an artifact holds regular files only: {error}") from error
        manifest = Manifest(
            digest=files_digest(files),
            files=files,
            statistics=out.statistics,
            measured=out.measured,
            **request,
        )
        target = self.folder(manifest.key)
        with _named(f"{target} cannot be written"):
            _remove_empty_folders(out.path)
            (whole / "manifest.json").write_bytes(manifest_bytes(manifest))
            sync_tree(whole)
            target.parent.mkdir(parents=True, exist_ok=True)
            sync_folder(target.parent.parent)
            whole.rename(target)
            sync_folder(target.parent)
        self.discard(out)
        artifact = self.get(manifest.key)
        assert artifact is not None
        return artifact

    def artifacts(self) -> Iterator[Artifact]:
        """Every committed artifact, in the order of their keys."""
        for path in sorted((self.root / "artifacts").glob("*/*")):
            artifact = self.get("sha256:" + path.name)
            if artifact is not None:
                yield artifact

    def altered(self, artifact: Artifact) -> list[str]:
        """Hash an artifact again: the files that are missing, altered or were not there, each with its path.

        And whether the manifest's own digest and key still follow from what it lists.
        """
        listed = {entry.path: entry.sha256 for entry in artifact.manifest.files}
        present = {
            path.relative_to(artifact.path).as_posix(): path
            for path in artifact.path.rglob("*")
            if path.is_symlink() or not path.is_dir()
        }
        problems = [f"{artifact.path / name}: missing" for name in sorted(listed.keys() - present.keys())]
        problems += [
            f"{artifact.path / name}: not in the manifest" for name in sorted(present.keys() - listed.keys())
        ]
        for name in sorted(listed.keys() & present.keys()):
            try:
                if digest_file(present[name]) != listed[name]:
                    problems.append(f"{present[name]}: altered")
            except OSError as error:
                problems.append(f"{present[name]}: cannot be read: {error.strerror}")
        path = artifact.path.parent / "manifest.json"
        if files_digest(artifact.manifest.files) != artifact.digest:
            problems.append(f"{path}: its digest is not that of the files it lists")
        if manifest_key(artifact.manifest) != artifact.key:
            problems.append(f"{path}: its key is not that of the request it states")
        return problems

    def run_folder(self, recipe_name: str) -> Path:
        """Where a recipe's lock and events lie."""
        folder = self.root / "runs" / recipe_name
        with _named(f"{folder} cannot be made"):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def publish(self, recipe_name: str, artifact: Artifact) -> Path:
        """Point releases/<recipe> at an artifact's files, atomically; returns the link."""
        link = self.root / "releases" / recipe_name
        fresh = link.with_name(f".{link.name}.{os.getpid()}")
        with _named(f"{link} cannot be written"):
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(os.path.relpath(artifact.path, link.parent))
            fresh.replace(link)
        return link

    def write_lock(self, recipe_name: str, lock: dict[str, Any]) -> None:
        """Replace a recipe's lock file atomically."""
        text = json.dumps(lock, indent=1, ensure_ascii=False) + "\n"
        path = self.run_folder(recipe_name) / "lock.json"
        with _named(f"{path} cannot be written"):
            write_atomically(path, text.encode("utf-8"))

    def read_lock(self, recipe_name: str) -> dict[str, Any] | None:
        """What a recipe last came to, or None if it never ran here."""
        path = self.root / "runs" / recipe_name / "lock.json"
        if not path.exists():
            return None
        try:
            lock: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{path} is not a lock: {error}", hint="Remove it, and run the recipe again."
            ) from error
        return lock


def read_manifest(path: Path) -> Manifest:
    """Read a manifest; StoreError if it is missing or not one."""
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise StoreError(f"{path} is not a manifest: {where}: {first['msg']}") from error


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _linked(artifact: Artifact, upstream: Mapping[str, tuple[Artifact, ...]]) -> Artifact:
    """The artifact with that upstream, in its manifest too."""
    inputs = {
        port: [InputEntry(key=parent.key, digest=parent.digest) for parent in group]
        for port, group in upstream.items()
    }
    manifest = artifact.manifest
    if inputs != manifest.inputs:
        manifest = manifest.model_copy(update={"inputs": inputs})
        if manifest_key(manifest) != artifact.key:
            raise StoreError(f"{artifact.path.parent} was not made from these inputs")
        path = artifact.path.parent / "manifest.json"
        with _named(f"{path} cannot be written"):
            write_atomically(path, manifest_bytes(manifest))
    return replace(artifact, manifest=manifest, upstream=upstream)


def manifest_bytes(manifest: Manifest) -> bytes:
    """A manifest as it is written: JSON, one value a line."""
    return (manifest.model_dump_json(indent=1) + "\n").encode("utf-8")


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Say which file or folder of the store an OSError is about."""
    try:
        yield
    except OSError as error:
        hint = "The disk is full: free some space and run again." if disk_full(error) else ""
        raise StoreError(f"{what}: {error.strerror or error}", hint=hint) from error


def _remove_empty_folders(folder: Path) -> None:
    # They are no part of the digest, so no reader may come to depend on them.
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return f"process {holder['process']} on {holder['host']} since {holder['since']} ({holder['who']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
