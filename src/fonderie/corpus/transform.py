"""The one loop of the corpus steps: for each document a decision, for each decision a ledger row.

A decision function is pure and picklable; shards go through it in parallel and come out in order, one output shard
and one ledger shard per input shard, so that the bytes are the same with any number of workers.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from fonderie.core.document import Document, read_documents, shard_path, shard_paths, write_documents
from fonderie.core.ledger import Entry, Fate, ledger_path, merge, summarise, write_ledger
from fonderie.core.machine import Machine
from fonderie.core.step import Artifact, Output


class Decision(NamedTuple):
    """What becomes of one document."""

    document: Document | None
    """As it goes on, or None if it is dropped."""
    fate: Fate
    reason: str | None = None
    detail: str | None = None


def keep(document: Document) -> Decision:
    """The document goes on unchanged."""
    return Decision(document, "kept")


def drop(reason: str, detail: str | None = None) -> Decision:
    """The document ends here."""
    return Decision(None, "dropped", reason, detail)


def edit(document: Document, reason: str, detail: str | None = None) -> Decision:
    """The document goes on with another text."""
    return Decision(document, "edited", reason, detail)


Decide = Callable[[Document], Decision]


def transform(artifacts: Iterable[Artifact], out: Output, machine: Machine, decide: Decide, *, label: str) -> None:
    """Put every document of every shard through `decide`; statistics count fates and reasons per source."""
    shards = [path for artifact in artifacts for path in shard_paths(artifact.path)]
    work = partial(_transform_shard, decide=decide, out=out.path)
    summaries = list(machine.map(work, list(enumerate(shards)), label=label))
    out.statistics["sources"] = merge(summaries)


def _transform_shard(job: tuple[int, Path], *, decide: Decide, out: Path) -> dict[str, dict[str, Any]]:
    index, path = job
    return write_shard(out, index, ((document, decide(document)) for document in read_documents(path)))


def write_shard(out: Path, index: int, decisions: Iterable[tuple[Document, Decision]]) -> dict[str, dict[str, Any]]:
    """Write the documents that go on and the ledger of all; returns the ledger's summary."""
    entries: list[Entry] = []

    def going_on() -> Iterator[Document]:
        for before, decision in decisions:
            after = decision.document
            entries.append(
                Entry(
                    id=before.id,
                    id_after=after.id if after else None,
                    source=before.source,
                    origin=before.origin,
                    fate=decision.fate,
                    reason=decision.reason,
                    detail=decision.detail,
                    size_bytes=before.size_bytes,
                )
            )
            if after is not None:
                yield after

    write_documents(shard_path(out, index), going_on())
    write_ledger(ledger_path(out, index), entries)
    return summarise(entries)
