"""Tokens, documents, sources: the links of a release that the corpus steps made."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from fonderie.core.digest import digest_file, digest_text, short
from fonderie.core.document import ROWS_PER_GROUP, SCHEMA
from fonderie.core.errors import FonderieError
from fonderie.core.manifest import FileEntry, Manifest
from fonderie.core.step import TOMBSTONES
from fonderie.release.account import counted, reads_sources, upstream
from fonderie.release.chain.links import Outcome, Walk
from fonderie.release.chain.training import LEFT_OUT
from fonderie.release.layout import DOCUMENTS, manifest_name, tokens_folder
from fonderie.tokens.pieces import UnknownStyleError
from fonderie.tokens.spelling import Spelling, has_our_borders
from fonderie.tokens.tokenizer import SETTINGS, borders_in

OUR_TOKENIZER = "tokens.bpe"
ROWS_LIMIT = 1 << 20
GROUP_LIMIT_BYTES = 1 << 30
"""Of one row group, as its own head says; ours hold 2,000 rows and some 100 MB. More is no shard but a bomb."""
_TEXTS = ["id", "text", "source", "origin", "licence"]


def check_documents(walk: Walk) -> Outcome:
    """Every token comes of a document here: ids in the same order, that hash the text, which the tokens spell."""
    if walk.index.tokens is None or not walk.index.documents:
        missing = "documents" if walk.index.tokens else "tokens"
        return Outcome(f"{missing}: {LEFT_OUT}", checked=False)
    try:
        spelling = _spelling(walk)
    except UnknownStyleError as error:
        made = walk.manifests.get(walk.index.tokenizer.key)
        if made is None or made.step == OUR_TOKENIZER:  # what it does to texts is known
            raise
        return Outcome(f"what the tokens spell cannot be told: {error.message}", checked=False)
    problems, count = [], 0
    files = [name for name in walk.folder.files if name.startswith(f"{DOCUMENTS}/")]
    # Document shards are numbered through the mixes, as they were packed.
    places = [(mix, shard) for mix, stream in enumerate(walk.streams) for shard in range(len(stream.index.shards))]
    expected = [f"{DOCUMENTS}/{number:05d}.parquet" for number in range(len(places))]
    problems += [f"{name}: no token shard was made of it" for name in sorted(set(files) - set(expected))]
    with walk.machine.bar("documents", len(places), "shards") as bar:
        for (mix, shard), name in zip(places, expected, strict=True):
            found = _unlike_shard(walk, mix, shard, name, spelling)
            problems += found.problems
            count += found.count
            bar.advance()
    return Outcome(
        f"{count:,} documents, each with the hash of its text as its id, in the order of packing; "
        "the tokens of each spell its text",
        problems,
    )


def _spelling(walk: Walk) -> Spelling:
    """What tokens spell: those of a tokenizer of ours, or by the borders that one from elsewhere states."""
    data = walk.folder.read(walk.present("tokenizer.json"))
    if has_our_borders(data):
        return Spelling.read(data)
    bos, eos = borders_in(walk.folder.read(walk.present(SETTINGS)))
    if eos is None:
        raise FonderieError(f"{SETTINGS} states no token that ends a document")
    return Spelling.read(data, borders=(bos, eos))


@dataclass(frozen=True)
class _Shard:
    count: int
    problems: list[str]


def _unlike_shard(walk: Walk, mix: int, number: int, name: str, spelling: Spelling) -> _Shard:
    stream, folder = walk.streams[mix], tokens_folder(mix)
    entry = stream.index.shards[number]
    offsets = f"{folder}/{entry.offsets_file}"
    walk.present(name)
    tokens, base = stream.arrays[number], stream.starts[number]
    _bounded(walk.path(offsets))
    extents = iter(stream.extents_of(number))
    problems: list[str] = []
    count = end = 0
    for row in rows(walk.path(name), SCHEMA.names):
        count += 1
        extent = next(extents, None)
        who = f"{name}: document {count} ({short(str(row['id']))}, {row['origin']})"
        if digest_text(row["text"]) != row["id"]:
            problems.append(f"{who}: its text is not the one that its id names")
        if extent is None or (extent.id, extent.source, extent.origin, extent.licence) != tuple(
            row[key] for key in ("id", "source", "origin", "licence")
        ):
            named = f"{short(extent.id)}, {extent.origin}, {extent.licence}" if extent else "no document"
            problems.append(f"{who}: {offsets} has {named} in its place")
            break
        if extent.start - base != end:
            problems.append(f"{offsets}: document {count} does not begin where the one before it ends")
            break
        end += extent.length
        spelt = spelling.of(tokens[extent.start - base : end].tolist())
        if spelt != spelling.document(row["text"], row["metadata"]):
            problems.append(
                f"{folder}/{entry.tokens_file}: tokens {extent.start - base:,} to {end:,} spell another text than "
                f"{who}"
            )
    if not problems and (next(extents, None) is not None or end != entry.tokens):
        problems.append(f"{folder}/{entry.tokens_file}: holds tokens of documents that are not in {name}")
    return _Shard(count, problems)


def rows(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    """The rows of a document shard from anyone, a bounded batch at a time; ValueError if it is no such shard."""
    _bounded(path)
    # Dictionaries stay dictionaries: one long text named a million times must not be written out a million times.
    with pq.ParquetFile(path, read_dictionary=_TEXTS) as file:
        if not set(columns) <= set(file.schema_arrow.names):
            raise ValueError(f"{path.name} lacks the columns of a document shard")
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(batch_size=ROWS_PER_GROUP, row_groups=[group], columns=columns):
                for index in range(batch.num_rows):
                    yield {key: _plain(batch.column(key)[index].as_py(), key) for key in columns}


def _plain(value: Any, key: str) -> Any:
    return dict(value) if key == "metadata" and value is not None else value


def _bounded(path: Path) -> None:
    head = pq.read_metadata(path)
    for group in range(head.num_row_groups):
        found = head.row_group(group)
        if found.num_rows > ROWS_LIMIT or found.total_byte_size > GROUP_LIMIT_BYTES:
            raise ValueError(f"{path.name}: row group {group} is larger than any shard's")


@dataclass(frozen=True)
class _Origin:
    """What the manifests say may enter under one source's name."""

    files: frozenset[str] | None
    """None where no file was read: the step composed the documents."""
    licences: frozenset[str]


