"""Judges a batch of documents: a column of measures at a time, for those that are still in.

Texts stay in Arrow's buffers. A document becomes a Python object only where its language is asked.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fonderie.corpus.kernels.measure import COLUMNS, Kernel
from fonderie.corpus.kernels.words import WordLists
from fonderie.corpus.measures import LANGUAGE_CHARACTERS, identify
from fonderie.corpus.ngram.model import Ngrams
from fonderie.corpus.rules.lists import UrlList, read_phrases, url_of, words_for
from fonderie.corpus.rules.rule import (
    LANGUAGE,
    METADATA,
    PERPLEXITY,
    SCORE,
    SENTENCES,
    URL,
    Rule,
    Values,
)
from fonderie.corpus.rules.sets import LineRules, Plan, Plans
from fonderie.corpus.rules.texts import Texts

Rows = npt.NDArray[np.int64]
EMPTY = "no line is left"


@dataclass(frozen=True)
class Resources:
    """What rules look things up in, opened once per process."""

    urls: UrlList | None = None
    phrases: tuple[tuple[str, ...], ...] = ()
    ngrams: tuple[Ngrams, ...] = ()

    def ngrams_for(self, language: str | None) -> Ngrams | None:
        """The model of a language, or the one that states none."""
        exact = [model for model in self.ngrams if model.language == language]
        return next(iter(exact or [model for model in self.ngrams if model.language is None]), None)


class Verdict(NamedTuple):
    """What the rules say of one document of a batch."""

    reason: str | None = None
    """The rule it breaks, or what edited it."""
    detail: str | None = None
    text: bytes | None = None
    """The text with which it goes on, in UTF-8, where lines were dropped."""

    @property
    def dropped(self) -> bool:
        """Whether it ends here."""
        return self.reason is not None and self.text is None


KEPT = Verdict()


@cache
def kernel() -> Kernel:
    """The process's kernel: its tables are made once."""
    return Kernel()


@cache
def _words(language: str | None, phrases: tuple[tuple[str, ...], ...]) -> WordLists:
    return words_for(language, phrases)


