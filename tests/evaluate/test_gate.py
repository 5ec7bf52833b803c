"""Lucie's story is the test: an instruct model that lost a quarter of its arithmetic is stopped."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.corpus.builders import run_step
from tests.evaluate.gated import gated
from tests.evaluate.small import RECIPE, Build, find_step

from fonderie.core.digest import digest_text
from fonderie.core.errors import InputError, RecipeError
from fonderie.core.intervals import Interval, wilson
from fonderie.core.manifest import Manifest, files_digest, list_files
from fonderie.core.recipe import load_recipe
from fonderie.core.step import Artifact, Output
from fonderie.evaluate.gate import Gate, GateParameters, gate
from fonderie.evaluate.score import Outcome, Score, write_scores
from fonderie.evaluate.verdict import holds

ITEMS = 1_319
"""Of GSM8K's test set."""


def made(folder: Path, key: str, **upstream: tuple[Artifact, ...]) -> Artifact:
    """An artifact with this key, holding what the folder holds."""
    folder.mkdir(parents=True, exist_ok=True)
    files = list_files(folder)
    manifest = Manifest(
        key=digest_text(key), digest=files_digest(files), step="test.made", version=1, parameters={}, inputs={},
        sources={}, files=files, statistics={}, measured={}, environment={}, duration_seconds=0.0, energy={}, started="",
    )  # fmt: skip
    return Artifact(folder, manifest, upstream)


def arithmetic(folder: Path, model: Artifact, right: set[int], *, n: int = ITEMS, set_: str = "gsm8k") -> Artifact:
    """The scores of a model that answers these items rightly."""
    folder.mkdir(parents=True)
    low, high = wilson(len(right), n)
    score = Score(
        name="accuracy", source=set_, value=len(right) / n, low=low, high=high, n=n, unit="items", better="higher",
        method="made for the test",
    )  # fmt: skip
    outcomes = [Outcome(f"{set_}/{i}", "accuracy", set_, "en", float(i in right), 1.0) for i in range(n)]
    write_scores(Output(folder, folder), [score], outcomes)
    return made(folder, f"scores of {folder}", model=(model,))


@pytest.fixture
def lucie(tmp_path: Path) -> tuple[Artifact, Artifact, Artifact, Artifact]:
    """Base and instruct model, and what each answers: 23.5 % and 17.9 % of GSM8K, as published."""
    base = made(tmp_path / "base", "base")
    instruct = made(tmp_path / "instruct", "instruct", model=(base,))
    rng = random.Random(7)
    before = set(rng.sample(range(ITEMS), round(0.235 * ITEMS)))
    lost = set(rng.sample(sorted(before), 130))
    gained = set(rng.sample(sorted(set(range(ITEMS)) - before), round(0.179 * ITEMS) - (len(before) - len(lost))))
    after = (before - lost) | gained
    return (
        base,
        instruct,
        arithmetic(tmp_path / "a", base, before),
        arithmetic(tmp_path / "b", instruct, after),
    )


def judged(tmp_path: Path, scores: Artifact, parent: Artifact | None = None, **params: object) -> Gate:
    inputs = {"scores": (scores,), **({"parent": (parent,)} if parent else {})}
    artifact, out = run_step(gate, GateParameters(**params), tmp_path / "gate", inputs)
    found = Gate.model_validate_json((artifact.path / "gate.json").read_bytes())
    assert out.statistics["gate"] == found.model_dump(mode="json")
    page = (artifact.path / "gate.md").read_text()
    assert ("FAILS its gate" in page) == (not found.passed)
    return found


FALL = {"score": "accuracy", "on": "gsm8k", "margin": 0.02}


def test_lucie_instruct_is_stopped(lucie: tuple[Artifact, ...], tmp_path: Path) -> None:
    _, instruct, before, after = lucie
    found = judged(tmp_path, after, before, regressions=[FALL])
    (line,) = found.lines
    assert not found.passed
    assert found.model == instruct.digest
    assert line.value == pytest.approx(0.056, abs=0.001)
    assert line.low > 0.02  # not only the worse end: chance alone does not explain a fall of two points
    assert "130 lost" in line.compared
    assert "Agresti-Min" in line.compared
    assert not judged(tmp_path / "v", after, before, regressions=[{**FALL, "counts": "value"}]).passed
    assert judged(tmp_path / "w", after, before, regressions=[{**FALL, "margin": 0.08}]).passed


def test_one_that_got_better_passes(lucie: tuple[Artifact, ...], tmp_path: Path) -> None:
    _, instruct, before, _ = lucie
    better = arithmetic(tmp_path / "c", instruct, set(range(400)))
    (line,) = judged(tmp_path / "x", better, before, regressions=[FALL]).lines
    assert line.passed
    assert line.value < 0


def test_too_few_items_do_not_pass_for_want_of_evidence(lucie: tuple[Artifact, ...], tmp_path: Path) -> None:
    base, instruct, *_ = lucie
    few = [
        arithmetic(tmp_path / name, model, set(range(10)), n=20) for name, model in (("p", base), ("q", instruct))
    ]
    assert not judged(tmp_path, few[1], few[0], regressions=[FALL]).passed
    assert judged(tmp_path / "v", few[1], few[0], regressions=[{**FALL, "counts": "value"}]).passed


