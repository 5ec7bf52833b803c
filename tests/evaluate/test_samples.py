import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.evaluate.small import Build

from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output
from fonderie.evaluate.samples import SamplesParameters, samples


def drawn(small: Build, folder: Path, **params: Any) -> list[dict[str, Any]]:
    folder.mkdir()
    inputs = Inputs({"model": (small.result.artifacts["base"],), "tokenizer": (small.result.artifacts["bpe"],)})
    samples(inputs, SamplesParameters(**params), Output(folder, folder), Machine())
    found: list[dict[str, Any]] = json.loads((folder / "samples.json").read_bytes())
    return found


def test_questions_then_beginnings_each_with_its_seed(small: Build, tmp_path: Path) -> None:
    params = {
        "questions": ("Que fait le chat ?", "Et toi ?"),
        "beginnings": ("Le vieux",),
        "max_tokens": 10,
        "seed": 4,
    }
    found = drawn(small, tmp_path / "a", **params)
    assert [(row["kind"], row["seed"]) for row in found] == [("question", 4), ("question", 5), ("beginning", 6)]
    assert all(0 <= row["tokens"] <= 10 and isinstance(row["answer"], str) for row in found)
    assert found == drawn(small, tmp_path / "b", **params)
    assert found != drawn(small, tmp_path / "c", **{**params, "seed": 5})


def test_the_likeliest_answer_needs_no_seed(small: Build, tmp_path: Path) -> None:
    params = {"beginnings": ("Le vieux",), "temperature": 0.0, "max_tokens": 5}
    first, second = (drawn(small, tmp_path / str(seed), **params, seed=seed)[0] for seed in (1, 2))
    assert first["answer"] == second["answer"]


def test_a_prompt_that_fills_the_context_is_named(small: Build, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"beginning has \d+ tokens, the model's context 64: Le chat"):
        drawn(small, tmp_path / "a", beginnings=("Le chat " * 80,))


def test_something_must_be_asked() -> None:
    with pytest.raises(ValidationError, match="give questions, beginnings, or both"):
        SamplesParameters()