def check_sources(walk: Walk) -> Outcome:
    """Every document is of a source, file and licence that the manifests name; the files are hashed if given."""
    readers = source_manifests(walk)
    named = {entry.path: entry for manifest in readers for entry in source_files(manifest)}
    problems = _strange_documents(walk, _origins(readers)) if walk.index.documents else []
    said = (
        f"{len(named):,} source files, named and hashed" if named else "no source file, all composed by their steps"
    )
    if walk.sources is not None:
        problems += _unlike_files(walk, readers)
        said += f", found with these hashes below {walk.sources}"
    elif named:
        said += ", not in this folder: --sources DIR hashes them"
    if not walk.index.documents:
        return Outcome(f"documents: {LEFT_OUT}; {said}", problems, checked=walk.sources is not None)
    return Outcome(f"every document is of a source, file and licence that the manifests name; {said}", problems)


def source_manifests(walk: Walk) -> list[Manifest]:
    """The makings through which the documents that were trained on entered."""
    keys = upstream([walk.index.model.key], walk.manifests)
    return [walk.manifests[key] for key in walk.manifests if key in keys and reads_sources(walk.manifests[key])]


def source_files(manifest: Manifest) -> list[FileEntry]:
    """The files that a making has read documents from; lists of what was erased are none."""
    return [entry for name, entries in manifest.sources.items() if name != TOMBSTONES for entry in entries]


def _origins(readers: list[Manifest]) -> dict[str, _Origin]:
    found: dict[str, _Origin] = {}
    for manifest in readers:
        entries = source_files(manifest)
        for source in counted(manifest):
            before = found.get(source, _Origin(frozenset(), frozenset()))
            files = frozenset(entry.path for entry in entries) if entries else None
            licences = frozenset(manifest.statistics.get("licences", {}).get(source, {}))
            both = None if files is None or before.files is None else files | before.files
            found[source] = _Origin(both, licences | before.licences)
    return found


def _strange_documents(walk: Walk, origins: Mapping[str, _Origin]) -> list[str]:
    problems = []
    for name in sorted(name for name in walk.folder.files if name.startswith(f"{DOCUMENTS}/")):
        for row in rows(walk.path(name), ["id", "source", "origin", "licence"]):
            origin = origins.get(row["source"])
            who = f"{name}: document {short(str(row['id']))} ({row['origin']})"
            if origin is None:
                problems.append(f"{who}: no manifest reads a source named {row['source']}")
            elif origin.files is not None and not _is_from(row["origin"], origin.files):
                problems.append(f"{who}: comes from no file that the source {row['source']} was read from")
            elif row["licence"] not in origin.licences:
                problems.append(f"{who}: is under {row['licence']}, which the source {row['source']} did not have")
    return problems


def _is_from(origin: str, files: frozenset[str]) -> bool:
    """Whether an origin is one of these files, or a part of one after "#"; file names may hold that sign too."""
    ends = [len(origin), *(at for at, char in enumerate(origin) if char == "#")]
    return any(origin[:end] in files for end in ends)


def _unlike_files(walk: Walk, readers: list[Manifest]) -> list[str]:
    """The source files that are nowhere below the folder that was given: looked for by size, then by hash."""
    assert walk.sources is not None
    wanted = {(entry.size_bytes, entry.sha256) for manifest in readers for entry in source_files(manifest)}
    sizes = {size for size, _ in wanted}
    here = [path for path in sorted(walk.sources.rglob("*")) if path.is_file() and path.stat().st_size in sizes]
    found = set()
    with walk.machine.bar("sources", len(here), "files") as bar:
        for path in here:
            found.add((path.stat().st_size, digest_file(path)))
            bar.advance()
    return [
        f"{entry.path}: not below {walk.sources} with the bytes that {manifest_name(manifest.key)} read"
        for manifest in readers
        for entry in source_files(manifest)
        if (entry.size_bytes, entry.sha256) not in found
    ]
