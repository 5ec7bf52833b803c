"""Profiles are read whole or refused by name, and scripts say what they say."""

import re
from pathlib import Path

import pytest

from fonderie.core.errors import InputError, UsageError
from fonderie.core.recipe import load_recipe
from fonderie.core.slurm.profile import Job, Training, read_profile, seconds_of
from fonderie.core.slurm.script import preparations, script
from fonderie.core.slurm.submit import stages
from fonderie.core.steps import find_step

RECIPES = Path(__file__).parents[3] / "recipes"


def profile(folder: Path, text: str) -> Path:
    path = folder / "profile.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "training: Field required"),
        ("[training]", "training.time: Field required"),
        ('[training]\ntime = "10"\ngpu = 4', r"training\.gpu is unknown(.|\n)*Known are: account, partition"),
        ('[training]\ntime = "60"\n[train]', r"train is unknown(.|\n)*Known are: training, preparation"),
        ('[training]\ntime = "soon"', r"training\.time: String should match"),
        ('[training]\ntime = "10"', "warn_seconds 900 is not below the limit of a job, time = 10"),
        ('[training]\ntime = "60"\naccount = "a; rm -rf ~"', r"training\.account: String should match"),
        ('[training]\ntime = "60"\nprocesses_per_node = 4', "4 processes on a node are more than its 1 cores"),
        ('[training]\ntime = "60"\nsetup = ["a\\nb"]', "each line of setup is one string"),
        ('[training]\ntime = "60"\nenvironment = { "A B" = "1" }', "'A B' is no name of a variable"),
        ("[training", "is no TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_profile(profile(tmp_path, text))
    assert re.search(said, str(caught.value)), str(caught.value)


def test_a_profile_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml cannot be read"):
        read_profile(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("time", "seconds"),
    [("90", 5400), ("1:30", 90), ("20:00:00", 72000), ("4-04:00:00", 360000), ("1-12", 129600), ("2-1:30", 178200)],
)
def test_limits_are_read_as_sbatch_reads_them(time: str, seconds: int) -> None:
    assert seconds_of(time) == seconds


def test_a_script_asks_for_what_the_profile_says_and_becomes_the_link(tmp_path: Path) -> None:
    job = Job(
        account="mine@gpu",
        gpus_per_node=4,
        cpus_per_node=32,
        time="20:00:00",
        links=3,
        warn_seconds=60,
        modules=("cuda", "gcc"),
        setup=("source env",),
        environment={"A": "b c"},
    )
    lines = script(job, name="mine-training", folder=tmp_path, stage="training").splitlines()
    assert lines[0] == "#!/bin/bash"
    asked = {line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH")}
    assert {"account=mine@gpu", "gres=gpu:4", "array=1-3%1", "signal=B:USR1@60", "requeue"} <= asked
    assert not [option for option in asked if option.startswith(("qos", "mem", "exclusive"))]
    commands = lines[lines.index("set -eo pipefail") :]
    assert commands[1:5] == ["module purge", "module load cuda gcc", "source env", "export A='b c'"]
    assert commands[-1].startswith("exec ")


def test_what_comes_before_the_training_is_prepared_and_nothing_after_it() -> None:
    recipe = load_recipe(RECIPES / "demo.toml", [], find_step)
    assert preparations(recipe, recipe.names_until(None)) == ["held_out", "shards", "asked"]


def test_processes_follow_from_the_site(tmp_path: Path) -> None:
    recipe = load_recipe(RECIPES / "demo.toml", [], find_step)
    names = recipe.names_until("base")
    site = read_profile(RECIPES / "slurm/jean-zay.toml")
    prepared, trained = stages(recipe, site, names, ["demo.toml"], tmp_path)
    assert [command[-2:] for command in prepared.commands] == [["--until", "shards"]]
    (command,) = trained.commands
    options = dict(zip(command[5::2], command[6::2], strict=True))
    assert options == {
        "--workers": "96",
        "--threads": "24",
        "--processes": "8",
        "--nodes": "2",
        "--tensor-parallel": "1",
        "--device": "cuda",
        "--until": "base",
    }
    assert Training(time="60", cpus_per_node=4, warn_seconds=1).processes == 1
