"""Who is owed a mention: authors, origins and licences of the documents that were packed for training."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from fonderie.core.document import read_record_batches, shard_paths
from fonderie.core.machine import Machine
from fonderie.core.step import Artifact
from fonderie.release.account import packed

COLUMNS = ("source", "origin", "author", "licence", "collection_licence")


class Attribution(BaseModel):
    """One source's documents that were trained on, counted by what they say of themselves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    documents: int
    origins: int
    """Files or addresses that the documents came from, fragments not counted."""
    authors: dict[str, int]
    """Documents by author, every author named."""
    without_author: int
    licences: dict[str, int]
    collection_licences: dict[str, int]


def attributions(lineage: Iterable[Artifact], machine: Machine) -> list[Attribution]:
    """Count authors, origins and licences of every document that a tokens.pack of this lineage took."""
    documents = {
        artifact.key: artifact
        for pack in lineage
        if packed(pack.manifest)
        for artifact in pack.upstream.get("documents", ())
    }
    shards = [path for artifact in documents.values() for path in shard_paths(artifact.path)]
    found = Credits()
    with machine.bar("attributing", len(shards), "shards") as bar:
        for path in shards:
            for batch in read_record_batches(path, list(COLUMNS)):
                for row in batch.to_pylist():
                    found.add(row)
            bar.advance()
    return found.all()


class Credits:
    """Counts documents by what they say of themselves, one at a time."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, Counter[str]]] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        """One document more, by the names of COLUMNS."""
        counts = self._found.setdefault(row["source"], {name: Counter() for name in COLUMNS})
        for name in COLUMNS[2:]:
            counts[name][row[name] or ""] += 1
        counts["origin"][row["origin"].partition("#")[0]] += 1

    def all(self) -> list[Attribution]:
        """Source by source."""
        return [_attribution(source, counts) for source, counts in sorted(self._found.items())]


def _attribution(source: str, counts: dict[str, Counter[str]]) -> Attribution:
    authors = counts["author"]
    without = authors.pop("", 0)
    collections = counts["collection_licence"]
    collections.pop("", None)
    return Attribution(
        source=source,
        documents=counts["licence"].total(),
        origins=len(counts["origin"]),
        # The most frequent first, then by name: an order that follows from the documents alone.
        authors=dict(sorted(authors.items(), key=lambda item: (-item[1], item[0]))),
        without_author=without,
        licences=dict(sorted(counts["licence"].items())),
        collection_licences=dict(sorted(collections.items())),
    )
