"""Which documents a request is about: a walk over every document that the store has read, and over its ledgers."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from fonderie.core.document import FOLDER as DOCUMENTS
from fonderie.core.document import shard_paths
from fonderie.core.errors import UsageError
from fonderie.core.ledger import FOLDER as LEDGER
from fonderie.core.machine import Machine
from fonderie.core.step import Artifact
from fonderie.corpus.bury import Place, Shards, Text, rows
from fonderie.corpus.folding import folded_line, folded_with_places
from fonderie.trace.erasure_request import Selection, name_orders

SURFACES = 3
"""Mentions of a name that are shown of one document."""
AROUND = 40
"""Characters of context on either side of a mention."""
BY_NAME = "name"
COLUMNS = ("id", "text", "source", "origin", "created", "metadata")


@dataclass(frozen=True)
class Found:
    """One document that a request selects, as it was read."""

    id: str
    source: str
    origin: str
    by: tuple[str, ...]
    """The kinds of selectors that found it: "id", "origin", "excerpt", "name"."""
    surfaces: tuple[str, ...] = ()
    """Mentions of a name, each with some words around it. For the screen: written nowhere."""

    @property
    def needs_confirming(self) -> bool:
        """Whether a name alone selects it: it may be about somebody else."""
        return self.by == (BY_NAME,)

    @property
    def place(self) -> Place:
        """Its id, source and origin."""
        return Place(self.id, self.source, self.origin)


def readers_of(artifacts: Iterable[Artifact]) -> list[Artifact]:
    """The artifacts that let documents in, one of each digest."""
    found = {
        artifact.digest: artifact
        for artifact in artifacts
        if not artifact.upstream and (artifact.path / DOCUMENTS).is_dir()
    }
    return list(found.values())


def shards_of(readers: Iterable[Artifact]) -> Shards:
    """Their document shards."""
    return {artifact.key: shard_paths(artifact.path) for artifact in readers}


@dataclass(frozen=True)
class _Needles:
    """A selection, folded once."""

    ids: frozenset[str]
    selection: Selection
    excerpts: tuple[str, ...]
    names: tuple[str, ...]


def search(selection: Selection, artifacts: Sequence[Artifact], machine: Machine) -> list[Found]:
    """Every document that the selection is about, once per id, in the order of the shards."""
    needles = _Needles(
        frozenset(_read_ids(artifacts, selection.ids)),
        selection,
        tuple(folded_line(excerpt) for excerpt in selection.excerpts),
        tuple(order for person in selection.persons for order in name_orders(person)),
    )
    paths = [path for group in shards_of(readers_of(artifacts)).values() for path in group]
    found: dict[str, Found] = {}
    for shard in machine.map(partial(_search_shard, needles=needles), paths, label="searching"):
        for item in shard:
            found.setdefault(item.id, item)
    return list(found.values())


def texts_of(ids: Iterable[str], shards: Shards) -> list[Text]:
    """The texts of documents, in the order of their ids."""
    wanted = sorted(set(ids))
    found: dict[str, str] = {}
    for path in [path for group in shards.values() for path in group]:
        table = ds.dataset(path, format="parquet").to_table(
            columns=["id", "text"], filter=ds.field("id").isin(pa.array(wanted, pa.string()))
        )
        found.update(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))
    return [Text(name, found[name]) for name in wanted]


def resolve(given: str, known: Iterable[str], where: str) -> str:
    """The one id that a whole id or its first digits name; UsageError if none or several do."""
    digits = given.removeprefix("sha256:")
    matching = [name for name in known if name.removeprefix("sha256:").startswith(digits)]
    if len(matching) != 1:
        what = "several of the documents found begin" if matching else "none of the documents found begins"
        raise UsageError(f"{where}: {what} with {digits}", hint="Copy the id from what --dry-run prints.")
    return matching[0]


def _search_shard(path: Path, *, needles: _Needles) -> list[Found]:
    found = []
    for row in rows(path, COLUMNS):
        by, surfaces = _selectors(row, needles)
        if by and _in_time(row["created"], needles.selection):
            found.append(Found(row["id"], row["source"], row["origin"], by, surfaces))
    return found


def _selectors(row: Mapping[str, object], needles: _Needles) -> tuple[tuple[str, ...], tuple[str, ...]]:
    by: list[str] = []
    surfaces: tuple[str, ...] = ()
    if row["id"] in needles.ids:
        by.append("id")
    metadata = row["metadata"]
    assert isinstance(metadata, dict)
    places = (str(row["origin"]), *(str(value) for value in metadata.values()))
    selection = needles.selection
    if any(place in selection.origins or place.startswith(selection.origin_prefixes) for place in places):
        by.append("origin")
    if needles.excerpts or needles.names:
        text = str(row["text"])
        line = folded_line(text)
        if any(excerpt in line for excerpt in needles.excerpts):
            by.append("excerpt")
        if any(name in line for name in needles.names):
            by.append(BY_NAME)
            surfaces = tuple(_mentions(text, needles.names))
    return tuple(by), surfaces


def _mentions(text: str, names: Sequence[str]) -> Iterator[str]:
    composed = unicodedata.normalize("NFC", text)
    line, places = folded_with_places(composed)
    at = sorted(
        (start, start + len(name) - 1)
        for name in names
        for start in range(len(line))
        if line.startswith(name, start)
    )
    for start, end in at[:SURFACES]:
        first, last = places[start + 1], places[end]
        yield " ".join(composed[max(0, first - AROUND) : last + AROUND].split())


def _in_time(created: object, selection: Selection) -> bool:
    """Whether a document may be from the selected time: a year alone may be any day of it, no date any time."""
    text = str(created or "")[:10]
    if not text[:4].isdigit() or len(text) < 4:
        return True
    earliest, latest = text + "0000-01-01"[len(text) :], text + "9999-12-31"[len(text) :]
    return (selection.created_from is None or latest >= selection.created_from.isoformat()) and (
        selection.created_until is None or earliest <= selection.created_until.isoformat()
    )


def _read_ids(artifacts: Sequence[Artifact], given: Sequence[str]) -> Iterator[str]:
    """The ids under which documents were read, for ids or beginnings of ids at any step."""
    ledgers = [one for one in artifacts if (one.path / LEDGER).is_dir()]
    for one in given:
        prefix = f"sha256:{one.removeprefix('sha256:')}"
        named: set[str] = set()
        for artifact in ledgers:
            for column in ("id", "id_after"):
                table = ds.dataset(artifact.path / LEDGER, format="parquet").to_table(
                    ["id", "id_after"], filter=pc.starts_with(ds.field(column), prefix)
                )
                named.update(table[column].to_pylist())
                for name in set(table["id"].to_pylist()):
                    yield from _back(artifact, name)
        if len(named) > 1:
            raise UsageError(f"select.ids: several documents begin with {one}", hint="Give more of its digits.")


def _back(artifact: Artifact, name: str) -> Iterator[str]:
    """The id, before any edit, of a document that reached an artifact as `name`."""
    parents = [one for group in artifact.upstream.values() for one in group if (one.path / LEDGER).is_dir()]
    if not parents:
        yield name
    for parent in parents:
        table = ds.dataset(parent.path / LEDGER, format="parquet").to_table(
            ["id"], filter=ds.field("id_after") == name
        )
        for before in set(table["id"].to_pylist()):
            yield from _back(parent, before)
