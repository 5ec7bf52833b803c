"""Replay finds honest trainings identical or consistent, and dishonest ones different."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.audit.replay import makers
from tests.audit.replay.makers import EVERY, STEPS, make

from fonderie.audit.replay import replay_release
from fonderie.audit.replay.sampling import draw, segments_between
from fonderie.core.errors import ReleaseError, UsageError
from fonderie.core.machine import Machine
from fonderie.release.verify import verify

pytestmark = pytest.mark.slow

OTHER_KERNELS = {"MKL_CBWR": "COMPATIBLE", "ATEN_CPU_CAPABILITY": "default"}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("honest"))


def seed_that_draws(last: int) -> int:
    """An auditor's seed whose single segment ends at this step."""
    segments = segments_between(range(EVERY, STEPS + 1, EVERY))
    return next(seed for seed in range(1000) if draw(segments, 1, seed)[0].last == last)


def test_an_honest_training_comes_to_the_same_bits(release: Path) -> None:
    report = replay_release(release, segments=4, seed=1)
    assert report.verdict == "identical"
    assert [(item.first, item.last) for item in report.segments] == [(0, 10), (10, 20), (20, 30), (30, 40)]
    assert all(item.losses_equal and item.chain_equal and item.state_equal for item in report.segments)
    assert {item.probability for item in report.detection} == {1.0}


def test_the_number_of_threads_changes_no_bit(release: Path) -> None:
    assert replay_release(release, segments=1, seed=3, machine=Machine(threads=2)).verdict == "identical"


def test_the_auditor_may_bring_the_token_shards(release: Path, tmp_path: Path) -> None:
    copy = tmp_path / "release"
    shutil.copytree(release, copy)
    (copy / "data/tokens").rename(tmp_path / "tokens")
    with pytest.raises(ReleaseError, match="no token shards"):
        replay_release(copy, segments=1, seed=0)
    report = replay_release(copy, segments=1, seed=0, tokens=[tmp_path / "tokens"])
    assert (report.verdict, report.tokens_from) == ("identical", str(tmp_path / "tokens"))


def test_what_cannot_be_replayed_says_why(release: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="publishes 4"):
        replay_release(release, segments=5, seed=0)
    with pytest.raises(ReleaseError, match=r"no release\.json|has no release"):
        replay_release(tmp_path, segments=1, seed=0)
    copy = tmp_path / "release"
    shutil.copytree(release, copy)
    (copy / "training/commitment.json").unlink()
    with pytest.raises(ReleaseError, match="committed to nothing"):
        replay_release(copy, segments=1, seed=0)


def test_a_shard_swapped_after_the_training_is_named(release: Path, tmp_path: Path) -> None:
    copy = tmp_path / "release"
    shutil.copytree(release, copy)
    shard = next(path for path in sorted((copy / "data/tokens/tokens").iterdir()) if path.stat().st_size)
    ids = np.fromfile(shard, dtype="<u2")
    ids[: len(ids) // 2].tofile(shard)
    with shard.open("ab") as file:
        ids[len(ids) // 2 :][::-1].tofile(file)
    report = replay_release(copy, segments=1, seed=0)
    assert report.verdict == "different"
    assert shard.name in report.problems[0]
    assert not report.segments


def test_a_log_edited_by_hand_breaks_its_chain(release: Path, tmp_path: Path) -> None:
    copy = tmp_path / "release"
    shutil.copytree(release, copy)
    log = copy / "training/log.jsonl"
    lines = log.read_text().splitlines()
    lines[4] = json.dumps({**json.loads(lines[4]), "loss": 1.0})
    log.write_text("\n".join(lines) + "\n")
    report = replay_release(copy, segments=1, seed=0)
    assert report.verdict == "different"
    assert "step 5" in report.problems[0]


def cli(release: Path, *arguments: str, environment: dict[str, str]) -> tuple[int, dict]:
    done = subprocess.run(
        [sys.executable, "-m", "fonderie.cli", "replay", release, "--json", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_other_kernels_are_consistent_within_a_measured_tolerance(release: Path) -> None:
    status, report = cli(release, "--segments", "1", "--seed", "2", environment=OTHER_KERNELS)
    (segment,) = report["segments"]
    if segment["state_equal"]:
        pytest.skip("this processor's kernels all sum in the same order: there is no other stack to be had here")
    assert (status, report["verdict"]) == (0, "consistent")
    assert segment["weights"] <= segment["tolerance"]["weights"]
    assert segment["tolerance"]["control_rejected"]
    assert "consistent within the tolerance" in report["detail"]


CONTROLS = {
    "learning rate + 1 %": (makers.faster, 2 * EVERY),
    "a skipped batch": (makers.lie_about_batches(makers.skip), 3 * EVERY),
    "a swapped shard": (makers.lie_about_batches(makers.swap_shard), EVERY),
    "a forged log": (makers.flatter, 3 * EVERY),
    "a checkpoint from another seed, as end": (makers.another_seed, 2 * EVERY),
    "a checkpoint from another seed, as start": (makers.another_seed, 3 * EVERY),
}
"""The maker, and the step that ends a segment in which its lie shows."""


@pytest.mark.parametrize("name", CONTROLS)
def test_a_dishonest_training_is_different(name: str, tmp_path: Path) -> None:
    maker, last = CONTROLS[name]
    report = replay_release(make(tmp_path, maker), segments=1, seed=seed_that_draws(last))
    assert report.verdict == "different"
    assert not report.problems, "the forger left no contradiction, so only retraining can tell"
    assert [segment.last for segment in report.segments] == [last]


@pytest.mark.parametrize("name", ["learning rate + 1 %", "a forged log"])
def test_a_dishonest_training_is_different_on_other_kernels_too(name: str, tmp_path: Path) -> None:
    maker, last = CONTROLS[name]
    forged = make(tmp_path, maker)
    status, report = cli(forged, "--seed", str(seed_that_draws(last)), environment=OTHER_KERNELS)
    assert (status, report["verdict"]) == (1, "different")
    assert not report["problems"]
    assert [segment["last"] for segment in report["segments"]] == [last]


def test_hashes_alone_cannot_tell_a_forger_who_recomputes_them(tmp_path: Path) -> None:
    forged = make(tmp_path, makers.flatter)
    assert verify(forged).ok
    assert replay_release(forged, segments=1, seed=0).verdict == "different"
