"""corpus.dedup: one of each document, across all sources and snapshots of the corpus.

Exact copies have the same content id. Then, if wanted, of the documents that are left, those from the same web
address; then near copies, whose word 5-grams are alike (minhash.py), joined to clusters. One of each stays, by one
rule (order.py), and the ledger of the others names it.
"""

import shutil
from collections.abc import Iterator
from functools import partial

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from fonderie.core.document import shard_paths
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output, Parameters, Port, step
from fonderie.corpus.dedup.fates import EXACT, NEAR, SAME_URL, Fates, write_fates
from fonderie.corpus.dedup.order import best_first
from fonderie.corpus.dedup.runs import release, repeated
from fonderie.corpus.dedup.survey import Corpus, Wanted, survey_shard

__all__ = ["EXACT", "NEAR", "SAME_URL", "DedupParameters", "dedup"]

_GRAMS_AT_ONCE = 1 << 20
"""Grams compared before the pages they were read from are given back. A system maps some sixteen pages around each
one that is read: up to thirty times as much memory."""


class DedupParameters(Parameters):
    """What counts as the same."""

    near: float | None = Field(default=None, gt=0, lt=1)
    """Also drop documents whose Jaccard similarity of word 5-grams is at least this; 0.8 is usual. Buckets propose,
    an exact comparison decides."""
    urls: bool = False
    """Also keep one document per web address: that of `metadata.url`, else the origin. Addresses that differ in
    scheme, `www.`, tracking parameters or the like are the same."""
    buckets: int | None = Field(default=None, ge=1, le=256)
    """Of MinHash, with `hashes`; by default as many as find 99 % of the pairs at `near` exactly. Lucie and FineWeb
    have 14 of 8, which find 92 % at 0.8."""
    hashes: int | None = Field(default=None, ge=1, le=64)
    """In each bucket."""

    @model_validator(mode="after")
    def _fit_together(self) -> "DedupParameters":
        if (self.buckets is None) != (self.hashes is None):
            raise ValueError("buckets and hashes are given together or not at all")
        if self.buckets is not None and self.near is None:
            raise ValueError("buckets are for near copies: give `near`, the similarity from which they are dropped")
        return self


@step(
    "corpus.dedup",
    version=3,
    parameters=DedupParameters,
    produces="documents",
    inputs={"documents": Port("documents", many=True)},
)
def dedup(inputs: Inputs, params: DedupParameters, out: Output, machine: Machine) -> None:
    """Keep one document of each cluster; the ledger names the one that stays."""
    shards = [path for artifact in inputs.all("documents") for path in shard_paths(artifact.path)]
    scratch = out.state / "dedup"
    scratch.mkdir(parents=True, exist_ok=True)
    layout = _layout(params)
    survey = partial(survey_shard, wanted=Wanted(scratch, layout, params.urls))
    corpus = Corpus.join(scratch, list(machine.map(survey, list(enumerate(shards)), label="comparing")))
    fates = Fates.of(len(corpus))
    _drop_exact(corpus, fates)
    if params.urls:
        _drop_same_address(corpus, fates)
    if params.near is not None:
        _drop_near(corpus, fates, params.near)
    out.statistics["sources"] = write_fates(corpus, fates, shards, out, machine, label="deduplicating")
    out.statistics["clusters"] = fates.clusters(NEAR)
    if params.urls:
        out.statistics["addresses"] = fates.clusters(SAME_URL)
    if layout:
        out.statistics["buckets"], out.statistics["hashes"] = layout
    shutil.rmtree(scratch)


def _layout(params: DedupParameters) -> tuple[int, int] | None:
    if params.near is None:
        return None
    if params.buckets is not None and params.hashes is not None:
        return params.buckets, params.hashes
    from fonderie.corpus.dedup.minhash import layout_for

    return layout_for(params.near)


