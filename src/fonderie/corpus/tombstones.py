"""Tombstone lists: which documents may not come in again, known by salted fingerprints and never by their text.

A list is public: it travels with a data set to its next revision. Per erased document it holds the salted hash of
its id, the salted hash of its words and, if the document has enough words of its own, a sketch
(fonderie.corpus.sketch). `Tombstones.match` says whether a document is one of them: the same, the same words, a
changed copy, one inside a longer text, or a piece of one.
"""

import functools
import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fonderie.core.document import Document
from fonderie.core.errors import InputError
from fonderie.core.step import Source
from fonderie.core.tombstones import read_list
from fonderie.corpus.folding import folded_words
from fonderie.corpus.sketch import BITS, GRAM, SALT_BYTES, U64, Hasher, gram_windows, runs, whole
from fonderie.corpus.transform import Decision, drop

FORMAT = 1
METHOD = f"grams of {GRAM} folded words, blake2b and splitmix64, {BITS} bits, version 1"
ERASED = "erased"

# Both by the experiment of docs/log/0004-tombstones.md.
SCORE = 0.2
"""Share of a sketch, or of the part of it that a shorter text could hold, from which a text is a changed copy."""
HITS = 4
"""Grams that must agree, whatever the share: one or two may agree by chance."""
WINDOWS = (512, 16_384)
"""Grams of the pieces in which a longer text is compared, so that what lies inside it is not diluted, nor many
likenesses added up. Documents so long that a small piece holds few grams of a sketch are sought in large ones."""
WINDOW_HITS = 16
"""Grams of a sketch that a piece of an unchanged copy holds on average, if it is large enough."""
VERBATIM_WORDS = 8
"""A document without a sketch is still found word for word inside others if it has this many words."""

