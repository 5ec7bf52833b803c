"""Small real artifacts, made by the steps themselves."""

from collections.abc import Iterable
from pathlib import Path

from fonderie.core.digest import digest_json
from fonderie.core.document import Document, read_documents, shard_path, shard_paths, write_documents
from fonderie.core.ledger import Entry, read_ledger
from fonderie.core.machine import Machine
from fonderie.core.manifest import FileEntry, Manifest, files_digest, list_files
from fonderie.core.recipe import find_sources
from fonderie.core.step import Artifact, Inputs, Output, Parameters, Step


def artifact_of(
    path: Path, step: str = "test.made", upstream: dict[str, tuple[Artifact, ...]] | None = None
) -> Artifact:
    files: list[FileEntry] = list_files(path)
    digest = files_digest(files)
    manifest = Manifest(
        key=digest_json(str(path)),
        digest=digest,
        step=step,
        version=1,
        parameters={},
        inputs={},
        sources={},
        files=files,
    )
    return Artifact(path, manifest, upstream or {})


def documents(path: Path, shards: Iterable[Iterable[Document]]) -> Artifact:
    path.mkdir(parents=True)
    for number, shard in enumerate(shards):
        write_documents(shard_path(path, number), shard)
    return artifact_of(path)


def document(text: str, **fields: object) -> Document:
    given = {"source": "test", "origin": f"line-{abs(hash(text))}", "licence": "CC0-1.0", **fields}
    return Document(text=text, **given)  # type: ignore[arg-type]


def run_step(
    step: Step,
    params: Parameters,
    folder: Path,
    inputs: dict[str, tuple[Artifact, ...]] | None = None,
    sources: dict[str, str] | None = None,
    workers: int = 1,
) -> tuple[Artifact, Output]:
    """Run a step outside any store, its preflight included."""
    out = Output(folder / "files", folder / "state")
    out.path.mkdir(parents=True)
    out.state.mkdir()
    found = {name: find_sources(pattern, Path.cwd(), name) for name, pattern in (sources or {}).items()}
    if step.preflight is not None:
        step.preflight(params, found)
    step(Inputs(inputs or {}, found), params, out, Machine(workers=workers))
    return artifact_of(out.path, step.name, inputs), out


def texts(artifact: Artifact) -> list[str]:
    return [item.text for item in all_documents(artifact)]


def all_documents(artifact: Artifact) -> list[Document]:
    return [item for path in shard_paths(artifact.path) for item in read_documents(path)]


def ledger(artifact: Artifact) -> list[Entry]:
    return list(read_ledger(artifact.path))
