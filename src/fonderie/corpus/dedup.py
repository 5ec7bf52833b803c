"""corpus.dedup: one of each text, across all sources of the corpus.

Exact copies have the same content id. Near copies have MinHash signatures alike (fonderie.corpus.minhash); linked
documents form clusters. Of each cluster stays the document under the freest licence, then the longest, then the one
of lowest id; of identical texts, the first by source and origin. So the choice follows from the documents, never
from the order in which they came.
"""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from fonderie.core.document import Document, read_documents, shard_paths
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output, Parameters, Port, step
from fonderie.corpus.minhash import Signature, bands, signature, similarity
from fonderie.corpus.transform import Decision, drop, keep, transform
from fonderie.licences.verdict import judge

EXACT, NEAR = "exact duplicate", "near duplicate"


class DedupParameters(Parameters):
    """What counts as the same."""

    near: float | None = Field(default=None, gt=0, lt=1)
    """Also drop documents whose estimated Jaccard similarity of word 5-grams is at least this; 0.8 is usual."""


class Seen(NamedTuple):
    """What deduplication knows of a document."""

    id: str
    source: str
    origin: str
    size_bytes: int
    free: bool
    signature: Signature | None


@step(
    "corpus.dedup",
    version=1,
    parameters=DedupParameters,
    produces="documents",
    inputs={"documents": Port("documents", many=True)},
)
def dedup(inputs: Inputs, params: DedupParameters, out: Output, machine: Machine) -> None:
    """Keep one document of each cluster; the ledger names the one that stays."""
    shards = [path for artifact in inputs.all("documents") for path in shard_paths(artifact.path)]
    sign = partial(_survey, near=params.near is not None)
    seen = [item for shard in machine.map(sign, shards, label="comparing") for item in shard]
    first: dict[str, Seen] = {}
    for item in sorted(seen, key=lambda item: (item.id, not item.free, item.source, item.origin)):
        first.setdefault(item.id, item)
    kept_instead = near_duplicates(first.values(), params.near) if params.near is not None else {}
    places = {item.id: (item.source, item.origin) for item in first.values()}
    transform(
        inputs.all("documents"),
        out,
        machine,
        partial(_decide, places=places, kept_instead=kept_instead),
        label="deduplicating",
    )
    out.statistics["clusters"] = len(set(kept_instead.values()))


def _survey(path: Path, *, near: bool) -> list[Seen]:
    return [
        Seen(
            document.id,
            document.source,
            document.origin,
            len(document.text.encode("utf-8")),
            judge(document.licence).status == "free",
            signature(document.text) if near else None,
        )
        for document in read_documents(path)
    ]


def near_duplicates(documents: Iterable[Seen], threshold: float) -> dict[str, str]:
    """For each document to drop, the id of the one that stays in its place."""
    by_rank = sorted(documents, key=lambda item: (not item.free, -item.size_bytes, item.id))
    leader = list(range(len(by_rank)))

    def find(index: int) -> int:
        while leader[index] != index:
            leader[index] = leader[leader[index]]
            index = leader[index]
        return index

    buckets: dict[bytes, list[int]] = {}
    for index, item in enumerate(by_rank):
        assert item.signature is not None
        for key in bands(item.signature):
            members = buckets.setdefault(key, [])
            for other in members:
                alike = by_rank[other].signature
                assert alike is not None
                if find(other) != find(index) and similarity(item.signature, alike) >= threshold:
                    low, high = sorted((find(other), find(index)))
                    leader[high] = low
            # A bucket's documents are mostly one cluster: comparing with one of each keeps this linear.
            if all(find(other) != find(index) for other in members):
                members.append(index)
    return {by_rank[index].id: by_rank[find(index)].id for index in range(len(by_rank)) if find(index) != index}


def _decide(document: Document, *, places: dict[str, tuple[str, str]], kept_instead: dict[str, str]) -> Decision:
    if places[document.id] != (document.source, document.origin):
        return drop(EXACT, f"of {document.id} from {':'.join(places[document.id])}")
    if document.id in kept_instead:
        return drop(NEAR, f"of {kept_instead[document.id]}")
    return keep(document)
