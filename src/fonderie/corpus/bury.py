"""Tombstones for documents: which of their grams are their own, told by a walk over the corpus they come from.

Set phrases, legal notices and menus say nothing of a document: a gram that other documents hold as well enters no
sketch. Documents that hold most of the erased one are its copies, and do not count as others.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fonderie.core.document import read_record_batches
from fonderie.core.machine import Machine
from fonderie.corpus.folding import folded_words
from fonderie.corpus.sketch import BITS, GRAM, U64, Hasher, grams, runs, whole
from fonderie.corpus.tombstones import Match, Tombstone, TombstoneList, Tombstones

# All by the experiment of docs/log/0004-tombstones.md.
RARE_IN_OTHERS = 1
"""Other documents that may hold a gram of a sketch: a changed copy that is already there must not empty it."""
COPY_SHARE = 0.6
"""A document that holds this share of the erased one's grams is a copy: about an eighth of the words differ."""
SKETCH_WORDS = 40
"""Shorter texts share too much with others of their kind: they are known by all their words or not at all."""
SKETCH_LEAST, SKETCH_SHORT, SKETCH_LONG, SKETCH_SHARE = 16, 64, 1_024, 8
"""Grams in a sketch: an eighth of the text's, 64 at least if it has them, at most 1,024; below 16 there is none."""

Shards = Mapping[str, Sequence[Path]]
"""Document shards by the artifact they are part of."""


class Text(NamedTuple):
    """A document as fingerprints need it."""

    id: str
    text: str


class Place(NamedTuple):
    """A document as a person needs it."""

    id: str
    source: str
    origin: str


@dataclass(frozen=True)
class Buried:
    """The tombstones of a list of documents, and what was noticed on the way."""

    stones: tuple[Tombstone, ...]
    common: Mapping[str, npt.NDArray[np.bool_]] = field(repr=False)
    """By document id: whether each run of four words, in order, is a phrase that other documents hold too."""


def bury(texts: Sequence[Text], shards: Shards, hasher: Hasher, machine: Machine) -> Buried:
    """A tombstone per document, its sketch made of grams that are rare in the shards."""
    if not texts:
        return Buried((), {})
    every = [hasher.words(folded_words(text.text)) for text in texts]
    values = [grams(hashes) for hashes in every]
    index = _index(values, hasher.salt)
    counts = _count(index, shards, machine)
    stones, common = [], {}
    for text, hashes, own, others in zip(texts, every, values, counts, strict=True):
        rare = own[others <= RARE_IN_OTHERS]
        enough = len(hashes) >= SKETCH_WORDS and len(rare) >= SKETCH_LEAST
        size = min(SKETCH_LONG, max(SKETCH_SHORT, len(own) // SKETCH_SHARE)) if enough else 0
        stones.append(
            Tombstone(
                id=hasher.name(text.id),
                words=len(hashes),
                whole=whole(hashes),
                grams=len(own),
                sketch=tuple(rare[:size].tolist()),
            )
        )
        common[text.id] = np.isin(runs(hashes, GRAM) >> np.uint64(64 - BITS), own[others > RARE_IN_OTHERS])
    return Buried(tuple(stones), common)


@dataclass(frozen=True)
class _Index:
    """The grams of all documents to bury, sorted, each with the document it is of."""

    values: U64
    owners: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    salt: bytes


def _index(values: Sequence[U64], salt: bytes) -> _Index:
    sizes = np.array([len(own) for own in values], dtype=np.int64)
    everything = np.concatenate([*values, np.empty(0, dtype=np.uint64)])
    owners = np.repeat(np.arange(len(values)), sizes)
    order = np.argsort(everything, kind="stable")
    return _Index(everything[order], owners[order], sizes, salt)


def _count(index: _Index, shards: Shards, machine: Machine) -> list[npt.NDArray[np.int64]]:
    """For each document, how many others hold each of its grams: the largest number in any one artifact.

    Artifacts are not added up: two of them are often two readings of one source.
    """
    jobs = [(artifact, path) for artifact, paths in shards.items() for path in paths]
    most = np.zeros(len(index.values), dtype=np.int64)
    here, counted = "", most
    for (artifact, _), found in zip(
        jobs, machine.map(functools.partial(_count_shard, index=index), jobs, label="telling apart"), strict=True
    ):
        counted = counted + found if artifact == here else found
        here, most = artifact, np.maximum(most, counted)
    # Stable sorts keep each document's grams in their own order.
    order = np.argsort(index.owners, kind="stable")
    return np.split(most[order], np.cumsum(index.sizes)[:-1])


def _count_shard(job: tuple[str, Path], *, index: _Index) -> npt.NDArray[np.int64]:
    hasher = _hasher(index.salt)
    counts = np.zeros(len(index.values), dtype=np.int64)
    for row in rows(job[1], ("id", "text")):
        own = grams(hasher.words(folded_words(row["text"])))
        first, last = (np.searchsorted(index.values, own, side) for side in ("left", "right"))
        spans = [np.arange(a, b) for a, b in zip(first.tolist(), last.tolist(), strict=True) if b > a]
        if not spans:
            continue
        entries = np.concatenate(spans)
        owners = index.owners[entries]
        # The document itself is a copy of itself. Others to bury count as others: what two share is neither's own.
        held, hits = np.unique(owners, return_counts=True)
        copies = held[hits >= COPY_SHARE * index.sizes[held]]
        counts[entries[~np.isin(owners, copies)]] += 1
    return counts


def forecast(
    lists: Sequence[TombstoneList], ids: frozenset[str], shards: Shards, machine: Machine
) -> list[tuple[Place, Match]]:
    """The documents, other than those of `ids`, that the lists would keep out of the next build, each once."""
    work = functools.partial(_forecast_shard, lists=tuple(lists), ids=ids)
    paths = [path for group in shards.values() for path in group]
    found: dict[str, tuple[Place, Match]] = {}
    for shard in machine.map(work, paths, label="looking for copies"):
        for place, match in shard:
            found.setdefault(place.id, (place, match))
    return list(found.values())


def _forecast_shard(
    path: Path, *, lists: tuple[TombstoneList, ...], ids: frozenset[str]
) -> list[tuple[Place, Match]]:
    tombstones = Tombstones(lists)
    return [
        (Place(row["id"], row["source"], row["origin"]), match)
        for row in rows(path, ("id", "text", "source", "origin"))
        if row["id"] not in ids and (match := tombstones.match_text(row["id"], row["text"]))
    ]


def rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Some columns of a document shard, a few hundred rows at a time in memory."""
    for batch in read_record_batches(path, columns, batch_rows=256):
        yield from batch.to_pylist(maps_as_pydicts="strict")


@functools.lru_cache(maxsize=4)
def _hasher(salt: bytes) -> Hasher:
    return Hasher(salt)
