"""corpus.optout: leave out what its site or page reserves from text and data mining, and what nobody knows of.

The step itself fetches nothing. `fonderie evidence fetch` asks the servers, and what they answered is a source like
any other: its bytes enter the key.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from fonderie.core.ledger import Entry, read_ledger
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output, Parameters, Port, Source, SourceFiles, step
from fonderie.corpus.batches import Fates, transform_batches
from fonderie.corpus.optout.addresses import stated_url
from fonderie.corpus.optout.evidence import Evidence, checked_folders
from fonderie.corpus.optout.judge import (
    KEPT_UNKNOWN,
    RESERVED,
    SIGNALS,
    UNKNOWN,
    Judge,
    Signal,
    Treatment,
    Treatments,
)
from fonderie.corpus.optout.robots import AGENTS
from fonderie.corpus.optout.usage import DRAFTS
from fonderie.corpus.readers.raw import need

NOT_CONCERNED = "from no web address: not concerned"


class OptOutParameters(Parameters):
    """Which reservations count, and what becomes of documents of which nobody knows."""

    evidence: SourceFiles | None = None
    """All files of a folder that `fonderie evidence fetch` wrote: "evidence/**/*". Without it, all are missing."""
    signals: tuple[Signal, ...] = SIGNALS
    """Those that are looked at: "robots.txt", "TDMRep" (file, header, meta), "Content-Usage" (header, robots.txt),
    "ai.txt", "noai" (header, meta). One that reserves the rights is enough to drop a document."""
    unreachable: Treatment = "drop"
    """What becomes of a document whose site was asked and gave no usable answer: "drop", or "keep". A server that
    answers that there is no such file reserves nothing."""
    missing: Treatment = "drop"
    """And of one whose site was never asked, or not since `since`."""
    page_missing: Treatment = "drop"
    """And of one whose own headers are not known: they come with WARC files, or with `evidence fetch --pages`."""
    since: str = Field(default="", pattern=r"^(\d{4}-\d{2}-\d{2})?$")
    """Evidence from before this day, as 2026-11-26, counts as none."""
    agents: tuple[str, ...] = AGENTS
    """The training agents that robots.txt is read for; a page that one of them may not fetch is dropped."""

    @field_validator("signals", "agents")
    @classmethod
    def _not_none(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names:
            raise ValueError("none is given: leave the step out, or leave the parameter out for all")
        return names


def refuse_early(params: OptOutParameters, sources: Mapping[str, tuple[Source, ...]]) -> None:
    """Read the index, so that damaged or incomplete evidence stops the build before it starts."""
    if "robots.txt" in params.signals or "Content-Usage" in params.signals:
        need("protego", "robots.txt")
    checked_folders(sources.get("evidence", ()))


@step(
    "corpus.optout",
    version=2,
    parameters=OptOutParameters,
    produces="documents",
    inputs={"documents": Port("documents", many=True)},
    preflight=refuse_early,
)
def optout(inputs: Inputs, params: OptOutParameters, out: Output, machine: Machine) -> None:
    """Drop what is reserved, and what is unknown where the recipe says so; the ledger names the evidence of each.

    Statistics count per source what was reserved, free, unknown, and from no web address.
    """
    folders = checked_folders(inputs.sources.get("evidence", ()))
    judge = _BatchJudge(params.model_dump_json(), folders)
    transform_batches(inputs.all("documents"), out, machine, judge, label="looking for opt-outs")
    out.statistics["opt_out"] = count_outcomes(read_ledger(out.path))
    out.statistics["evidence"] = {"records": len(Evidence(folders)), "content_usage": DRAFTS}


def count_outcomes(entries: Iterable[Entry]) -> dict[str, dict[str, int]]:
    """What became of the documents of each source, by the words of the ledger."""
    sources: dict[str, dict[str, int]] = {}
    for entry in entries:
        counts = sources.setdefault(
            entry.source, {"reserved": 0, "unknown, dropped": 0, "unknown, kept": 0, "free": 0, "not concerned": 0}
        )
        reason, detail = entry.reason or "", entry.detail or ""
        if reason.startswith(RESERVED):
            counts["reserved"] += 1
        elif reason.startswith(UNKNOWN):
            counts["unknown, dropped"] += 1
        elif detail == NOT_CONCERNED:
            counts["not concerned"] += 1
        else:
            counts["unknown, kept" if detail.endswith(KEPT_UNKNOWN) else "free"] += 1
    return dict(sorted(sources.items()))


@dataclass(frozen=True)
class _BatchJudge:
    """A judge as it travels to workers, which read the evidence once."""

    params: str
    folders: tuple[Path, ...]

    def __call__(self, batch: Any) -> list[Fates]:
        judge = _judge(self.params, self.folders)
        origins = batch.column("origin").to_pylist()
        metadata = batch.column("metadata").to_pylist(maps_as_pydicts="strict")
        return [_fate(judge, origin, told) for origin, told in zip(origins, metadata, strict=True)]


def _fate(judge: Judge, origin: str, metadata: dict[str, str]) -> Fates:
    url = stated_url(origin, metadata)
    if url is None:
        return Fates("kept", detail=NOT_CONCERNED)
    verdict = judge(url, metadata)
    return Fates("dropped" if verdict.reason else "kept", verdict.reason, verdict.detail)


@cache
def _judge(params: str, folders: tuple[Path, ...]) -> Judge:
    read = OptOutParameters.model_validate_json(params)
    treatments = Treatments(read.unreachable, read.missing, read.page_missing)
    return Judge(Evidence(folders), read.signals, read.agents, treatments, read.since)