Hex = Annotated[str, Field(pattern=r"^[0-9a-f]+$")]
Gram = Annotated[int, Field(ge=0, lt=1 << BITS)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tombstone(_Record):
    """One erased document."""

    id: Hex
    """Salted hash of its id."""
    words: int = Field(ge=0)
    whole: Hex
    """Salted hash of its folded words in order."""
    grams: int = Field(ge=0)
    """How many distinct grams it has."""
    sketch: tuple[Gram, ...]
    """Some of those that are rare elsewhere; empty if it has too few of them."""


class TombstoneList(_Record):
    """What tombstones.json holds."""

    format: int = FORMAT
    reference: str
    date: str
    """Of the decision, ISO 8601."""
    method: str = METHOD
    salt: Annotated[str, Field(pattern=rf"^[0-9a-f]{{{2 * SALT_BYTES}}}$")]
    """Public, as the list must be checked by whoever builds; it keeps hashes made elsewhere from being of use."""
    documents: tuple[Tombstone, ...]
    spared: tuple[Hex, ...] = ()
    """Salted hashes of the ids of documents that stay, though they resemble an erased one."""


class Match(NamedTuple):
    """Why a document may not come in."""

    reference: str
    how: str
    measure: float

    def __str__(self) -> str:
        return f"{self.reference}: {self.how}, {self.measure:.2f}"


SAME, SAME_WORDS, HOLDS = "the same document", "the same words", "holds it word for word"
COPY, PIECE = "a changed copy, or holds one", "a piece of it, or of a changed copy"


def parse_list(data: bytes, where: str) -> TombstoneList:
    """A list from its JSON; InputError says what is wrong with it."""
    hint = "Nothing is built while an erasure cannot be read."
    try:
        read = TombstoneList.model_validate(json.loads(data))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{where} is not a list of tombstones: {place}: {first['msg']}", hint=hint) from error
    except ValueError as error:
        raise InputError(f"{where} is not a list of tombstones: {error}", hint=hint) from error
    if (read.format, read.method) != (FORMAT, METHOD):
        raise InputError(
            f"{where} was written by another version: format {read.format}, {read.method}",
            hint=f"This one reads format {FORMAT}, {METHOD}.",
        )
    return read


class _Index:
    """The sketches that are sought in pieces of one size: every gram in order, with the tombstone it is of."""

    def __init__(self, stones: Sequence[tuple[int, Tombstone]], size: int) -> None:
        mine = [(number, stone) for number, stone in stones if stone.sketch and _window(stone) == size]
        values = np.array([gram for _, stone in mine for gram in stone.sketch], dtype=np.uint64)
        owners = np.repeat([number for number, _ in mine], [len(stone.sketch) for _, stone in mine])
        order = np.argsort(values, kind="stable")
        self.values, self.owners = values[order], owners.astype(np.int64)[order]

    def owners_of(self, grams: U64) -> Any:
        """The tombstone of every entry that is among these grams."""
        first, last = (np.searchsorted(self.values, grams, side) for side in ("left", "right"))
        there = last > first
        spans = [self.owners[a:b] for a, b in zip(first[there].tolist(), last[there].tolist(), strict=True)]
        return np.concatenate(spans) if spans else self.owners[:0]


def _window(stone: Tombstone) -> int:
    small, large = WINDOWS
    return small if len(stone.sketch) * min(1.0, small / stone.grams) >= WINDOW_HITS else large


class _Salted:
    """All lists under one salt, ready to be looked up."""

    def __init__(self, lists: Sequence[TombstoneList]) -> None:
        self.hasher = Hasher(bytes.fromhex(lists[0].salt))
        self.stones = [(stone, one) for one in lists for stone in one.documents]
        self.spared = [frozenset(one.spared) for one in lists for _ in one.documents]
        self.by_id: dict[str, list[int]] = {}
        self.by_whole: dict[tuple[int, str], list[int]] = {}
        for index, (stone, _) in enumerate(self.stones):
            self.by_id.setdefault(stone.id, []).append(index)
            if stone.words:
                self.by_whole.setdefault((stone.words, stone.whole), []).append(index)
        found_verbatim = [stone for stone, _ in self.stones if not stone.sketch and stone.words >= VERBATIM_WORDS]
        self.verbatim = sorted({stone.words for stone in found_verbatim})
        self.indexes = {
            size: _Index([(i, one) for i, (one, _) in enumerate(self.stones)], size) for size in WINDOWS
        }

    def match(self, document_id: str, words: Sequence[str]) -> Match | None:
        """What bars a document; a list that spares it bars it by its id alone."""
        name = self.hasher.name(document_id)
        if name in self.by_id:
            return self._because(self.by_id[name][0], SAME)
        hashes = self.hasher.words(words)
        same = self._barring(self.by_whole.get((len(hashes), whole(hashes)), ()), name)
        if same:
            return self._because(same[0], SAME_WORDS)
        return self._verbatim(hashes, name) or self._changed(hashes, name)

    def _because(self, index: int, how: str, measure: float = 1.0) -> Match:
        return Match(self.stones[index][1].reference, how, measure)

    def _barring(self, indexes: Iterable[int], name: str) -> list[int]:
        return [index for index in indexes if name not in self.spared[index]]

    def _verbatim(self, hashes: U64, name: str) -> Match | None:
        for length in self.verbatim:
            for value in runs(hashes, length).tolist():
                held = self.by_whole.get((length, f"{value:016x}"), ())
                barring = [index for index in self._barring(held, name) if not self.stones[index][0].sketch]
                if barring:
                    return self._because(barring[0], HOLDS)
        return None

    def _changed(self, hashes: U64, name: str) -> Match | None:
        best, index, how = SCORE, -1, ""
        pieces = (
            (grams, entries)
            for size, entries in self.indexes.items()
            if len(entries.values)
            for grams in gram_windows(hashes, size)
        )
        for grams, entries in pieces:
            owners, hits = np.unique(entries.owners_of(grams), return_counts=True)
            for owner, count in zip(owners.tolist(), hits.tolist(), strict=True):
                if count < HITS or name in self.spared[owner]:
                    continue
                stone = self.stones[owner][0]
                # A text with fewer grams than the document can hold no more than its share of the sketch.
                room = min(1.0, len(grams) / stone.grams)
                score = count / (len(stone.sketch) * room)
                if score > best or (score == best and index < 0):
                    best, index, how = score, owner, COPY if room == 1 else PIECE
        return self._because(index, how, min(1.0, best)) if index >= 0 else None


class Tombstones:
    """Every list in force: says of a document whether it may come in. Lists of one salt cost one pass together."""

    def __init__(self, lists: Iterable[TombstoneList]) -> None:
        by_salt: dict[str, list[TombstoneList]] = {}
        for one in lists:
            by_salt.setdefault(one.salt, []).append(one)
        self._groups = [_Salted(group) for group in by_salt.values() if any(one.documents for one in group)]

    def __bool__(self) -> bool:
        return bool(self._groups)

    def match(self, document: Document) -> Match | None:
        """The first list that bars a document, and how it is known; None if it may come in."""
        return self.match_text(document.id, document.text)

    def match_text(self, document_id: str, text: str) -> Match | None:
        """`match`, for a text whose document id is known."""
        if not self._groups:
            return None
        words = folded_words(text)
        return next((found for group in self._groups if (found := group.match(document_id, words))), None)

    def refuse(self, document: Document) -> Decision | None:
        """The decision to drop a document that may not come in; None if it may."""
        found = self.match(document)
        return drop(ERASED, str(found)) if found else None


@functools.lru_cache(maxsize=4)
def load_tombstones(sources: tuple[Source, ...]) -> Tombstones:
    """All lists of a run, once per process; InputError names the one that cannot be read."""
    return Tombstones(parse_list(read_list(source), str(source.path)) for source in sources)
