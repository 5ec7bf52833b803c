"""What people see of a training: written beside the artifact, whole after a kill, and nothing of it in the bytes."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.evaluate.small import RECIPE, find_step, write_letters
from tests.train.view.test_mix import plan_of

from fonderie.core.machine import Machine
from fonderie.core.progress import Terminal
from fonderie.core.recipe import load_recipe
from fonderie.core.run import run_recipe
from fonderie.core.step import Artifact
from fonderie.core.store import Store
from fonderie.model.config import ModelConfig
from fonderie.train.record.commitment import read_log
from fonderie.train.view.record import Events, Moment, Times, last_run, read_times
from fonderie.train.view.view import flops_until, throughput

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
STEPS = 40


def train(folder: Path, machine: Machine | None = None, *overrides: str) -> Artifact:
    """The toy recipe until its training, of forty steps, in a store in the folder."""
    path = folder / "toy.toml"
    if not path.exists():
        write_letters(folder / "letters")
        path.write_text(RECIPE.replace('"3 steps"', f'"{STEPS} steps"'), encoding="utf-8")
    recipe = load_recipe(path, overrides, find_step)
    return run_recipe(recipe, Store(folder / "store"), machine or Machine(), until="base").artifacts["base"]


def events(view: Path) -> EventAccumulator:
    """The event files of a training, as TensorBoard's own reader has them."""
    found = EventAccumulator(str(view / "tensorboard"))
    found.Reload()
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifact, str]:
    """A training, and what it printed where there is no terminal."""
    printed = io.StringIO()
    machine = Machine(country="FR", watts=20.0, reporter=Terminal(Console(file=printed, width=300)))
    return train(tmp_path_factory.mktemp("view"), machine), printed.getvalue()


def view_of(artifact: Artifact) -> Path:
    return artifact.path.with_name("view")


def test_tensorboard_reads_every_step(trained: tuple[Artifact, str]) -> None:
    artifact, _ = trained
    lines = read_log((artifact.path / "log.jsonl").read_bytes())
    found = events(view_of(artifact))
    assert {"loss", "learning_rate", "gradient_norm", "tokens", "tokens_per_second", "mfu"} <= set(
        found.Tags()["scalars"]
    )
    for tag in ("loss", "learning_rate", "gradient_norm", "tokens"):
        scalars = found.Scalars(tag)
        assert [scalar.step for scalar in scalars] == [line.step for line in lines]
        # Event files hold single precision.
        assert [scalar.value for scalar in scalars] == pytest.approx(
            [getattr(line, tag) for line in lines], rel=1e-6
        )


def test_what_is_watched_is_no_part_of_the_artifact(trained: tuple[Artifact, str], tmp_path: Path) -> None:
    artifact, _ = trained
    assert {path.name for path in view_of(artifact).iterdir()} == {"outlook.json", "times.jsonl", "tensorboard"}
    assert not [entry.path for entry in artifact.manifest.files if "view" in entry.path or "event" in entry.path]
    assert train(tmp_path).digest == artifact.digest
    # Nor is the machine named in it.
    names = [path.name for path in (view_of(artifact) / "tensorboard").iterdir()]
    assert names == [name for name in names if os.uname().nodename not in name.split(".")]


def test_the_manifest_keeps_speed_arithmetic_and_energy(trained: tuple[Artifact, str]) -> None:
    artifact, _ = trained
    measured, statistics = artifact.manifest.measured, artifact.manifest.statistics
    assert measured["flops_computed"] == statistics["flops"]
    assert measured["mfu"] == pytest.approx(
        statistics["flops"] / measured["training_seconds"] / measured["peak_flops_per_second"], rel=0.02, abs=1e-4
    )
    assert measured["peak_method"].startswith("measured: the fastest of")
    assert 0 <= measured["waited_for_data_share"] < 1
    assert (measured["runs"], measured["resumed_from_step"]) == (1, 0)
    assert measured["throughput"][-1][0] == STEPS
    energy = artifact.manifest.energy
    assert energy["country"] == "FR"
    assert energy["estimate"]["formula"].startswith("20 W, stated by the operator, x ")


def test_it_says_at_first_what_it_measures_and_what_not(trained: tuple[Artifact, str]) -> None:
    _, printed = trained
    said = next(line for line in printed.splitlines() if "peak" in line)
    assert "GFLOP/s (measured: the fastest of" in said
    assert "energy measured" in said or "energy not measured: no readable RAPL counter" in said


