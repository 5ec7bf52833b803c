"""corpus.dedup_passages: cut out of documents what stands elsewhere too: paragraphs, lines or any long substring.

One copy of each passage stays: in the document that corpus.dedup would prefer (fonderie.corpus.dedup.order), the
first one there. Shards are surveyed for the passages' hashes, which are compared a range at a time over the whole
corpus; then every document loses what was found in it. The ledger says what was cut, and where it still stands.
"""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xxhash
from pydantic import Field

from fonderie.core.document import Document, read_documents, shard_paths
from fonderie.core.errors import StepError
from fonderie.core.ledger import merge
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output, Parameters, Port, Source, step
from fonderie.corpus.dedup.cuts import PASSAGE, Cut, Cuts, cut
from fonderie.corpus.dedup.order import best_first
from fonderie.corpus.dedup.runs import Runs, join_column, read_column, repeated, write_column, write_run
from fonderie.corpus.dedup.survey import Corpus, Wanted, batches, survey_shard
from fonderie.corpus.transform import Decision, keep, write_shard

Unit = Literal["paragraph", "line", "substring"]
REASONS: dict[Unit, str] = {
    "paragraph": "repeated paragraph",
    "line": "repeated line",
    "substring": "repeated passage",
}
_PATTERNS: dict[Unit, re.Pattern[bytes]] = {
    "paragraph": re.compile(rb"[^\n]+(?:\n[^\n]+)*\n*|\n+"),
    "line": re.compile(rb"[^\n]*\n|[^\n]+"),
}


class DedupPassagesParameters(Parameters):
    """What a passage is."""

    unit: Unit
    """Paragraphs are parted by blank lines; substrings may begin and end anywhere, and are cut at word borders."""
    at_least: int = Field(default=200, ge=16)
    """UTF-8 bytes that a passage must have to be cut; shorter ones are headings, formulas, names. 200 bytes are
    about the 50 tokens of Lee et al. (arXiv 2107.06499)."""


def _has_what_it_needs(params: DedupPassagesParameters, sources: Mapping[str, tuple[Source, ...]]) -> None:
    del sources
    if params.unit == "substring" and find_spec("pydivsufsort") is None:
        raise StepError(
            "unit = 'substring' needs suffix arrays, and pydivsufsort is not installed",
            hint="Install it: pip install 'fonderie[corpus]'",
        )


@step(
    "corpus.dedup_passages",
    version=1,
    parameters=DedupPassagesParameters,
    produces="documents",
    inputs={"documents": Port("documents", many=True)},
    preflight=_has_what_it_needs,
)
def dedup_passages(inputs: Inputs, params: DedupPassagesParameters, out: Output, machine: Machine) -> None:
    """Keep one copy of each passage; documents of which nothing is left are dropped, conversations stay whole."""
    shards = [path for artifact in inputs.all("documents") for path in shard_paths(artifact.path)]
    scratch = out.state / "passages"
    scratch.mkdir(parents=True, exist_ok=True)
    survey = partial(_survey, scratch=scratch, unit=params.unit, at_least=params.at_least)
    counts = list(machine.map(survey, list(enumerate(shards)), label="looking for passages"))
    corpus = Corpus.join(scratch, counts)
    _rank(corpus)
    cuts = Cuts.join(_find(corpus, params, machine))
    jobs = list(_jobs(corpus, cuts, shards))
    work = partial(_cut_shard, out=out.path, reason=REASONS[params.unit], words=params.unit == "substring")
    results = list(machine.map(work, jobs, label="cutting"))
    out.statistics["sources"] = merge(summary for summary, _ in results)
    out.statistics["cut_bytes"] = sum(size for _, size in results)
    shutil.rmtree(scratch)


def _survey(job: tuple[int, Path], *, scratch: Path, unit: Unit, at_least: int) -> int:
    """Write a shard's passages, or for substrings its anchors and texts; returns how many documents it holds."""
    shard, path = job
    count = survey_shard(job, wanted=Wanted(scratch, None, urls=False))
    if unit == "substring":
        from fonderie.corpus.dedup.substrings import survey_anchors

        survey_anchors(scratch, shard, path, at_least)
        return count
    keys: list[int] = []
    places: list[tuple[int, int, int]] = []
    row = 0
    for batch in batches(path, ("id", "text")):
        for text in batch.texts():
            for match in _PATTERNS[unit].finditer(text):
                words = b" ".join(match.group().split())
                if len(words) >= at_least:
                    keys.append(xxhash.xxh3_64_intdigest(words))
                    places.append((row, match.start(), match.end()))
            row += 1
    table = np.array(places, np.uint32).reshape(-1, 3)
    columns = dict(zip(PASSAGE, table.T, strict=True))
    write_run(scratch, "passages", shard, np.array(keys, np.uint64), **columns)
    return count


