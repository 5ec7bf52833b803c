"""A run as jobs of a real Slurm: made in stages, on two nodes, paused before its limit, stopped by hand, and ended."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.core.slurm.cluster import Cluster, missing, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"Slurm is not installed here: {', '.join(missing())}"),
]

STEPS = 800
RECIPE = """
[recipe]
title = "By Slurm"

[tales]
step = "corpus.generate"
stories = 40

[bpe]
step = "tokens.bpe"
inputs = { documents = "tales" }
vocabulary = 300

[shards]
step = "tokens.pack"
inputs = { documents = "tales", tokenizer = "bpe" }

[base]
step = "train.pretrain"
inputs = { tokens = "shards", tokenizer = "bpe" }
depth = 1
width = 32
head_size = 16
context = 32
batch = 4
duration = "800 steps"
checkpoint_every = 250
"""
PROFILE = """
[preparation]
time = "5"
links = 2
warn_seconds = 30

[training]
nodes = 2
threads = 1
time = "10"
links = 4
warn_seconds = 30
environment = { FONDERIE_COUNTRY = "FR" }
"""


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("slurm")) as found:
        yield found


def wait(ready: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"waited too long for {what}"
        time.sleep(0.1)


def fonderie(folder: Path, cluster: Cluster | None, *arguments: str) -> str:
    environment = {**os.environ, **(cluster.variables if cluster else {})}
    command = [sys.executable, "-m", "fonderie.cli", "run", "recipe.toml", *arguments, "--json"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_chain_is_paused_stopped_and_goes_on_to_the_same_bytes(tmp_path: Path, cluster: Cluster) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "profile.toml").write_text(PROFILE)
    asked = ["--on", "slurm", "--profile", "profile.toml", "--store", "chained"]
    told = json.loads(fonderie(tmp_path, cluster, *asked))
    training = told["jobs"]["training"]
    folder, stop = Path(told["folder"]), Path(told["stop"])

    def output() -> str:
        return "".join(path.read_text() for path in sorted(folder.glob("*.log")))

    def steps() -> int:
        logs = list((tmp_path / "chained/staging").glob("*/whole/files/log.jsonl"))
        return logs[0].read_bytes().count(b"\n") if logs else 0

    # The preparation comes first, cancels the link it no longer needs, and the training follows.
    wait(lambda: steps() > 5, "the training to begin")
    assert (folder / "preparation.finished").exists()
    assert not [job for job in cluster.states() if job.startswith(str(told["jobs"]["preparation"]))]

    # What Slurm does before the limit (the script asks for it with --signal), at a moment that the test chooses: the
    # script's own process gets the signal. The job leaves a checkpoint and is queued again.
    # scancel itself asks on while the job is being queued again, and nobody waits for that.
    asking = cluster.begin("scancel", "--batch", "--signal=USR1", f"{training}_1")
    wait(lambda: "this job is queued again" in output(), "the pause")
    asking.kill()
    asking.wait()
    (paused,) = (tmp_path / "chained/staging").glob("*/state/paused/step-*")

    # Another link goes on where that one was. The kill switch ends it, and all that wait.
    wait(lambda: steps() > int(paused.name.removeprefix("step-")), "the next link")
    stop.touch()
    wait(lambda: not cluster.states(), "the end of the chain")
    assert f"stopped by {stop}" in output()
    assert steps() < STEPS

    # Submitted again, the chain ends the run; what comes of it is what one run comes to.
    stop.unlink()
    fonderie(tmp_path, cluster, *asked)
    wait(lambda: not cluster.states(), "the end of the run")
    assert (folder / "training.finished").exists(), output()
    chained = json.loads(fonderie(tmp_path, None, "--store", "chained"))
    straight = json.loads(fonderie(tmp_path, None, "--store", "straight", "--processes", "2", "--threads", "1"))
    assert chained["made"] == []
    assert {name: call["digest"] for name, call in chained["calls"].items()} == {
        name: call["digest"] for name, call in straight["calls"].items()
    }
    manifest = json.loads((Path(chained["calls"]["base"]["path"]).parent / "manifest.json").read_text())
    assert manifest["energy"]["country"] == "FR"
