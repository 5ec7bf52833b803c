"""Clusters of a deduplication, from its ledger: which document stays, which go in its favour, how alike they are.

A document that goes names the one it repeats. That one may itself have gone in favour of a third, as where it is
an exact copy of a near duplicate. Such rows lead to the document that stays in the end.
"""

import heapq
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from fonderie.core.errors import UsageError
from fonderie.core.step import Artifact
from fonderie.corpus.dedup.fates import EXACT, NEAR, SAME_URL
from fonderie.trace.examples import (
    EXCERPT,
    MARGIN,
    Mask,
    Name,
    as_it_is,
    excerpt,
    find_texts,
    ledger_batches,
    lot,
    sources_of,
)

MEMBERS_SHOWN = 8
LINKS = 3
"""An exact copy, of one with the same address, of a near duplicate: no row is further from the one that stays."""
_REPEATS = re.compile(r"^of (?P<keeper>sha256:[0-9a-f]{64})")


@dataclass(frozen=True)
class Member:
    """A document of a cluster."""

    id: str
    source: str
    origin: str
    reason: str
    """Why it went; empty for the one that stays."""
    detail: str
    excerpt: str


@dataclass(frozen=True)
class Cluster:
    """A document that stays, and those that went in its favour."""

    call: str
    keeper: Member
    gone: int
    """How many documents went."""
    members: tuple[Member, ...]
    """Some of those: near duplicates first."""


def repeated_document(detail: str | None) -> str | None:
    """The id of the document that a ledger's row says this one repeats."""
    found = _REPEATS.match(detail or "")
    return found["keeper"] if found else None


def keepers_of(artifact: Artifact, ids: Iterable[str]) -> dict[str, str]:
    """For repeated documents, the one that stays in the end."""
    stays = {name: name for name in ids}
    for _ in range(LINKS):
        above = _above(artifact, sorted(set(stays.values())))
        if not above:
            break
        stays = {name: above.get(keeper, keeper) for name, keeper in stays.items()}
    return stays


def kept_instead(artifact: Artifact, detail: str | None) -> Member | None:
    """The document that stays in the place of one that a deduplication's ledger says was a repetition."""
    repeated = repeated_document(detail)
    if repeated is None:
        return None
    stays = keepers_of(artifact, [repeated])[repeated]
    name = _names(artifact, [stays]).get(stays)
    if name is None:
        return None
    found = find_texts([artifact], [name], EXCERPT).get(name)
    return Member(*name, reason="", detail="", excerpt=excerpt(found.text) if found else "")


def clusters(call: str, artifact: Artifact, number: int, mask: Mask = as_it_is) -> list[Cluster]:
    """Some clusters of a deduplication, drawn by hash; UsageError if the call is none."""
    if artifact.manifest.step != "corpus.dedup":
        raise UsageError(
            f"--clusters: the call '{call}' is {artifact.manifest.step}, and only corpus.dedup makes clusters"
        )
    stays = keepers_of(artifact, _draw(artifact, number)).values()
    gone: dict[str, _Gone] = {document: _Gone(0, []) for document in dict.fromkeys(stays)}
    _gather(artifact, gone)
    return _with_texts(call, artifact, gone, mask)


@dataclass
class _Gone:
    count: int
    rows: list[dict[str, str]]


def _draw(artifact: Artifact, number: int) -> list[str]:
    """Repeated documents of least hash, each once."""
    drawn: list[tuple[int, str]] = []
    seen: set[str] = set()
    for batch in ledger_batches(artifact, pc.field("fate") == "dropped"):
        for name in pc.unique(_repeated(batch)).drop_null().to_pylist():
            item = (-lot(name), name)
            if name in seen or (len(drawn) == number and item < drawn[0]):
                continue
            seen.add(name)
            if len(drawn) < number:
                heapq.heappush(drawn, item)
            else:
                seen.discard(heapq.heapreplace(drawn, item)[1])
    return [name for _, name in sorted(drawn, reverse=True)]


def _repeated(batch: pa.Table) -> pa.ChunkedArray:
    return pc.struct_field(pc.extract_regex(batch["detail"], _REPEATS.pattern), "keeper")


def _above(artifact: Artifact, ids: Sequence[str]) -> dict[str, str]:
    """For documents that went themselves, other than as exact copies, the one they went for."""
    wanted = pc.field("id").isin(ids) & (pc.field("fate") == "dropped") & (pc.field("reason") != EXACT)
    return {
        row["id"]: keeper
        for batch in ledger_batches(artifact, wanted)
        for row in batch.to_pylist()
        if (keeper := repeated_document(row["detail"])) is not None
    }


def _gather(artifact: Artifact, gone: Mapping[str, _Gone]) -> None:
    """Count the rows of each cluster, level by level: what went for the keeper, then what went for those."""
    level = {name: name for name in gone}
    for _ in range(LINKS):
        following: dict[str, str] = {}
        for batch in ledger_batches(artifact, pc.field("fate") == "dropped"):
            here = pc.is_in(_repeated(batch), pa.array(list(level), pa.string()))
            for row in batch.filter(here).to_pylist():
                keeper = level[str(repeated_document(row["detail"]))]
                cluster = gone[keeper]
                cluster.count += 1
                cluster.rows.append(row)
                if len(cluster.rows) > 2 * MEMBERS_SHOWN:
                    cluster.rows = _first(cluster.rows)
                if row["reason"] != EXACT:
                    following[row["id"]] = keeper
        level = following
        if not level:
            return


def _first(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows of least hash of each kind, near duplicates first: they are the ones to look at."""
    kinds = (NEAR, SAME_URL, EXACT)
    return sorted(rows, key=lambda row: (kinds.index(row["reason"]), lot(row["source"], row["origin"], row["id"])))[
        :MEMBERS_SHOWN
    ]


def _with_texts(call: str, artifact: Artifact, gone: Mapping[str, _Gone], mask: Mask) -> list[Cluster]:
    stay = _names(artifact, gone)
    members = {keeper: _first(cluster.rows) for keeper, cluster in gone.items()}
    names = [Name(row["id"], row["source"], row["origin"]) for rows in members.values() for row in rows]
    texts = find_texts(sources_of(artifact), [*stay.values(), *names], EXCERPT + MARGIN)

    def member(name: Name, reason: str = "", detail: str = "") -> Member:
        found = texts.get(name)
        words = excerpt(mask(found.text)) if found else ""
        return Member(name.id, name.source, mask(name.origin), reason, mask(detail), words)

    return [
        Cluster(
            call,
            member(stay[keeper]),
            cluster.count,
            tuple(
                member(Name(row["id"], row["source"], row["origin"]), row["reason"], row["detail"])
                for row in members[keeper]
            ),
        )
        for keeper, cluster in gone.items()
        if keeper in stay
    ]


def _names(artifact: Artifact, ids: Iterable[str]) -> dict[str, Name]:
    wanted = pc.field("id").isin(list(ids)) & (pc.field("fate") == "kept")
    return {
        row["id"]: Name(row["id"], row["source"], row["origin"])
        for batch in ledger_batches(artifact, wanted)
        for row in batch.to_pylist()
    }
