"""What is written down about an artifact: the request, the bytes, and the circumstances.

Only `files` enters the digest; only step, version, parameters, input digests and source files enter the key.
Statistics, timings, software and hardware describe one making of the artifact and identify nothing.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from fonderie.core.digest import digest_file, digest_json

FORMAT = 1


class FileEntry(BaseModel):
    """One file of an artifact, or one source file a step has read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    """Relative to the artifact's folder, with forward slashes."""
    size_bytes: int
    sha256: str
    """The file's digest."""


class InputEntry(BaseModel):
    """One upstream artifact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    """A run that finds the same bytes under another key writes that key here; the digest stays."""
    digest: str


class Manifest(BaseModel):
    """The record of one artifact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    key: str
    """Hash of the request: see `request_key`."""
    digest: str
    """Hash of the bytes obtained: see `files_digest`."""
    step: str
    version: int
    parameters: dict[str, Any]
    """Every parameter, defaults included; paths of sources are left to `sources`."""
    inputs: dict[str, list[InputEntry]]
    sources: dict[str, list[FileEntry]]
    """Files from outside the store, by the parameter that names them."""
    files: list[FileEntry]
    statistics: dict[str, Any] = {}
    """Counts that follow from the inputs: the same in every making."""
    measured: dict[str, Any] = {}
    """Durations, speeds and losses of precision of this making."""
    environment: dict[str, Any] = {}
    """Software and hardware of this making."""
    started: str = ""
    """ISO 8601, UTC."""
    duration_seconds: float = 0.0
    energy: dict[str, Any] = {}
    """Joules, the method by which they were obtained, and the country; `joules` is null where nothing measures
    them. `runs` and `seconds` stand where a making took several runs, and are of all of them, as the joules are.
    `estimate` stands apart: joules by a formula that it gives."""


def request_key(
    step: str,
    version: int,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, list[str]],
    sources: Mapping[str, list[FileEntry]],
) -> str:
    """The key of a request: hash of step, version, parameters, input digests and source files' names and bytes."""
    return digest_json(
        {
            "step": step,
            "version": version,
            "parameters": dict(parameters),
            "inputs": dict(inputs),
            "sources": {
                name: [[entry.path, entry.sha256] for entry in entries] for name, entries in sources.items()
            },
        }
    )


def manifest_key(manifest: Manifest) -> str:
    """The key that a manifest's own request gives; differs from `manifest.key` only if someone altered one."""
    inputs = {name: [entry.digest for entry in entries] for name, entries in manifest.inputs.items()}
    return request_key(manifest.step, manifest.version, manifest.parameters, inputs, manifest.sources)


def files_digest(files: Iterable[FileEntry]) -> str:
    """The digest of a folder: hash of its files' paths and digests, in path order."""
    return digest_json(sorted([entry.path, entry.sha256] for entry in files))


def describe_file(path: Path, name: str) -> FileEntry:
    """Hash a file; ValueError if its name is not UTF-8, for then no manifest can hold it."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"the file name {os.fsencode(name)!r} is not UTF-8") from None
    return FileEntry(path=name, size_bytes=path.stat().st_size, sha256=digest_file(path))


def list_files(folder: Path) -> list[FileEntry]:
    """Hash every file below a folder, in path order; empty folders do not count.

    ValueError names a link, a pipe or the like: what it stands for lies outside, and could change.
    """
    entries = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ValueError(f"{path} is not a regular file")
        if path.is_file():
            entries.append(describe_file(path, path.relative_to(folder).as_posix()))
    return entries
