"""recipes/instruct.toml itself, at a tiny size: three stages, measured on what was held out, and a gate against the base."""

import json
from pathlib import Path

import pytest

from fonderie.core.machine import Machine
from fonderie.core.recipe import load_recipe
from fonderie.core.run import run_recipe
from fonderie.core.steps import find_step
from fonderie.core.store import Store
from fonderie.evaluate.gate import Gate
from fonderie.release.verify import verify

RECIPE = Path(__file__).parents[2] / "recipes" / "instruct.toml"
SMALLER = (
    "tales.stories=100",
    "more_tales.stories=20",
    "talks.dialogues=40",
    "talks.questions=100",
    "bpe.vocabulary=400",
    "base.width=64",
    "base.depth=1",
    "base.duration=12 steps",
    "instructed.duration=8 steps",
    "preferred.duration=8 steps",
    "preferred.long=drop",
    "samples.max_tokens=8",
)


@pytest.mark.slow
def test_the_recipe_compares_its_end_with_its_base(tmp_path: Path) -> None:
    recipe = load_recipe(RECIPE, SMALLER, find_step)
    made = run_recipe(recipe, Store(tmp_path / "store"), Machine()).artifacts
    found = Gate.model_validate_json((made["gate"].path / "gate.json").read_bytes())
    assert (found.model, found.parent) == (made["preferred"].digest, made["base"].digest)
    assert [(line.kind, line.on) for line in found.lines] == [
        ("at_most", "talks"),
        ("regression", "tales"),
        ("regression", "talks"),
    ]
    assert all("the same documents: paired bootstrap" in line.compared for line in found.lines[1:])
    held_out = [made[call].manifest.statistics["held_out"] for call in ("instructed", "preferred")]
    assert [one["also_trained_on"] for one in held_out] == [0, 0]
    assert held_out[0]["model"]["loss"] < held_out[0]["base"]["loss"]
    # No document of one side stands on the other, whichever call read it.
    (score,) = [
        one for one in json.loads((made["score"].path / "scores.json").read_text()) if one["source"] == "tales"
    ]
    assert score["seen"] == 0
    assert verify(made["release"].path).ok