def _drop_exact(corpus: Corpus, fates: Fates) -> None:
    """Of each text the one under the freest licence stays, then the first by source and origin."""
    ids, freedoms = corpus.ids, corpus.column("freedoms")
    for rows in corpus.runs("exact"):
        documents = rows.columns["row"] + corpus.firsts[rows.shards]
        for first, last in repeated(rows.keys).tolist():
            groups: dict[bytes, list[int]] = {}
            for document in documents[first:last].tolist():
                groups.setdefault(ids[document].tobytes(), []).append(document)
            for copies in groups.values():
                if len(copies) > 1:
                    keys = {copy: (freedoms[copy], *corpus.place(copy)[:2], copy) for copy in copies}
                    keeper = min(copies, key=keys.__getitem__)
                    fates.drop([copy for copy in copies if copy != keeper], keeper, EXACT)


def _drop_same_address(corpus: Corpus, fates: Fates) -> None:
    for rows in corpus.runs("urls"):
        documents = rows.columns["row"] + corpus.firsts[rows.shards]
        for first, last in repeated(rows.keys).tolist():
            groups: dict[str | None, list[int]] = {}
            for document in documents[first:last].tolist():
                if fates.reasons[document] == 0:
                    groups.setdefault(corpus.place(document).url, []).append(document)
            for same in groups.values():
                _keep_best(corpus, fates, np.array(same, np.int64), np.zeros(len(same), np.int64), SAME_URL)


def _drop_near(corpus: Corpus, fates: Fates, near: float) -> None:
    from fonderie.corpus.dedup import links as kernels
    from fonderie.corpus.dedup.minhash import table_for

    grams, lengths = corpus.column("grams"), np.array(corpus.column("lengths"))
    starts = np.cumsum(lengths) - lengths
    table = table_for(int(lengths.max(initial=0)))
    leader = np.arange(len(corpus), dtype=np.int64)
    for rows in corpus.runs("buckets"):
        documents = rows.columns["row"] + corpus.firsts[rows.shards]
        alive = fates.reasons[documents] == 0
        documents, groups = documents[alive], repeated(rows.keys[alive])
        for some in _in_pieces(np.array([lengths[documents[a:b]].sum() for a, b in groups.tolist()], np.int64)):
            kernels.link(near, documents, groups[some], grams, starts, lengths, leader, *table)
            release(grams)
    kernels.settle(leader)
    joined = np.flatnonzero((np.bincount(leader, minlength=len(corpus)) > 1)[leader])
    gone = _keep_best(corpus, fates, joined, leader[joined], NEAR)
    found = np.empty(len(gone), np.float64)
    stays = fates.keepers[gone]
    for some in _in_pieces(lengths[gone] + lengths[stays]):
        kernels.similarities(gone[some], stays[some], grams, starts, lengths, *table, found[some])
        release(grams)
    fates.similarities[gone] = found


def _in_pieces(grams: npt.NDArray[np.int64]) -> Iterator[slice]:
    """Slices of comparisons that read a bounded number of grams each, or one comparison that reads more."""
    read = np.cumsum(grams)
    start = 0
    while start < len(grams):
        before = int(read[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(read, before + _GRAMS_AT_ONCE, "right")))
        yield slice(start, stop)
        start = stop


def _keep_best(
    corpus: Corpus, fates: Fates, documents: npt.NDArray[np.int64], clusters: npt.NDArray[np.int64], reason: str
) -> npt.NDArray[np.int64]:
    """Drop all but the best document of each cluster; returns those that go."""
    order = best_first(
        corpus.column("freedoms")[documents], corpus.column("sizes")[documents], corpus.ids[documents]
    )
    # Of equal cluster, the order stays: the first of each is its best.
    order = order[np.argsort(clusters[order], kind="stable")]
    documents, clusters = documents[order], clusters[order]
    firsts = np.concatenate([[True], clusters[1:] != clusters[:-1]])[: len(documents)]
    keepers = documents[np.flatnonzero(firsts)][np.cumsum(firsts) - 1]
    fates.drop(documents[~firsts], keepers[~firsts], reason)
    gone: npt.NDArray[np.int64] = documents[~firsts]
    return gone