@dataclass
class Batch:
    """Documents as columns."""

    texts: Texts
    record: Any
    """The Arrow record batch."""
    identified: dict[int, tuple[str, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, record: Any) -> "Batch":
        """A batch of an Arrow record batch in the documents' schema."""
        return cls(Texts.of_column(record.column("text")), record)

    def column(self, name: str) -> list[Any]:
        """A column as Python objects."""
        found: list[Any] = self.record.column(name).to_pylist()
        return found

    def languages(self) -> list[str]:
        """What each document declares, or is identified as."""
        return [code or self.identify(row)[0] for row, code in enumerate(self.column("language"))]

    def identify(self, row: int) -> tuple[str, float]:
        """A document's language as it was read, and how sure that is."""
        if row not in self.identified:
            self.identified[row] = identify(self.texts.beginning(row, LANGUAGE_CHARACTERS))
        return self.identified[row]


class Judge:
    """A filter's rules, ready to be applied to batches."""

    def __init__(self, plans: Plans, resources: Resources) -> None:
        self._plans, self._resources = plans, resources
        # What is looked up by language makes documents of several languages different work.
        self._by_language = plans.by_language or bool(
            plans.measures & {"stop_words", "stop_word_share", PERPLEXITY}
        )

    def judge(self, record: Any) -> list[Verdict]:
        """A verdict on each document of a record batch."""
        batch = Batch.of(record)
        verdicts = [KEPT] * record.num_rows
        languages: Sequence[str | None] = batch.languages() if self._by_language else [None] * record.num_rows
        groups: dict[tuple[str | None, str], list[int]] = {}
        for row, key in enumerate(zip(languages, batch.column("source"), strict=True)):
            groups.setdefault(key, []).append(row)
        for (language, source), rows in groups.items():
            plan = self._plans.of(language, source)
            _Pass(batch, plan, language, self._resources, verdicts).run(np.array(rows, np.int64))
        return verdicts


class _Pass:
    """One plan applied to some documents of a batch, all in one language."""

    def __init__(
        self, batch: Batch, plan: Plan, language: str | None, resources: Resources, verdicts: list[Verdict]
    ) -> None:
        self._batch, self._plan, self._language, self._resources = batch, plan, language, resources
        self._verdicts = verdicts
        self._texts = batch.texts
        self._rows = np.arange(len(batch.texts.offsets) - 1)
        """The batch's row of each text."""
        self._kept_sentences = np.zeros(0)
        self._measured: npt.NDArray[np.float64] | None = None
        self._edits: dict[int, str] = {}

    def run(self, alive: Rows) -> None:
        """Fill in the verdicts of the documents named."""
        for place, item in enumerate(self._plan.items):
            if not len(alive):
                return
            if isinstance(item, LineRules):
                alive = self._drop_lines(item, alive, self._plan.items[place + 1 :])
                continue
            values = self._values(item, alive, self._plan.items[place:])
            held = item.holds(values)
            broken = np.flatnonzero(~held)
            for position, row in zip(broken.tolist(), self._rows[alive[broken]].tolist(), strict=True):
                self._verdicts[row] = Verdict(item.text, item.measured(values[position]))
            alive = alive[held]
        if self._edits:
            for position, row in zip(alive.tolist(), self._rows[alive].tolist(), strict=True):
                if row in self._edits:
                    text = self._texts.bytes_of(position)
                    self._verdicts[row] = Verdict("lines dropped", self._edits[row], text)

    def _values(self, rule: Rule, alive: Rows, following: Iterable[Rule | LineRules]) -> Values:
        measure = rule.measure
        if measure in COLUMNS:
            if self._measured is None:
                self._measured = kernel().measure(
                    self._texts.data, self._texts.offsets, alive, _needs(following), self._words()
                )
            column: npt.NDArray[np.float64] = self._measured[alive, COLUMN_PLACES[measure]]
            return column
        rows = self._rows[alive]
        if measure == SENTENCES:
            return self._kept_sentences[alive]
        if measure in (LANGUAGE, SCORE):
            found = [self._identify(int(position)) for position in alive]
            return [code for code, _ in found] if measure == LANGUAGE else np.array([score for _, score in found])
        if measure == PERPLEXITY:
            model = self._resources.ngrams_for(self._language)
            if model is None:
                return np.full(len(alive), np.nan)
            return model.perplexities(self._texts.data, self._texts.offsets, alive)
        if measure == URL:
            return np.array([float(self._listed(int(row))) for row in rows])
        assert measure.startswith(METADATA)
        found_there = [_field(self._metadata(int(row)), measure.removeprefix(METADATA)) for row in rows]
        return found_there if rule.takes_words else np.array([_number(value) for value in found_there])

    def _words(self) -> WordLists:
        return _words(self._language, self._resources.phrases)

    def _identify(self, position: int) -> tuple[str, float]:
        if self._texts is self._batch.texts:
            return self._batch.identify(position)
        return identify(self._texts.beginning(position, LANGUAGE_CHARACTERS))

    def _metadata(self, row: int) -> dict[str, str]:
        return dict(self._batch.record.column("metadata")[row].as_py())

    def _listed(self, row: int) -> bool:
        assert self._resources.urls is not None
        url = url_of(self._batch.record.column("origin")[row].as_py(), self._metadata(row))
        return url is not None and self._resources.urls.names(url)

    def _drop_lines(self, rules: LineRules, alive: Rows, following: Iterable[Rule | LineRules]) -> Rows:
        """Go on with the lines that are left, and drop documents that hold what no document may."""
        data, places, counts, self._measured = kernel().edit(
            self._texts.data, self._texts.offsets, alive, rules.arrays(), _needs(following), self._words()
        )
        rows = self._rows[alive]
        left, changed = counts[:, 1] > 0, counts[:, 3] > 0
        for row, kept in zip(rows[~left].tolist(), counts[~left, 1].tolist(), strict=True):
            reason = rules.phrases[-1 - kept].reason if kept < 0 else EMPTY
            self._verdicts[row] = Verdict(f"{rules.name}: {reason}")
        edited = np.flatnonzero(left & changed)
        for row, (lines, kept, _, _) in zip(rows[edited].tolist(), counts[edited].tolist(), strict=True):
            self._edits[row] = f"{rules.name}: {lines - kept} of {lines} lines"
        self._texts = Texts(data, places.astype(np.int32))
        self._rows, self._kept_sentences = rows, counts[:, 2].astype(np.float64)
        return np.flatnonzero(left)


def _needs(items: Iterable[Rule | LineRules]) -> int:
    """What the kernel must measure for all rules that judge the text as it is, up to those that drop lines."""
    needs = 0
    for item in items:
        if isinstance(item, LineRules):
            break
        needs |= COLUMNS.get(item.measure, 0)
    return needs


COLUMN_PLACES = {name: place for place, name in enumerate(COLUMNS)}


def _field(metadata: dict[str, str], name: str) -> str | None:
    return metadata.get(name)


def _number(text: str | None) -> float:
    try:
        return float(text) if text is not None else np.nan
    except ValueError:
        return np.nan


def open_resources(urls: Sequence[Path], words: Sequence[Path], ngrams: Sequence[Path]) -> Resources:
    """Read the lists and models of a filter."""
    return Resources(UrlList(urls) if urls else None, read_phrases(words), tuple(map(Ngrams.load, ngrams)))