def test_other_items_than_the_parents_are_compared_as_independent(
    lucie: tuple[Artifact, ...], tmp_path: Path
) -> None:
    _, instruct, before, after = lucie
    folder = tmp_path / "d"
    folder.mkdir()
    rows = [Outcome(f"other/{i}", "accuracy", "gsm8k", "en", float(i < 236), 1.0) for i in range(ITEMS)]
    low, high = wilson(236, ITEMS)
    score = Score(
        name="accuracy", source="gsm8k", value=236 / ITEMS, low=low, high=high, n=ITEMS, unit="items",
        better="higher", method="m",
    )  # fmt: skip
    write_scores(Output(folder, folder), [score], rows)
    other = made(folder, "scores on others", model=(instruct,))
    (paired,) = judged(tmp_path / "1", after, before, regressions=[FALL]).lines
    (apart,) = judged(tmp_path / "2", other, before, regressions=[FALL]).lines
    assert "independent" in apart.compared
    assert apart.high - apart.low > paired.high - paired.low


def test_bits_per_byte_are_paired_by_document(tmp_path: Path) -> None:
    base = made(tmp_path / "base", "base")
    child = made(tmp_path / "child", "child", model=(base,))
    rng = random.Random(3)
    sizes = [rng.randrange(100, 4_000) for _ in range(60)]
    evaluated = []
    for name, model, more in (("one", base, 0.0), ("two", child, 0.05)):
        noise = random.Random(5)
        bits = [size * (1.5 + noise.gauss(0, 0.3) + more) for size in sizes]
        value = sum(bits) / sum(sizes)
        score = Score(
            name="bits_per_byte", source="all sources", value=value, low=value - 0.1, high=value + 0.1, n=60, method="m",
        )  # fmt: skip
        folder = tmp_path / name
        folder.mkdir()
        rows = [
            Outcome(f"d{i}", "bits_per_byte", "s", "fr", b, s)
            for i, (b, s) in enumerate(zip(bits, sizes, strict=True))
        ]
        write_scores(Output(folder, folder), [score], rows)
        evaluated.append(made(folder, name, model=(model,)))
    parent, own = evaluated
    (line,) = judged(tmp_path / "g", own, parent, regressions=[{"score": "bits_per_byte", "margin": 0.06}]).lines
    assert (line.value, line.low, line.high) == pytest.approx((0.05, 0.05, 0.05), abs=1e-5)
    assert line.passed
    assert not judged(tmp_path / "h", own, parent, regressions=[{"score": "bits_per_byte", "margin": 0.04}]).passed


def test_of_a_minimum_the_lower_end_counts(lucie: tuple[Artifact, ...], tmp_path: Path) -> None:
    *_, after = lucie
    line = {"score": "accuracy", "on": "gsm8k"}
    assert judged(tmp_path / "1", after, minima=[{**line, "at_least": 0.15}]).passed
    assert not judged(tmp_path / "2", after, minima=[{**line, "at_least": 0.17}]).passed  # 0.179, but from 0.159 on
    assert judged(tmp_path / "3", after, minima=[{**line, "at_least": 0.17, "counts": "value"}]).passed


@given(value=st.floats(0, 1), half=st.floats(0, 0.5), demanded=st.floats(0, 1))
def test_whoever_passes_by_the_interval_passes_by_the_value(value: float, half: float, demanded: float) -> None:
    interval = Interval(value - half, value + half)
    for kind in ("at_least", "at_most", "regression"):
        if holds(kind, demanded, "interval", value, interval):
            assert holds(kind, demanded, "value", value, interval)


def test_a_gate_about_nothing_is_wrong(lucie: tuple[Artifact, ...], tmp_path: Path) -> None:
    *_, before, after = lucie
    with pytest.raises(InputError, match="accuracy on 'gsm9k', of which there are 0"):
        judged(tmp_path / "1", after, minima=[{"score": "accuracy", "on": "gsm9k", "at_least": 0.1}])
    with pytest.raises(InputError, match="of which higher is better"):
        judged(tmp_path / "2", after, minima=[{"score": "accuracy", "on": "gsm8k", "at_most": 0.9}])
    with pytest.raises(InputError, match="of one that it was not made from"):
        judged(tmp_path / "3", before, after, regressions=[FALL])
    with pytest.raises(InputError, match="of the judged model itself"):  # which could never fall behind
        judged(tmp_path / "4", after, after, regressions=[FALL])
    with pytest.raises(InputError, match="these scores are of 2"):
        run_step(
            gate,
            GateParameters(minima=[{"score": "accuracy", "at_least": 0}]),
            tmp_path,
            {"scores": (before, after)},
        )
    with pytest.raises(ValidationError, match="lets everything through"):
        GateParameters()
    with pytest.raises(ValidationError, match="give at_least or at_most"):
        GateParameters(minima=[{"score": "accuracy"}])


def test_what_does_not_go_together_is_said_before_anything_runs(tmp_path: Path) -> None:
    def wrong(text: str, message: str) -> None:
        path = tmp_path / "wrong.toml"
        path.write_text(RECIPE + text, encoding="utf-8")
        with pytest.raises(RecipeError, match=message):
            load_recipe(path, (), find_step)

    gate_ = '[gate]\nstep = "evaluate.gate"\ninputs = { scores = "scores" '
    minimum = 'minima = [{ score = "bits_per_byte", at_most = 2 }]\n'
    fall = 'regressions = [{ score = "bits_per_byte", margin = 0.1 }]\n'
    wrong(f"{gate_}}}\n{fall}", r"\[gate\] regressions compare with a parent")
    wrong(f'{gate_}, parent = "scores" }}\n{minimum}', r"\[gate\] a parent's scores are wired")
    wrong('i_know_it_failed = { reason = "r", by = "b", on = 2026-11-26 }\n', "speaks of a gate, and none is wired")


def test_it_is_a_step_like_any_other(small: Build) -> None:
    built = gated(small, at_most=0.001, name="failing")
    found = Gate.model_validate_json((built.result.artifacts["gate"].path / "gate.json").read_bytes())
    assert [line.passed for line in found.lines] == [False, True]
