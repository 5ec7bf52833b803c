"""corpus.read: files from outside to documents, through the licence gate.

Before any step of the recipe starts, the gate judges the declared licence and what each file states in its header
(TEI, Markdown front matter); rows of tables are judged as they are read.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field

from fonderie.core.document import Document
from fonderie.core.errors import LicenceError
from fonderie.core.ledger import merge
from fonderie.core.machine import Machine
from fonderie.core.step import (
    TOMBSTONES,
    CallName,
    Inputs,
    Output,
    Parameters,
    Policy,
    RecipePolicy,
    Source,
    SourceFiles,
    step,
)
from fonderie.corpus.readers.prose import read_markdown, read_text, split_front_matter
from fonderie.corpus.readers.raw import Raw, decode, open_binary
from fonderie.corpus.readers.tables import read_jsonl, read_parquet
from fonderie.corpus.readers.tei import read_tei, stated_licence
from fonderie.corpus.rights import admit, licence_of
from fonderie.corpus.tombstones import load_tombstones
from fonderie.corpus.transform import Decision, drop, keep, write_shard

GROUP_BYTES = 8 << 20
"""Files are read in groups of about this size, one shard each: enough to share out, few enough to list."""


class ReadParameters(Parameters):
    """Where the files lie, how to read them, and under which licence they are."""

    path: SourceFiles
    """A file or a glob; relative to the recipe's folder, or to yours when given by --set."""
    format: Literal["jsonl", "parquet", "text", "markdown", "tei"]
    """JSON Lines may end in .gz or .zst."""
    unit: Literal["file", "part"] = "file"
    """TEI and Markdown: one document a file, or one a chapter (TEI division, Markdown section)."""
    text_field: str = "text"
    """JSON Lines and Parquet: the field that holds the text."""
    licence: str | None = None
    """SPDX identifier of the content's licence; may be left out where the files state it."""
    collection_licence: str | None = None
    """SPDX identifier of the licence of the collection, which does not license its content."""
    language: str | None = Field(default=None, min_length=2, max_length=3)
    """ISO 639 code, where the files do not state it."""
    restricted_rows: Literal["stop", "drop"] = "stop"
    """JSON Lines and Parquet: a row under a licence that the policy refuses stops the build, or is dropped."""
    source: CallName
    """The name of this source in documents, ledger and reports."""
    policy: RecipePolicy = Policy()
    """The recipe's [policy]."""


def refuse_early(params: ReadParameters, sources: Mapping[str, tuple[Source, ...]]) -> None:
    """Judge what can be known before reading: the declared licence, each file's own header, the tombstone lists."""
    load_tombstones(sources.get(TOMBSTONES, ()))
    for source in sources["path"]:
        stated = _stated(params, source.path)
        per_row = params.format in ("jsonl", "parquet") and params.licence is None
        if not per_row:
            admit(licence_of(params.licence, stated, str(source.path)), params.policy, str(source.path))


def _stated(params: ReadParameters, path: Path) -> str | None:
    if params.format == "tei":
        return stated_licence(path)
    if params.format == "markdown":
        with open_binary(path) as file:
            front, _ = split_front_matter(decode(file.read(), path).replace("\r\n", "\n"), path)
        stated = front.get("licence", front.get("license"))
        return None if stated is None else str(stated)
    return None


Summary = dict[str, dict[str, Any]]


class _Group(NamedTuple):
    number: int
    files: tuple[Source, ...]


@step(
    "corpus.read",
    version=1,
    parameters=ReadParameters,
    produces="documents",
    preflight=refuse_early,
    obeys_tombstones=True,
)
def read(inputs: Inputs, params: ReadParameters, out: Output, machine: Machine) -> None:
    """Read every file but what was erased; statistics count documents and licences per source."""
    groups = _group(inputs.sources["path"])
    work = partial(_read_group, params=params, out=out.path, lists=inputs.tombstones)
    results = list(machine.map(work, groups, label="reading"))
    out.statistics["sources"] = merge(summary for summary, _ in results)
    licences: dict[str, int] = {}
    for _, counts in results:
        for licence, count in counts.items():
            licences[licence] = licences.get(licence, 0) + count
    out.statistics["licences"] = {params.source: dict(sorted(licences.items()))}
    out.statistics["files"] = len(inputs.sources["path"])


def _group(files: tuple[Source, ...]) -> list[_Group]:
    groups: list[list[Source]] = [[]]
    size = 0
    for file in files:
        if size >= GROUP_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(file)
        size += file.entry.size_bytes
    return [_Group(index, tuple(group)) for index, group in enumerate(groups)]


def _read_group(
    group: _Group, *, params: ReadParameters, out: Path, lists: tuple[Source, ...]
) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
    licences: dict[str, int] = {}
    tombstones = load_tombstones(lists)

    def decisions() -> Iterator[tuple[Document, Decision]]:
        for document in chain.from_iterable(_documents(source, params) for source in group.files):
            decision = tombstones.refuse(document) or _decide(document, params)
            if decision.document is not None:
                licences[document.licence] = licences.get(document.licence, 0) + 1
            yield document, decision

    return write_shard(out, group.number, decisions()), licences


def _decide(document: Document, params: ReadParameters) -> Decision:
    if not document.text.strip():
        return drop("empty text")
    if params.restricted_rows == "drop":
        try:
            admit(document.licence, params.policy, document.origin)
        except LicenceError as error:
            return drop("licence refused by the policy", str(error).partition("\n")[0])
    else:
        admit(document.licence, params.policy, document.origin)
    return keep(document)


def _documents(source: Source, params: ReadParameters) -> Iterator[Document]:
    for raw in _raw(source.path, params):
        yield Document(
            text=raw.text,
            source=params.source,
            origin=source.name + raw.fragment,
            licence=licence_of(params.licence, raw.licence, f"{source.path}{raw.fragment}"),
            collection_licence=params.collection_licence,
            language=raw.language or params.language,
            created=raw.created,
            author=raw.author,
            metadata=raw.metadata,
        )


def _raw(path: Path, params: ReadParameters) -> Iterator[Raw]:
    parts = params.unit == "part"
    match params.format:
        case "jsonl":
            return read_jsonl(path, params.text_field)
        case "parquet":
            return read_parquet(path, params.text_field)
        case "text":
            return read_text(path)
        case "markdown":
            return read_markdown(path, parts=parts)
        case "tei":
            return read_tei(path, parts=parts)
