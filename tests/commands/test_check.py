"""fonderie run --check: validated and priced, nothing made, wherever the data are."""

import json
from pathlib import Path

import pytest

from fonderie.cli import main

LUCIE = Path(__file__).parents[2] / "recipes/lucie.toml"


def test_a_recipe_whose_data_are_elsewhere_is_validated_and_priced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--check", str(LUCIE), "--store", str(tmp_path / "store"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert any("redpajama-v2/fr" in message for message in told["missing"])
    (price,) = told["prices"]
    assert price["gpu_hours"] > 0
    assert told["assumptions"]["mfu"] == 0.35


def test_running_it_without_its_data_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(LUCIE), "--store", str(tmp_path / "store")]) == 2
    assert "no file matches" in capsys.readouterr().err


def test_without_its_relaxed_policy_the_gate_refuses_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request = ["run", "--check", str(LUCIE), "--store", str(tmp_path / "store"), "--set", "policy.also_allow=[]"]
    assert main(request) == 1
    assert "unknown" in capsys.readouterr().err


def test_a_recipe_that_does_not_say_so_needs_its_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text('[a]\nstep = "corpus.read"\npath = "no/*.jsonl"\nformat = "jsonl"\n')
    assert main(["run", "--check", str(recipe), "--store", str(tmp_path / "store")]) == 2
    assert "no file matches" in capsys.readouterr().err