def test_the_note_beside_the_bar(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("fonderie.core.progress.LINE_INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr("fonderie.core.progress.LINE_INTERVAL_SHARE", 0.0)
    monkeypatch.setattr("fonderie.train.view.view.NOTE_SECONDS", 0.0)
    printed = io.StringIO()
    train(tmp_path, Machine(watts=20.0, reporter=Terminal(Console(file=printed, width=300))))
    lines = [line for line in printed.getvalue().splitlines() if line.startswith("  training: ")]
    assert len(lines) == STEPS
    assert lines[-1].startswith(f"  training: {STEPS}/{STEPS} steps loss ")
    assert "tokens/s, MFU " in lines[-1]
    assert "Wh" in lines[-1]


SCRIPT = """
import sys
from pathlib import Path
from tests.train.view.test_view import train

if __name__ == "__main__":
    train(Path(sys.argv[1]))
"""


def test_a_training_that_was_killed_is_gone_on_with_in_view(
    trained: tuple[Artifact, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path, None, "base.duration='1 steps'")  # what comes before the training is made
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)], cwd=ROOT)
    staging = tmp_path / "store" / "staging"
    until = time.monotonic() + 60
    while not any(path.read_bytes().count(b"\n") > 5 for path in staging.glob("*/whole/files/log.jsonl")):
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    monkeypatch.setattr("fonderie.train.view.record.INTERVAL_SECONDS", 0.0)
    artifact = train(tmp_path)
    assert artifact.digest == trained[0].digest
    view, measured = view_of(artifact), artifact.manifest.measured
    moments = read_times(view)
    assert {moment.run for moment in moments} == {1, 2}
    assert measured["runs"] == 2
    assert measured["resumed_from_step"] > 0
    assert moments[-1].step == STEPS
    # The reference reader drops what the first run wrote beyond the checkpoint that the second began from.
    assert [scalar.step for scalar in events(view).Scalars("loss")] == list(range(1, STEPS + 1))
    assert artifact.manifest.energy["runs"] == 2


def test_times_survive_a_torn_line(tmp_path: Path) -> None:
    moment = Moment(run=1, step=3, tokens=6, seconds=1.5, waited=0.1, joules=None, time=1.0)
    times = Times(tmp_path)
    times.write(moment)
    times.close()
    with (tmp_path / "times.jsonl").open("a") as file:
        file.write('{"run": 1, "st')
    again = Times(tmp_path)
    again.write(moment.model_copy(update={"run": 2}))
    again.close()
    assert [found.run for found in read_times(tmp_path)] == [1, 2]
    assert last_run(tmp_path) == 2
    assert last_run(tmp_path / "absent") == 0


def test_lines_of_times_grow_rare(tmp_path: Path) -> None:
    times = Times(tmp_path)
    written, now = 0, 0.0
    while now < 7 * 86_400:
        if times.due(now):
            times.write(Moment(run=1, step=0, tokens=0, seconds=now, waited=0, joules=None, time=0))
            written += 1
        now += 1.0 if now < 2_000 else 60.0
    times.close()
    assert 2_000 < written < 4_500


def test_event_files_of_one_second_are_told_apart(tmp_path: Path) -> None:
    for run in (1, 2):
        writer = Events(tmp_path / "tensorboard", after=0)
        writer.write(1, {"loss": float(run)})
        writer.close()
    assert [scalar.value for scalar in events(tmp_path).Scalars("loss")] == [2.0]


def test_speed_is_taken_between_moments_and_the_later_run_counts() -> None:
    def moment(run: int, step: int, seconds: float) -> Moment:
        return Moment(run=run, step=step, tokens=10 * step, seconds=seconds, waited=0, joules=None, time=0)

    moments = [
        *(moment(1, 0, 0.0), moment(1, 5, 1.0), moment(1, 9, 2.0)),
        *(moment(2, 5, 0.0), moment(2, 10, 0.5), moment(2, 10, 0.6)),
    ]
    assert throughput(moments) == [(5, 50.0), (10, 100.0)]
    assert throughput([]) == []
    many = [moment(1, step, float(step)) for step in range(1_000)]
    assert len(throughput(many)) == 100
    assert {speed for _, speed in throughput(many)} == {10.0}


def test_arithmetic_counts_each_phase_with_its_context() -> None:
    config = ModelConfig.from_depth(1, vocabulary=64, context=64)
    plan = plan_of(("main", 10, 2, 32), ("long", 5, 1, 64))
    short = config.model_copy(update={"context": 32})
    assert flops_until(config, plan, 0) == 0
    assert flops_until(config, plan, 4) == 4 * 64 * short.flops_per_token
    assert flops_until(config, plan, 15) == 10 * 64 * short.flops_per_token + 5 * 64 * config.flops_per_token


def test_times_are_plain_json(trained: tuple[Artifact, str]) -> None:
    lines = (view_of(trained[0]) / "times.jsonl").read_text().splitlines()
    assert all(set(json.loads(line)) == set(Moment.model_fields) for line in lines)
