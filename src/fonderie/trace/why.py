"""What became of a document: its fate step by step, then its tokens and the training steps that saw them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.dataset as ds

from fonderie.core.document import FOLDER as DOCUMENTS
from fonderie.core.errors import UsageError
from fonderie.core.ledger import FOLDER as LEDGER
from fonderie.core.step import Artifact
from fonderie.core.store import Store
from fonderie.trace.changes import Piece
from fonderie.trace.clusters import Member, kept_instead
from fonderie.trace.examples import Name, edit_shown

MATCHES_SHOWN = 5
EXCERPT_BEFORE, EXCERPT_LENGTH = 40, 160
_HEX = set("0123456789abcdef")


@dataclass(frozen=True)
class Fate:
    """One step's decision on the document."""

    call: str
    step: str
    fate: str
    reason: str | None
    detail: str | None
    id: str
    id_after: str | None
    instead: Member | None = None
    """The document that stays in its place, where it was a repetition; found through copies of copies."""
    changes: tuple[Piece, ...] = ()
    """Of an edit: the first of them, with a little of what stands around."""


@dataclass(frozen=True)
class Tokens:
    """Where its tokens lie, and when they were trained on."""

    call: str
    shard: str
    first: int
    """Position in the stream of all shards."""
    length: int
    seen: Mapping[str, Sequence[int]]
    """Optimizer steps whose batch held at least one of its tokens, by training call."""


@dataclass(frozen=True)
class Trail:
    """All that is known of one document."""

    id: str
    source: str
    origin: str
    excerpt: str
    fates: list[Fate] = field(default_factory=list)
    tokens: list[Tokens] = field(default_factory=list)


def artifacts_of(store: Store, recipe_name: str | None) -> dict[str, Artifact]:
    """What a recipe's last whole run came to, by call; UsageError if the store cannot say which."""
    names = sorted(path.parent.name for path in (store.root / "runs").glob("*/lock.json"))
    if recipe_name is None:
        if len(names) != 1:
            found = f"holds runs of {', '.join(names)}" if names else "holds no finished run"
            raise UsageError(
                f"the store {store.root} {found}", hint="Name one with --recipe, or run a recipe first."
            )
        recipe_name = names[0]
    lock = store.read_lock(recipe_name)
    if lock is None:
        raise UsageError(
            f"no finished run of '{recipe_name}' in {store.root}", hint=f"Known: {', '.join(names) or 'none'}."
        )
    found_artifacts = {}
    for call, made in lock["calls"].items():
        artifact = store.get(made["key"])
        if artifact is not None:
            found_artifacts[call] = artifact
    return found_artifacts


def why(artifacts: Mapping[str, Artifact], query: str, most: int = MATCHES_SHOWN) -> list[Trail]:
    """The trails of the documents that are named by an id, or the start of one, a piece of text, or their origin.

    An id needs eight hexadecimal digits or more; where no document has it, it is text, as a number may be. Text is
    looked for in documents as they were read, and origins (files, addresses) where no text holds the words: what
    was dropped while it was read has no text here. UsageError if there are no words.
    """
    if not query.strip():
        raise UsageError("why: there is nothing to look for", hint="Give an id, words of a text, or a file's name.")
    wanted = query.removeprefix("sha256:").casefold()
    readers = [artifact for artifact in artifacts.values() if _reads_sources(artifact)]
    if len(wanted) >= 8 and set(wanted) <= _HEX:
        ledgers = [artifact for artifact in artifacts.values() if (artifact.path / LEDGER).is_dir()]
        named = _trails(artifacts, (_find_id(artifact, wanted) for artifact in ledgers), "", most)
        if named or wanted != query.casefold():
            return named
    return _trails(artifacts, (_find_text(artifact, query) for artifact in readers), query, most) or _trails(
        artifacts, (_find_origin(artifact, query) for artifact in readers), "", most
    )


_Places = Iterator[tuple[str, str]]
"""Source and origin of documents."""


def _trails(artifacts: Mapping[str, Artifact], found: Iterable[_Places], words: str, most: int) -> list[Trail]:
    trails: dict[tuple[str, str], Trail] = {}
    for place in chain.from_iterable(found):
        if place not in trails:
            trails[place] = _follow(artifacts, *place, words)
            if len(trails) == most:
                break
    return list(trails.values())


def _reads_sources(artifact: Artifact) -> bool:
    return not artifact.upstream and (artifact.path / DOCUMENTS).is_dir()


