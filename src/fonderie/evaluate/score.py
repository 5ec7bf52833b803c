"""The score: a figure that never travels without its interval, its count and its method; and what it is made of.

A score is sum(value) / sum(weight) over its outcomes: bits over bytes of each document, right answers over one of
each item. Outcomes are kept, so that two models can be compared on the very same ones (`fonderie.evaluate.gate`).
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, TypeAdapter

from fonderie.core.step import Output

SCORES = "scores.json"
OUTCOMES = "outcomes.parquet"
ALL = "all sources"
DECIMALS = 6
"""Of a score and the ends of its interval."""


class Score(BaseModel):
    """One figure of one model on one set of documents, or of items of a task."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """What is measured, such as "bits_per_byte" or "accuracy"."""
    source: str
    """The source of the documents, `ALL`, or the task or suite whose items these are."""
    language: str | None = None
    """ISO 639-1, where every document of the source declares the same one; `ALL` of one language alone."""
    value: float
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end of the 95 % interval."""
    n: int
    """How many documents or items, which are what the interval is over."""
    unit: Literal["documents", "items"] = "documents"
    better: Literal["lower", "higher"] = "lower"
    standard_error: float | None = None
    """Of the value, where the method states one."""
    tokens: int | None = None
    """Tokens that were predicted; None where the score is not over tokens."""
    size_bytes: int | None = None
    """UTF-8 bytes of the documents' texts."""
    shots: int | None = None
    """Solved examples before each question."""
    task_version: str | None = None
    """As the task's own definition states it."""
    seen: int | None = None
    """Of the n, how many stand in the documents that the model was trained on; None if nobody looked."""
    method: str
    """How it was obtained, in a sentence or two."""


SCORE_LIST = TypeAdapter(list[Score])


class Outcome(NamedTuple):
    """What one document or item contributes to the scores of one name."""

    id: str
    """Digest of the document, or of the item: the same in every evaluation on it."""
    name: str
    """The score's."""
    source: str
    language: str | None
    value: float
    weight: float
    part: str | None = None
    """A finer division of the source, such as a construction of a suite."""
    seen: bool | None = None
    """Whether it stands in the documents trained on."""
    said: str | None = None
    """What the model answered, or preferred."""


OUTCOME_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("language", pa.string()),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("weight", pa.float64(), nullable=False),
        pa.field("part", pa.string()),
        pa.field("seen", pa.bool_()),
        pa.field("said", pa.string()),
    ]
)


def write_scores(out: Output, scores: Sequence[Score], outcomes: Iterable[Outcome]) -> None:
    """Write scores.json and outcomes.parquet; statistics repeat the scores."""
    plain = [score.model_dump(mode="json") for score in scores]
    (out.path / SCORES).write_text(json.dumps(plain, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    rows = [outcome._asdict() for outcome in outcomes]
    pq.write_table(pa.Table.from_pylist(rows, OUTCOME_SCHEMA), out.path / OUTCOMES, compression="zstd")
    out.statistics["scores"] = plain


def read_scores(folder: Path) -> list[Score]:
    """The scores of an evaluation."""
    return SCORE_LIST.validate_json((folder / SCORES).read_bytes())


def read_outcomes(folder: Path) -> list[Outcome]:
    """The outcomes of an evaluation, in its order."""
    rows: list[dict[str, Any]] = pq.read_table(folder / OUTCOMES, schema=OUTCOME_SCHEMA).to_pylist()
    return [Outcome(**row) for row in rows]


def outcomes_of(score: Score, outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Those that a score sums up."""
    return [
        outcome
        for outcome in outcomes
        if outcome.name == score.name
        and (outcome.source == score.source or (score.source == ALL and _in_language(outcome, score.language)))
    ]


def _in_language(outcome: Outcome, language: str | None) -> bool:
    return language is None or (outcome.language or UNDETERMINED) == language


UNDETERMINED = "und"
"""The language of documents that declare none (ISO 639-3)."""
