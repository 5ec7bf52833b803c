"""From lm-eval's results to scores with intervals, outcomes, and the answers item by item."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np

from fonderie.core.digest import digest_json
from fonderie.core.intervals import Z, bootstrap_ratio, wilson
from fonderie.evaluate.score import DECIMALS, Outcome, Score

TOLERANCE = 1e-9
_FROM_RATIO: dict[str, Callable[[float], float]] = {
    "bits_per_byte": lambda nats: -nats / log(2),
    "byte_perplexity": lambda nats: exp(-nats),
    "word_perplexity": lambda nats: exp(-nats),
}
"""lm-eval's metrics over (log-likelihood, length) pairs, from the ratio of their sums."""


def outcomes(results: Mapping[str, Any]) -> Iterator[Outcome]:
    """One per item, metric and filter whose score is a mean or a ratio of sums over items."""
    for task, rows in results["samples"].items():
        figures = results["results"][task]
        for metric, filter_ in dict.fromkeys((metric, row["filter"]) for row in rows for metric in row["metrics"]):
            of = [row for row in rows if row["filter"] == filter_ and metric in row]
            parts = [_contribution(metric, row[metric]) for row in of]
            whole = figures.get(f"{metric},{filter_}")
            if not isinstance(whole, int | float) or None in parts:
                continue
            pairs = [part for part in parts if part is not None]
            if abs(sum(value for value, _ in pairs) / sum(weight for _, weight in pairs) - whole) > TOLERANCE:
                continue  # another aggregation, such as a median
            for row, (value, weight) in zip(of, pairs, strict=True):
                name = digest_json([task, row["doc_hash"], row["prompt_hash"], row["doc_id"]])
                yield Outcome(name, _name(metric, filter_), task, None, value, weight, said=_said(row))


def _contribution(metric: str, value: Any) -> tuple[float, float] | None:
    if metric == "bits_per_byte":
        return -float(value[0]) / log(2), float(value[1])
    plain = _plain(value)
    return None if plain is None else (plain, 1.0)


def _plain(value: Any) -> float | None:
    """A number as Python has it, numpy's included; None for pairs, lists and texts."""
    return float(value) if isinstance(value, bool | int | float | np.number | np.bool_) else None


def _said(row: Mapping[str, Any]) -> str:
    return json.dumps(row["filtered_resps"], ensure_ascii=False, default=str)


def _name(metric: str, filter_: str) -> str:
    return metric if filter_ == "none" else f"{metric} ({filter_})"


def scores(results: Mapping[str, Any], *, how: str, resamples: int, seed: int) -> tuple[list[Score], list[str]]:
    """The scores of every task and group; and the names of figures without an interval, hence no scores."""
    found: list[Score] = []
    left: list[str] = []
    for task, figures in results["results"].items():
        for key, value in figures.items():
            metric, comma, filter_ = key.partition(",")
            if not comma or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            rows = [row for row in results["samples"].get(task, ()) if row["filter"] == filter_]
            error = figures.get(f"{metric}_stderr,{filter_}")
            interval = _interval(metric, value, error, rows, resamples=resamples, seed=seed)
            better = results["higher_is_better"].get(task, {}).get(metric)
            if interval is None or better is None:
                left.append(f"{_name(metric, filter_)} on {task}")
                continue
            low, high, method = interval
            version, shots = results["versions"].get(task), results["n-shot"].get(task)
            found.append(
                Score(
                    name=_name(metric, filter_),
                    source=task,
                    value=round(float(value), DECIMALS),
                    low=round(low, DECIMALS),
                    high=round(high, DECIMALS),
                    n=_n(results, task, rows),
                    unit="items",
                    better="higher" if better else "lower",
                    standard_error=round(float(error), DECIMALS) if isinstance(error, int | float) else None,
                    shots=shots if isinstance(shots, int) else None,
                    task_version=None if version is None else str(version),
                    method=f"{how}; interval: 95 %, {method}.",
                )
            )
    return found, left


def _n(results: Mapping[str, Any], task: str, rows: Sequence[Any]) -> int:
    if rows:
        return len(rows)
    children = results["group_subtasks"].get(task, ())
    return sum(_n(results, child, results["samples"].get(child, ())) for child in children)


def _interval(
    metric: str, value: float, error: Any, rows: Sequence[Mapping[str, Any]], *, resamples: int, seed: int
) -> tuple[float, float, str] | None:
    values = [row[metric] for row in rows if metric in row]
    if values and metric in _FROM_RATIO:
        low, high = bootstrap_ratio(
            [pair[0] for pair in values], [pair[1] for pair in values], resamples=resamples, seed=seed
        )
        ends = sorted((_FROM_RATIO[metric](low), _FROM_RATIO[metric](high)))
        return ends[0], ends[1], f"bootstrap over items, {resamples} resamples, seed {seed}"
    plain = [number for number in map(_plain, values) if number is not None]
    # A proportion is a mean of right and wrong; of other aggregations over such values lm-eval's error is taken.
    if plain and set(plain) <= {0.0, 1.0} and abs(sum(plain) / len(plain) - value) < TOLERANCE:
        return *wilson(round(sum(plain)), len(plain)), "Wilson's"
    if isinstance(error, int | float):
        return value - Z * error, value + Z * error, "1.96 of lm-eval's standard errors either way"
    return None


def write_samples(folder: Path, samples: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """One JSON Lines file per task: each item with what was asked, answered and counted."""
    folder.mkdir()
    for task, rows in samples.items():
        safe = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in task)
        lines = (json.dumps(row, ensure_ascii=False, sort_keys=True, default=str) for row in rows)
        (folder / f"{safe}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