def _find_id(artifact: Artifact, digits: str) -> _Places:
    """Source and origin of the documents that came or left under an id."""
    named = [pc.starts_with(ds.field(name), f"sha256:{digits}") for name in ("id", "id_after")]
    table = ds.dataset(artifact.path / LEDGER, format="parquet").to_table(
        columns=["source", "origin"], filter=named[0] | named[1]
    )
    for row in table.to_pylist():
        yield row["source"], row["origin"]


def _find_text(artifact: Artifact, query: str) -> _Places:
    return _find_words(artifact.path / DOCUMENTS, "text", query)


def _find_origin(artifact: Artifact, query: str) -> _Places:
    return _find_words(artifact.path / LEDGER, "origin", query)


def _find_words(folder: Path, column: str, query: str) -> _Places:
    scanner = ds.dataset(folder, format="parquet").scanner(
        columns=["source", "origin"], filter=pc.match_substring(ds.field(column), query, ignore_case=True)
    )
    for batch in scanner.to_batches():
        for row in batch.to_pylist():
            yield row["source"], row["origin"]


def _follow(artifacts: Mapping[str, Artifact], source: str, origin: str, query: str) -> Trail:
    """Walk the calls in running order; each that took in what an earlier one let through has a say."""
    trail = Trail("", source, origin, "")
    ids: dict[str, str] = {}  # artifact key -> the document's id as it left that artifact
    for call, artifact in artifacts.items():
        arriving = [
            ids[parent.key] for group in artifact.upstream.values() for parent in group if parent.key in ids
        ]
        if (artifact.path / LEDGER).is_dir():
            if _reads_sources(artifact) or arriving:
                _one_fate(trail, call, artifact, arriving[0] if arriving else None, ids)
        elif artifact.manifest.step in ("tokens.pack", "tokens.pairs") and arriving:
            _tokens(trail, call, artifact, arriving[0], artifacts)
        if trail.fates and not trail.id:
            excerpt = _excerpt(artifact, trail.fates[0].id, query)
            trail = replace(trail, id=trail.fates[0].id, excerpt=excerpt)
    return trail


def _excerpt(artifact: Artifact, document_id: str, query: str) -> str:
    table = ds.dataset(artifact.path / DOCUMENTS, format="parquet").to_table(
        columns=["text"], filter=ds.field("id") == document_id
    )
    if not len(table):
        return ""
    text = table["text"][0].as_py()
    at = max(text.casefold().find(query.casefold()) - EXCERPT_BEFORE, 0)
    return " ".join(text[at : at + EXCERPT_LENGTH].split())


def _one_fate(trail: Trail, call: str, artifact: Artifact, document_id: str | None, ids: dict[str, str]) -> None:
    """Add the step's row on the document; a step that reads knows it by source and origin alone."""
    wanted = (ds.field("source") == trail.source) & (ds.field("origin") == trail.origin)
    if document_id is not None:
        wanted &= ds.field("id") == document_id
    rows = ds.dataset(artifact.path / LEDGER, format="parquet").to_table(filter=wanted)
    for row in rows.to_pylist()[:1]:
        fate, after = row["fate"], row["id_after"]
        name = Name(row["id"], trail.source, trail.origin)
        trail.fates.append(
            Fate(
                call=call,
                step=artifact.manifest.step,
                fate=fate,
                reason=row["reason"],
                detail=row["detail"],
                id=row["id"],
                id_after=after,
                instead=kept_instead(artifact, row["detail"]) if fate == "dropped" else None,
                changes=edit_shown(artifact, name, after) if fate == "edited" else (),
            )
        )
        if row["id_after"] is not None:
            ids[artifact.key] = row["id_after"]


def _tokens(trail: Trail, call: str, packed: Artifact, document_id: str, artifacts: Mapping[str, Artifact]) -> None:
    from fonderie.tokens.shards import TokenStream
    from fonderie.train.seen import orders, steps_that_saw

    stream = TokenStream.open(packed.path)
    for extent in stream.extents:
        if (extent.id, extent.source, extent.origin) == (document_id, trail.source, trail.origin):
            seen = {
                name: steps_that_saw(model, packed, len(stream), extent.start, extent.start + extent.length)
                for name, model in artifacts.items()
                if any(tokens.key == packed.key for tokens, _ in orders(model))
            }
            shard = stream.index.shards[stream.shard_of(extent.start)].tokens_file
            trail.tokens.append(Tokens(call, shard, extent.start, extent.length, seen))
