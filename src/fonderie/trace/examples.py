"""Examples of what a step did: documents it dropped or edited, drawn from its ledger by hash, with their texts.

Ledgers and shards are streamed: memory is that of the examples and of one row group, whatever the corpus. Which
rows are drawn follows from the rows alone, never from their order, so that two makings show the same, and a corpus
that grows shows mostly the same.
"""

import heapq
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from fonderie.core.document import open_shard, shard_paths
from fonderie.core.errors import UsageError
from fonderie.core.ledger import FOLDER as LEDGER
from fonderie.core.ledger import NO_REASON, Entry
from fonderie.core.step import Artifact
from fonderie.trace.changes import Piece, changes, shown

EXCERPT = 400
"""Characters of a text that are shown."""
MARGIN = 200
"""Characters read beyond those, for what would be masked not to be cut in two first."""
READ_AT_ONCE = 32
"""Edited documents whose whole texts are in memory together; a novel has a megabyte."""
ROWS = 10_000

REDACTION = "corpus.redact"
_WORD = re.compile(r"\w")

Mask = Callable[[str], str]
"""What hides personal data in a text before it is shown; it is given whole texts, as half a number is none."""
Changed = Literal["dropped", "edited"]


@dataclass(frozen=True)
class Example:
    """One document, what a step did to it, and what it says."""

    call: str
    step: str
    fate: Changed
    reason: str
    detail: str | None
    source: str
    origin: str
    id: str
    id_after: str | None
    size_bytes: int
    licence: str | None
    language: str | None
    excerpt: str | None
    """The beginning of the text; None if no artifact holds it, as of what was dropped while it was read."""
    changes: tuple[Piece, ...] = ()
    """The first changes of an edited text, with a little of what stands around them."""


class Wanted(NamedTuple):
    """Which rows of a ledger."""

    fate: Changed
    number: int
    reason: str | None = None
    source: str | None = None


class Name(NamedTuple):
    """What tells a document from its copies."""

    id: str
    source: str
    origin: str


class Found(NamedTuple):
    """A document's text and what a reader wants to know beside it."""

    text: str
    licence: str
    language: str | None


def document_calls(artifacts: Mapping[str, Artifact]) -> dict[str, Artifact]:
    """The calls that keep a ledger, in the order of the run."""
    return {call: artifact for call, artifact in artifacts.items() if (artifact.path / LEDGER).is_dir()}


def find_call(artifacts: Mapping[str, Artifact], call: str) -> Artifact:
    """The artifact of a call that has a ledger; UsageError names those there are."""
    calls = document_calls(artifacts)
    if call not in calls:
        what = "has no ledger: it makes no documents" if call in artifacts else "is not a call of this run"
        raise UsageError(f"--step: '{call}' {what}", hint=f"Calls with a ledger: {', '.join(calls) or 'none'}.")
    return calls[call]


def as_it_is(text: str) -> str:
    """The mask that hides nothing."""
    return text


def examples(call: str, artifact: Artifact, wanted: Wanted, mask: Mask = as_it_is) -> list[Example]:
    """Documents of a call, spread over the reasons."""
    entries = draw(artifact, wanted)
    found: list[Example] = []
    for first in range(0, len(entries), READ_AT_ONCE):
        found += _with_texts(call, artifact, entries[first : first + READ_AT_ONCE], mask)
    return found


def draw(artifact: Artifact, wanted: Wanted) -> list[Entry]:
    """Rows of a ledger: those of least hash of each reason, the reasons in turn, the most frequent first."""
    heaps: dict[str, list[tuple[int, Entry]]] = {}
    counts: Counter[str] = Counter()
    for batch in ledger_batches(artifact, _selection(wanted)):
        for entry in (Entry(**row) for row in batch.to_pylist()):
            reason = entry.reason or NO_REASON
            counts[reason] += 1
            heap = heaps.setdefault(reason, [])
            # Negated: heapq keeps its least value at hand, and the greatest hash is the one to go.
            item = (-lot(entry.source, entry.origin, entry.id), entry)
            if len(heap) < wanted.number:
                heapq.heappush(heap, item)
            elif item > heap[0]:
                heapq.heapreplace(heap, item)
    drawn = {reason: sorted(heap, reverse=True) for reason, heap in heaps.items()}
    order = sorted(drawn, key=lambda reason: (-counts[reason], reason))
    turns = [
        drawn[reason][turn][1]
        for turn in range(max(map(len, drawn.values()), default=0))
        for reason in order
        if turn < len(drawn[reason])
    ]
    return turns[: wanted.number]


def lot(*parts: str) -> int:
    """A number drawn for these strings: always the same, and no other strings' concern."""
    import xxhash

    return int(xxhash.xxh3_64_intdigest("\0".join(parts).encode("utf-8")))


def reasons_of(artifact: Artifact, wanted: Wanted) -> dict[str, int]:
    """How many documents each reason took, by the step's own count, of the sources and reasons that are wanted."""
    sources: dict[str, Any] = artifact.manifest.statistics.get("sources", {})
    total: Counter[str] = Counter()
    for name, counts in sources.items():
        if wanted.source in (None, name):
            total.update(counts.get(wanted.fate, {}))
    return {reason: count for reason, count in sorted(total.items()) if wanted.reason in (None, reason)}


