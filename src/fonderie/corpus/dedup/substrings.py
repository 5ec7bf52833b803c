"""Long repeated substrings of a corpus, by suffix arrays over bounded pieces of it.

A suffix array of a whole corpus does not fit in memory, and arrays of parts of it miss what two parts share. So
*anchors* say first where repetitions can be. Of all windows of half the wanted length, winnowing (Schleimer,
Wilkerson and Aiken, SIGMOD 2003) chooses some by their hashes alone, at least one in every substring of the wanted
length: equal substrings have equal anchors. The surroundings of all places with one anchor go into one piece, and
the suffix array of the piece finds every repetition of the wanted length that holds the anchor. Pieces are bounded,
each repetition is in one of them, and what has no equal anywhere is in none.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fonderie.corpus.dedup.cuts import Cuts
from fonderie.corpus.dedup.runs import Runs, column_writer, read_column, release, repeated, write_run
from fonderie.corpus.dedup.survey import Corpus, batches
from fonderie.corpus.kernels.compiled import entry

PIECE_BYTES = 1 << 22
"""Text in a suffix array, which with its tables needs some thirty times as much memory."""
SEPARATOR = 0xFF
"""Ends each stretch in a piece; no byte of UTF-8 text."""

Array = npt.NDArray[Any]


def window(at_least: int) -> int:
    """Bytes in an anchor: half the wanted length, so that a text of it has as many to choose from."""
    return at_least // 2


def survey_anchors(scratch: Path, shard: int, path: Path, at_least: int) -> None:
    """Write the texts of a shard and its anchors, as a run sorted by hash."""
    parts: list[tuple[Array, Array, Array]] = []
    first = 0
    with column_writer(scratch, "texts", shard) as texts:
        for batch in batches(path, ("id", "text")):
            batch.data[batch.offsets_N[0] : batch.offsets_N[-1]].tofile(texts)
            lengths = np.diff(batch.offsets_N)
            room = int(np.maximum(lengths - window(at_least) + 1, 0).sum())
            keys, rows, begins = np.empty(room, np.uint64), np.empty(room, np.uint32), np.empty(room, np.uint32)
            count = _anchors(batch.offsets_N, batch.data, window(at_least), at_least, keys, rows, begins)
            parts.append((keys[:count].copy(), rows[:count] + np.uint32(first), begins[:count].copy()))
            first += len(lengths)
    keys, rows, begins = (
        np.concatenate([np.empty(0, dtype), *(part[column] for part in parts)])
        for column, dtype in enumerate((np.uint64, np.uint32, np.uint32))
    )
    write_run(scratch, "passages", shard, keys, row=rows, begin=begins, end=begins + np.uint32(window(at_least)))


@entry
def _anchors(offsets: Any, data: Any, width: Any, at_least: Any, keys: Any, rows: Any, begins: Any) -> Any:
    """Write the anchors of each text: of every `at_least - width + 1` windows in a row the last of least hash."""
    base = np.uint64(0xD6E8FEB86659FD93)
    top = np.uint64(1)
    for _ in range(width):
        top *= base
    reach = at_least - width + 1
    # The candidates of the current windows, their hashes rising: a queue in a ring.
    hashes, places = np.empty(reach + 1, np.uint64), np.empty(reach + 1, np.int64)
    count = 0
    for text in range(len(offsets) - 1):
        begin, end = np.int64(offsets[text]), np.int64(offsets[text + 1])
        if end - begin < at_least:
            continue
        head = tail = 0
        last = np.int64(-1)
        rolling = np.uint64(0)
        for at in range(begin, end):
            rolling = rolling * base + np.uint64(data[at]) + np.uint64(1)
            if at - begin >= width:
                rolling -= top * (np.uint64(data[at - width]) + np.uint64(1))
            place = at - width + 1
            if place < begin:
                continue
            mixed = (rolling ^ (rolling >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
            while tail > head and hashes[(tail - 1) % (reach + 1)] >= mixed:
                tail -= 1
            hashes[tail % (reach + 1)], places[tail % (reach + 1)] = mixed, place
            tail += 1
            if places[head % (reach + 1)] <= place - reach:
                head += 1
            if place - begin + 1 >= reach and places[head % (reach + 1)] != last:
                last = places[head % (reach + 1)]
                keys[count], rows[count], begins[count] = hashes[head % (reach + 1)], text, last - begin
                count += 1
    return count


class Stretches(NamedTuple):
    """Parts of documents, none overlapping another."""

    documents: npt.NDArray[np.int64]
    begins: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    def join(self, other: "Stretches") -> "Stretches":
        """Both, overlapping and touching ones as one."""
        documents, begins, ends = (np.concatenate(pair) for pair in zip(self, other, strict=True))
        order = np.lexsort((begins, documents))
        documents, begins, ends = documents[order], begins[order], ends[order]
        # Lay all documents on one line, far apart, so that one running maximum serves them all.
        line = documents * (int(ends.max(initial=0)) + 2)
        reached = np.maximum.accumulate(line + ends)
        firsts = np.flatnonzero(np.concatenate([[True], (line + begins)[1:] > reached[:-1]])[: len(documents)])
        lasts = np.concatenate([firsts[1:] - 1, [len(documents) - 1]])[: len(firsts)]
        return Stretches(documents[firsts], begins[firsts], (reached - line)[lasts])


NOTHING = Stretches(*(np.empty(0, np.int64) for _ in range(3)))


def repeats_in_range(keys: tuple[int, int], *, runs: Runs, corpus: Corpus, at_least: int) -> Cuts:
    """What repeats a substring whose anchor's hash is in a range, but for the preferred copy of each."""
    rows = runs.read(keys)
    groups = repeated(rows.keys)
    documents = rows.columns["row"] + corpus.firsts[rows.shards]
    places = rows.columns["begin"].astype(np.int64)
    texts = Texts(corpus)
    found: list[Cuts] = []
    most = max(2, PIECE_BYTES // (2 * at_least - window(at_least)))
    for some in _pieces(groups, most):
        carried = NOTHING
        # The most preferred come first, so that no part is cut in favour of what a later one cuts in turn.
        best = some[np.lexsort((places[some], texts.ranks[documents[some]]))]
        for chosen in (best[at : at + most] for at in range(0, len(best), most)):
            around = at_least - window(at_least)
            stretches = Stretches(
                documents[chosen],
                np.maximum(places[chosen] - around, 0),
                np.minimum(places[chosen] + at_least, texts.lengths[documents[chosen]]),
            )
            piece = Piece.of(carried.join(stretches), texts)
            cuts, carried = piece.repeats(at_least)
            found.append(cuts)
        release(texts.data)
    return Cuts.join(found)


def _pieces(groups: Array, places: int) -> Iterator[Array]:
    """Rows of whole groups that make a piece together, or of one group that is too large for a piece.

    Such a group is taken in parts. Each meets what was unlike in the parts before it, so that no repetition between
    two parts is missed.
    """
    before = np.cumsum([0, *(groups[:, 1] - groups[:, 0])])
    start = 0
    while start < len(groups):
        stop = max(start + 1, int(np.searchsorted(before, before[start] + places, "right")) - 1)
        yield np.concatenate([np.arange(first, last) for first, last in groups[start:stop].tolist()])
        start = stop


class Texts:
    """The texts of a corpus, mapped from disk."""

    def __init__(self, corpus: Corpus) -> None:
        self.data = read_column(corpus.scratch, "texts", np.uint8)
        self.ranks = read_column(corpus.scratch, "ranks", np.int64)
        self.lengths = corpus.column("sizes")
        self.firsts = np.cumsum(self.lengths) - self.lengths


class Piece(NamedTuple):
    """Stretches of text one after the other, the preferred ones first."""

    stretches: Stretches
    data: npt.NDArray[np.uint8]
    """Each stretch and a separator."""
    firsts: npt.NDArray[np.int64]
    """Where each begins in `data`."""
    ranks: npt.NDArray[np.int64]
    """The places of their documents in the order of preference, rising."""

    @classmethod
    def of(cls, stretches: Stretches, texts: Texts) -> "Piece":
        """Put together a piece."""
        ranks = texts.ranks[stretches.documents]
        order = np.lexsort((stretches.begins, ranks))
        stretches = Stretches(*(column[order] for column in stretches))
        sizes = stretches.ends - stretches.begins
        firsts = np.cumsum(sizes + 1) - sizes - 1
        data = np.full(int((sizes + 1).sum()), SEPARATOR, np.uint8)
        begins = texts.firsts[stretches.documents] + stretches.begins
        for to, source, size in zip(firsts.tolist(), begins.tolist(), sizes.tolist(), strict=True):
            data[to : to + size] = texts.data[source : source + size]
        return cls(stretches, data, firsts, ranks[order])

    def repeats(self, at_least: int) -> tuple[Cuts, Stretches]:
        """What repeats something before it in the piece, and the stretches that hold anything else."""
        from pydivsufsort import divsufsort, kasai

        suffixes = divsufsort(self.data)
        alike = kasai(self.data, suffixes) >= at_least
        owners = np.repeat(np.arange(len(self.firsts)), np.diff(np.append(self.firsts, len(self.data))))
        ends = self.firsts + (self.stretches.ends - self.stretches.begins)
        whole = ends[owners] - np.arange(len(self.data)) >= at_least
        # Equal windows stand together in a suffix array; those that reach a separator are equal to none.
        starts = np.flatnonzero(np.concatenate([[True], ~alike[:-1]]))
        best = np.repeat(np.minimum.reduceat(suffixes, starts), np.diff(np.append(starts, len(suffixes))))
        first = np.empty(len(suffixes), np.int64)
        first[suffixes] = best
        again = whole & (first < np.arange(len(self.data)))
        places = np.flatnonzero(again)
        # A text that repeats itself at once (a ruled line) keeps the first copy whole.
        begins = np.maximum(places, first[places] + at_least)
        cuts = self._cuts(begins, places + at_least, first[places], owners)
        unlike = np.unique(owners[np.flatnonzero(whole & ~again)])
        return cuts, Stretches(*(column[unlike] for column in self.stretches))

    def _cuts(self, begins: Array, ends: Array, firsts: Array, owners: Array) -> Cuts:
        # Of stretches that begin together, the one with the most preferred copy names it.
        order = np.lexsort((firsts, begins))
        begins, ends, firsts = begins[order], ends[order], firsts[order]
        reached = np.maximum.accumulate(ends) if len(ends) else ends
        heads = np.flatnonzero(np.concatenate([[True], begins[1:] > reached[:-1]])[: len(begins)])
        tails = np.concatenate([heads[1:] - 1, [len(begins) - 1]])[: len(heads)]
        owner = owners[begins[heads]]
        offset = self.stretches.begins[owner] - self.firsts[owner]
        return Cuts(
            self.stretches.documents[owner],
            begins[heads] + offset,
            reached[tails] + offset,
            self.ranks[owners[firsts[heads]]],
        )
