"""The store: a folder of artifacts, each committed whole or not at all.

    artifacts/<two digits>/<key>/manifest.json    the request, the bytes' hashes, the circumstances
    artifacts/<two digits>/<key>/files/…          the bytes
    staging/<key>/{files,state}/                  what is being made; invisible to readers
    runs/<recipe>/{lock.json,events.jsonl}        what each recipe last came to, and all that happened
    releases/<recipe>                             a link to the files of the last release
    holder.json                                   who holds the store, under an advisory lock

A commit writes, syncs, and renames; a crash at any moment leaves either no artifact or a whole one.
"""

import errno
import fcntl
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fonderie.core.digest import digest_file
from fonderie.core.errors import StoreError
from fonderie.core.files import sync_folder, sync_tree, write_atomically
from fonderie.core.manifest import Manifest, files_digest, list_files
from fonderie.core.step import Artifact, Output


class Store:
    """A folder of artifacts; `root` is made if it is not there."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        try:
            for name in ("artifacts", "staging", "runs", "releases"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"no store can be made at {self.root}: {error.strerror}") from error
        self._loaded: dict[str, Artifact] = {}

    @contextmanager
    def hold(self, who: str, *, wait: bool, say: Callable[[str], None]) -> Iterator[None]:
        """Hold the store against other runs; wait for the present holder, or raise StoreError naming it."""
        path = self.root / "holder.json"
        with path.open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN):
                    raise StoreError(f"{path} cannot be locked: {error.strerror}") from error
                holder = _holder(path)
                if not wait:
                    raise StoreError(
                        f"the store {self.root} is held by {holder}",
                        hint="Wait until it ends, stop it, or give this run another --store.",
                    ) from None
                say(f"Waiting: the store {self.root} is held by {holder}")
                fcntl.flock(file, fcntl.LOCK_EX)
            holder_record = {
                "who": who,
                "process": os.getpid(),
                "host": socket.gethostname(),
                "since": now(),
            }
            file.seek(0)
            file.truncate()
            file.write(json.dumps(holder_record))
            file.flush()
            yield

    def folder(self, key: str) -> Path:
        """Where the artifact of a key lies, or would."""
        digits = key.removeprefix("sha256:")
        return self.root / "artifacts" / digits[:2] / digits

    def get(self, key: str) -> Artifact | None:
        """The committed artifact of a key with all its upstream, or None.

        Looks at the sizes of its files, not at their bytes: see `altered`. StoreError names what is wrong.
        """
        if key in self._loaded:
            return self._loaded[key]
        folder = self.folder(key)
        if not folder.exists():
            return None
        manifest = read_manifest(folder / "manifest.json")
        for entry in manifest.files:
            path = folder / "files" / entry.path
            if not path.is_file() or path.stat().st_size != entry.size_bytes:
                raise StoreError(
                    f"{path} is missing or altered since it was committed",
                    hint=f"Remove {folder} to have it made again.",
                )
        upstream = {
            port: tuple(self._upstream(entry.key, folder) for entry in entries)
            for port, entries in manifest.inputs.items()
        }
        artifact = Artifact(folder / "files", manifest, upstream)
        self._loaded[key] = artifact
        return artifact

    def _upstream(self, key: str, folder: Path) -> Artifact:
        artifact = self.get(key)
        if artifact is None:
            raise StoreError(f"{folder} was made from {key}, which the store no longer holds")
        return artifact

    def stage(self, key: str, *, resumable: bool) -> Output:
        """A folder to write an artifact into; empty, unless the step is resumable and was interrupted."""
        staging = self.root / "staging" / key.removeprefix("sha256:")
        if not resumable:
            shutil.rmtree(staging, ignore_errors=True)
        for name in ("files", "state"):
            (staging / name).mkdir(parents=True, exist_ok=True)
        return Output(staging / "files", staging / "state")

    def discard(self, out: Output) -> None:
        """Throw a staging folder away."""
        shutil.rmtree(out.path.parent, ignore_errors=True)

    def commit(self, out: Output, **request: Any) -> Artifact:
        """Make a staged folder an artifact: hash, sync, rename. `request` is the rest of the manifest."""
        staging = out.path.parent
        files = list_files(out.path)
        manifest = Manifest(
            digest=files_digest(files),
            files=files,
            statistics=out.statistics,
            measured=out.measured,
            **request,
        )
        shutil.rmtree(out.state)
        (staging / "manifest.json").write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
        sync_tree(staging)
        target = self.folder(manifest.key)
        target.parent.mkdir(parents=True, exist_ok=True)
        staging.rename(target)
        sync_folder(target.parent)
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
        """Hash an artifact again: the files that are missing, altered or were not there, each with its path."""
        listed = {entry.path: entry.sha256 for entry in artifact.manifest.files}
        present = {
            path.relative_to(artifact.path).as_posix(): path for path in artifact.path.rglob("*") if path.is_file()
        }
        problems = [f"{artifact.path / name}: missing" for name in sorted(listed.keys() - present.keys())]
        problems += [
            f"{artifact.path / name}: not in the manifest" for name in sorted(present.keys() - listed.keys())
        ]
        problems += [
            f"{present[name]}: altered"
            for name in sorted(listed.keys() & present.keys())
            if digest_file(present[name]) != listed[name]
        ]
        return problems

    def run_folder(self, recipe_name: str) -> Path:
        """Where a recipe's lock and events lie."""
        folder = self.root / "runs" / recipe_name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def publish(self, recipe_name: str, artifact: Artifact) -> Path:
        """Point releases/<recipe> at an artifact's files, atomically; returns the link."""
        link = self.root / "releases" / recipe_name
        fresh = link.with_name(f".{link.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.path.relpath(artifact.path, link.parent))
        fresh.replace(link)
        return link

    def write_lock(self, recipe_name: str, lock: dict[str, Any]) -> None:
        """Replace a recipe's lock file atomically."""
        text = json.dumps(lock, indent=1, ensure_ascii=False) + "\n"
        write_atomically(self.run_folder(recipe_name) / "lock.json", text.encode("utf-8"))

    def read_lock(self, recipe_name: str) -> dict[str, Any] | None:
        """What a recipe last came to, or None if it never ran here."""
        path = self.root / "runs" / recipe_name / "lock.json"
        if not path.exists():
            return None
        lock: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return lock


def read_manifest(path: Path) -> Manifest:
    """Read a manifest; StoreError if it is missing or not one."""
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise StoreError(f"{path} is not a manifest: {error.errors()[0]['msg']}") from error


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return f"process {holder['process']} on {holder['host']} since {holder['since']} ({holder['who']})"
    except (OSError, ValueError, KeyError):
        return "another process"