def _selection(wanted: Wanted) -> pc.Expression:
    chosen = pc.field("fate") == wanted.fate
    if wanted.source is not None:
        chosen &= pc.field("source") == wanted.source
    if wanted.reason == NO_REASON:
        chosen &= pc.field("reason").is_null()
    elif wanted.reason is not None:
        chosen &= pc.field("reason") == wanted.reason
    return chosen


def ledger_batches(artifact: Artifact, selection: pc.Expression) -> Iterator[pa.Table]:
    """The rows of a ledger that satisfy an expression, in order, a bounded number at a time."""
    paths = (artifact.path / LEDGER).glob("*.parquet")
    for path in sorted(paths, key=lambda path: (len(path.name), path.name)):
        with open_shard(path) as file:
            for batch in file.iter_batches(batch_size=ROWS):
                table = pa.Table.from_batches([batch])
                # As plain strings: expressions do not compare dictionaries with strings on every version.
                place = table.schema.get_field_index("fate")
                table = table.set_column(place, "fate", table["fate"].cast(pa.string())).filter(selection)
                if len(table):
                    yield table


def _with_texts(call: str, artifact: Artifact, entries: Sequence[Entry], mask: Mask) -> list[Example]:
    names = [Name(entry.id, entry.source, entry.origin) for entry in entries]
    edited = {
        name: Name(entry.id_after, entry.source, entry.origin)
        for name, entry in zip(names, entries, strict=True)
        if entry.fate == "edited" and entry.id_after is not None
    }
    longest = None if edited else EXCERPT + MARGIN
    before = find_texts(sources_of(artifact), names, longest)
    after = find_texts([artifact], edited.values(), None)
    made = []
    for name, entry in zip(names, entries, strict=True):
        old, new = before.get(name), after.get(edited.get(name, name))
        made.append(
            Example(
                call=call,
                step=artifact.manifest.step,
                fate="edited" if entry.fate == "edited" else "dropped",
                reason=entry.reason or NO_REASON,
                detail=mask(entry.detail) if entry.detail else None,
                source=entry.source,
                origin=mask(entry.origin),
                id=entry.id,
                id_after=entry.id_after,
                size_bytes=entry.size_bytes,
                licence=old.licence if old else None,
                language=old.language if old else None,
                excerpt=excerpt(mask(old.text[: EXCERPT + MARGIN])) if old else None,
                changes=shown(_masked(old.text, new.text, mask, artifact.manifest.step)) if old and new else (),
            )
        )
    return made


def _masked(old: str, new: str, mask: Mask, step: str) -> Iterator[Piece]:
    """The changes, masked: what a redaction took away keeps its shape and no letter, the rest meets the mask."""
    hides = mask is not as_it_is and step == REDACTION
    for piece in changes(old, new):
        hidden = hides and piece.kind == "removed"
        yield Piece(piece.kind, _WORD.sub("•", piece.text) if hidden else mask(piece.text))


def sources_of(artifact: Artifact) -> tuple[Artifact, ...]:
    """The artifacts whose documents a step was given to decide on."""
    return artifact.upstream.get("documents", ())


def excerpt(text: str) -> str:
    """The beginning of a text on one line."""
    return " ".join(text[:EXCERPT].split()) + ("…" if len(text) > EXCERPT else "")


def edit_shown(artifact: Artifact, before: Name, id_after: str) -> tuple[Piece, ...]:
    """The first changes of one document that a step edited; none if a text is not in the store."""
    after = before._replace(id=id_after)
    old = find_texts(sources_of(artifact), [before], None).get(before)
    new = find_texts([artifact], [after], None).get(after)
    return shown(changes(old.text, new.text)) if old and new else ()


def find_texts(artifacts: Iterable[Artifact], names: Iterable[Name], longest: int | None) -> dict[Name, Found]:
    """The documents of these names that the artifacts hold; their texts end soon after `longest` characters."""
    missing = set(names)
    found: dict[Name, Found] = {}
    for artifact in artifacts:
        for path in shard_paths(artifact.path):
            if not missing:
                return found
            for name, document in _texts_in(path, missing, longest):
                found[name] = document
                missing.discard(name)
    return found


def _texts_in(path: Path, names: set[Name], longest: int | None) -> Iterator[tuple[Name, Found]]:
    """Ids are read first: most row groups hold none of the wanted, and are passed over without their texts."""
    ids = pa.array(sorted({name.id for name in names}), pa.string())
    with open_shard(path) as file:
        for group in range(file.num_row_groups):
            here = pc.is_in(file.read_row_group(group, columns=["id"])["id"], ids)
            if not pc.any(here).as_py():
                continue
            columns = ["id", "source", "origin", "licence", "language", "text"]
            table = file.read_row_group(group, columns=columns).filter(here)
            for row in table.to_pylist():
                name = Name(row["id"], row["source"], row["origin"])
                if name in names:
                    # One character more, so that an excerpt knows that the text goes on.
                    text = row["text"] if longest is None else row["text"][: longest + 1]
                    yield name, Found(text, row["licence"], row["language"])
