"""fonderie run --on slurm: what is refused, and what --check shows without a Slurm."""

import json
from pathlib import Path

import pytest

from fonderie.cli import main

RECIPES = Path(__file__).parents[2] / "recipes"
ASKED = ["run", str(RECIPES / "demo.toml"), "--on", "slurm", "--set", "base.batch=8"]
PROFILE = ["--profile", str(RECIPES / "slurm/jean-zay.toml")]


def test_check_prints_the_scripts_and_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*ASKED, *PROFILE, "--check", "--json"]) == 0
    stages = json.loads(capsys.readouterr().out)["stages"]
    assert [stage["stage"] for stage in stages] == ["preparation", "training"]
    assert "#SBATCH --array=1-12%1" in stages[1]["script"]
    assert main([*ASKED, *PROFILE, "--check"]) == 0
    assert "# runs: " in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    # Eight processes for four sequences would have been found out by a job, after its time in the queue.
    assert main([*ASKED[:-1], "base.batch=4", *PROFILE, "--check"]) == 2
    assert "[base] phase 'main' has steps of 4 sequences, too few for 8" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (ASKED, "--on slurm needs --profile FILE"),
        ([*ASKED, *PROFILE, "--processes", "2"], "--processes is settled by"),
        ([*ASKED, *PROFILE, "--device", "cuda"], "--device is settled by"),
        (["run", str(RECIPES / "demo.toml"), *PROFILE], "--profile describes a site's Slurm"),
        (["run", str(RECIPES / "demo.toml"), "--processes", "3", "--tensor-parallel", "2"], "cannot be shared out"),
    ],
)
def test_what_does_not_go_together_is_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


def test_without_slurm_it_says_where_to_submit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([*ASKED, *PROFILE, "--store", str(tmp_path / "store")]) == 2
    assert "there is no sbatch here" in capsys.readouterr().err
