"""corpus.decontaminate: take out what an evaluation asks, so that its scores measure something.

Words are compared folded: without case, accents or punctuation. A document that shares a run of thirteen words with
an item of an evaluation set is contaminated (GPT-3, arXiv 2005.14165, appendix C). Items with fewer words have no
such run: they are found as a whole, and where an item states its answer (`metadata.answer`), only if the answer
follows.
The ledger says which set and which item, and which words of the document.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, PositiveInt

from fonderie.core.document import Document, read_documents, shard_paths
from fonderie.core.ledger import merge
from fonderie.core.machine import Machine
from fonderie.core.step import Artifact, Inputs, Output, Parameters, Port, step
from fonderie.corpus.folding import folded_words
from fonderie.corpus.sketch import SALT_BYTES, U64, Hasher, runs
from fonderie.corpus.transform import Decision, drop, edit, keep, write_shard

REASON = "in evaluation set"
# Nothing is hidden here: one fixed salt makes the hashes, and so the bytes, the same everywhere.
SALT = b"fonderie decontaminate".ljust(SALT_BYTES, b"\0")


class DecontaminateParameters(Parameters):
    """What counts as a match, and what is done about it."""

    words: PositiveInt = 13
    """Length of the runs of words that must not be shared (GPT-3 and most since: 13)."""
    shortest: PositiveInt = 6
    """Items of fewer words than this are not looked for: they are anybody's words."""
    answer_within: PositiveInt = 32
    """Where a short item states its answer: how many words after the question it must stand."""
    action: Literal["drop", "cut"] = "drop"
    """Drop the whole document, or cut the lines that hold the match."""
    longest_cut: float = Field(default=0.5, ge=0, le=1)
    """A document that would lose more than this share of its characters is dropped even if lines are cut."""


class Match(NamedTuple):
    """A run of a document's words that an item has too."""

    item: int
    first: int
    """Index of the run's first word."""
    last: int
    """Index after its last word."""


@dataclass(frozen=True)
class Needles:
    """What to look for, of every item of every evaluation set."""

    words: int
    answer_within: int
    items: list[tuple[str, str]]
    """Evaluation set and origin of each item."""
    grams: U64
    """Sorted hashes of runs of `words` words."""
    gram_items: np.ndarray[Any, np.dtype[np.int64]]
    """The first item that has each."""
    short: dict[int, dict[int, list[int]]] = field(default_factory=dict)
    """Items shorter than a run: by number of words, then by hash of the whole."""
    answers: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """The folded words of the answer of short items that state one."""

    def find(self, document_words: Sequence[str], hasher: Hasher) -> list[Match]:
        """Every match in a document, in order."""
        hashes = hasher.words(document_words)
        found: list[Match] = []
        every = runs(hashes, self.words)
        if len(self.grams) and len(every):
            places = np.minimum(np.searchsorted(self.grams, every), len(self.grams) - 1)
            for index in np.flatnonzero(self.grams[places] == every).tolist():
                found.append(Match(int(self.gram_items[places[index]]), index, index + self.words))
        for length, wanted in self.short.items():
            here = runs(hashes, length)
            candidates = np.flatnonzero(np.isin(here, np.fromiter(wanted, np.uint64, len(wanted))))
            for index in candidates.tolist():
                for item in wanted[int(here[index])]:
                    if self._answered(item, document_words[index + length :]):
                        found.append(Match(item, index, index + length))
        return sorted(found, key=lambda match: (match.first, match.item))

    def _answered(self, item: int, after: Sequence[str]) -> bool:
        answer = self.answers.get(item)
        if answer is None:
            return True
        near = tuple(after[: self.answer_within + len(answer)])
        return any(near[i : i + len(answer)] == answer for i in range(len(near) - len(answer) + 1))