def _rank(corpus: Corpus) -> None:
    """Write each document's place in the order of preference."""
    ranks = np.empty(len(corpus), np.int64)
    ranks[best_first(corpus.column("freedoms"), corpus.column("sizes"), corpus.ids)] = np.arange(len(corpus))
    write_column(corpus.scratch, "ranks", 0, ranks)
    join_column(corpus.scratch, "ranks", 1, np.int64)


def _find(corpus: Corpus, params: DedupPassagesParameters, machine: Machine) -> list[Cuts]:
    runs = Runs(corpus.scratch, "passages", len(corpus.counts), PASSAGE)
    work: Callable[[tuple[int, int]], Cuts]
    if params.unit == "substring":
        from fonderie.corpus.dedup.substrings import repeats_in_range

        join_column(corpus.scratch, "texts", len(corpus.counts), np.uint8)
        work = partial(repeats_in_range, runs=runs, corpus=corpus, at_least=params.at_least)
    else:
        work = partial(_equal_passages, runs=runs, corpus=corpus)
    return list(machine.map(work, runs.ranges(), label="comparing", unit="ranges"))


def _equal_passages(keys: tuple[int, int], *, runs: Runs, corpus: Corpus) -> Cuts:
    """All but the preferred one of each group of equal passages with hashes in a range."""
    rows = runs.read(keys)
    groups = repeated(rows.keys)
    sizes = groups[:, 1] - groups[:, 0]
    chosen = np.repeat(groups[:, 0] - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
    documents = (rows.columns["row"] + corpus.firsts[rows.shards])[chosen]
    begins = rows.columns["begin"][chosen].astype(np.int64)
    ranks = read_column(corpus.scratch, "ranks", np.int64)[documents]
    order = np.lexsort((begins, ranks, rows.keys[chosen]))
    firsts = np.cumsum(sizes) - sizes
    keepers = np.repeat(ranks[order][firsts], sizes)
    later = np.ones(len(order), np.bool_)
    later[firsts] = False
    ends = rows.columns["end"][chosen].astype(np.int64)
    return Cuts(documents[order][later], begins[order][later], ends[order][later], keepers[later])


@dataclass(frozen=True)
class _Job:
    """One shard and what is to be cut of it."""

    shard: int
    path: Path
    rows: npt.NDArray[np.int64]
    begins: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    keepers: list[str]


def _jobs(corpus: Corpus, cuts: Cuts, shards: Sequence[Path]) -> Iterator[_Job]:
    preferred = np.argsort(read_column(corpus.scratch, "ranks", np.int64))
    for shard, path in enumerate(shards):
        first, last = np.searchsorted(cuts.documents, corpus.firsts[shard : shard + 2])
        here = slice(first, last)
        names = {keeper: corpus.name(preferred[keeper]) for keeper in np.unique(cuts.keepers[here]).tolist()}
        yield _Job(
            shard,
            path,
            cuts.documents[here] - corpus.firsts[shard],
            cuts.begins[here],
            cuts.ends[here],
            [names[keeper] for keeper in cuts.keepers[here].tolist()],
        )


def _cut_shard(job: _Job, *, out: Path, reason: str, words: bool) -> tuple[dict[str, dict[str, Any]], int]:
    """Write a shard without its repeated passages; returns its counts and how many bytes were cut."""
    removed = 0

    def decided() -> Iterator[tuple[Document, Decision]]:
        nonlocal removed
        for row, document in enumerate(read_documents(job.path)):
            first, last = np.searchsorted(job.rows, [row, row + 1])
            if first == last or document.metadata.get("form") == "conversation":
                yield document, keep(document)
                continue
            spans = [
                Cut(int(job.begins[at]), int(job.ends[at]), job.keepers[at]) for at in range(int(first), int(last))
            ]
            decision, size = cut(document, spans, reason, words=words)
            removed += size
            yield document, decision

    return write_shard(out, job.shard, decided()), removed