def gather_needles(items: Iterable[Document], params: DecontaminateParameters) -> tuple[Needles, Counter[str]]:
    """The needles of evaluation items, and how many items of each set are too short to look for."""
    hasher = Hasher(SALT)
    names: list[tuple[str, str]] = []
    grams: dict[int, int] = {}
    short: dict[int, dict[int, list[int]]] = {}
    answers: dict[int, tuple[str, ...]] = {}
    passed_over: Counter[str] = Counter()
    for number, item in enumerate(items):
        names.append((item.source, item.origin))
        words = folded_words(item.text)
        if len(words) >= params.words:
            for value in runs(hasher.words(words), params.words).tolist():
                grams.setdefault(value, number)
        elif len(words) >= params.shortest:
            (value,) = runs(hasher.words(words), len(words)).tolist()
            short.setdefault(len(words), {}).setdefault(value, []).append(number)
            answer = tuple(folded_words(item.metadata.get("answer", "")))
            if answer:
                answers[number] = answer
        else:
            passed_over[item.source] += 1
    values = np.fromiter(grams, np.uint64, len(grams))
    order = np.argsort(values)
    numbers = np.fromiter(grams.values(), np.int64, len(grams))
    needles = Needles(params.words, params.answer_within, names, values[order], numbers[order], short, answers)
    return needles, passed_over


@step(
    "corpus.decontaminate",
    version=1,
    parameters=DecontaminateParameters,
    produces="documents",
    inputs={"documents": Port("documents", many=True), "evaluation": Port("documents", many=True)},
)
def decontaminate(inputs: Inputs, params: DecontaminateParameters, out: Output, machine: Machine) -> None:
    """Drop or cut what the evaluation sets hold; statistics count items looked for and found, by set."""
    needles, passed_over = gather_needles(_documents(inputs.all("evaluation")), params)
    shards = [path for artifact in inputs.all("documents") for path in shard_paths(artifact.path)]
    work = partial(_shard, needles=needles, params=params, out=out.path)
    results = list(machine.map(work, list(enumerate(shards)), label="decontaminating"))
    out.statistics["sources"] = merge(summary for summary, _ in results)
    found = set[int]().union(*(items for _, items in results))
    asked = Counter(name for name, _ in needles.items)
    met = Counter(needles.items[item][0] for item in found)
    out.statistics["evaluation"] = {
        name: {"items": count, "too_short": passed_over[name], "found": met[name]}
        for name, count in sorted(asked.items())
    }


def _documents(artifacts: Iterable[Artifact]) -> Iterator[Document]:
    for artifact in artifacts:
        for path in shard_paths(artifact.path):
            yield from read_documents(path)


def _shard(
    job: tuple[int, Path], *, needles: Needles, params: DecontaminateParameters, out: Path
) -> tuple[dict[str, dict[str, Any]], set[int]]:
    index, path = job
    hasher = Hasher(SALT)
    found: set[int] = set()

    def decisions() -> Iterator[tuple[Document, Decision]]:
        for document in read_documents(path):
            decision, items = decide(document, needles, params, hasher)
            found.update(items)
            yield document, decision

    return write_shard(out, index, decisions()), found


def decide(
    document: Document, needles: Needles, params: DecontaminateParameters, hasher: Hasher
) -> tuple[Decision, set[int]]:
    """What becomes of a document, and which items it held."""
    lines = [folded_words(line) for line in document.text.split("\n")]
    matches = needles.find([word for line in lines for word in line], hasher)
    if not matches:
        return keep(document), set()
    items = {match.item for match in matches}
    # The set with the most matches names the reason: counting by it shows which set was leaked.
    leaked = Counter(needles.items[match.item][0] for match in matches).most_common()
    reason = f"{REASON} {min(name for name, count in leaked if count == leaked[0][1])}"
    shown = next(match for match in matches if reason.endswith(needles.items[match.item][0]))
    detail = f"{needles.items[shown.item][1]}: words {shown.first + 1} to {shown.last}"
    if len(items) > 1:
        detail += f", and {len(items) - 1:,} more items"
    if params.action == "drop":
        return drop(reason, detail), items
    text = _without(document.text, lines, matches)
    if not text.strip() or len(text) < (1 - params.longest_cut) * len(document.text):
        return drop(reason, detail), items
    return edit(document.with_text(text), reason, detail), items


def _without(text: str, lines: list[list[str]], matches: list[Match]) -> str:
    """The text without the lines that hold a word of a match."""
    kept, first = [], 0
    for line, words in zip(text.split("\n"), lines, strict=True):
        last = first + len(words)
        if not any(match.first < last and match.last > first for match in matches):
            kept.append(line)
        first = last
    return "\n".join(kept)
