"""What a training can be asked is checked by verify and replay, each kind of it: phases, optimizers, losses, masks."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.audit.replay import makers
from tests.audit.replay.makers import make
from tests.audit.replay.test_replay import seed_that_draws

from fonderie.audit.replay import replay_release
from fonderie.core.machine import Machine
from fonderie.core.step import Inputs, Output
from fonderie.release.verify import verify
from fonderie.train.settings.plan import Plan
from fonderie.train.settings.pretrain import PretrainParameters
from fonderie.train.steps import pretrain as honest
from fonderie.train.training import Training

pytestmark = pytest.mark.slow

KINDS = (
    'base.optimizer="muon"',
    "base.z_loss=1e-3",
    "base.intra_document=true",
    "base.goldfish_every=3",
    "base.goldfish_context=4",
    "base.checkpoint_dense_until=4",
    'base.checkpoints_kept="all"',
)
PHASES = (
    'base.phases=[{name="main",duration="20 steps"},'
    '{name="annealing",duration="20 steps",context=32,rope_theta=5e4,schedule="linear",warmup=0}]',
    'base.duration="1 epoch"',
    "base.rope_theta=1e4",
    'base.inputs={tokens=["packed","best"],tokenizer="bpe"}',
)
BEST = """
[few]
step = "corpus.mix"
inputs = { documents = "training" }
epochs = { letters = 2, toy = 0.5 }

[best]
step = "tokens.pack"
inputs = { documents = "few", tokenizer = "bpe" }

[scores]"""


@pytest.fixture(scope="module")
def phased(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("phased"), None, *PHASES, recipe=("\n[scores]", BEST))


def test_every_kind_of_optimizer_loss_and_mask_verifies_and_is_replayed_to_the_bit(tmp_path: Path) -> None:
    release = make(tmp_path, None, *KINDS)
    found = verify(release)
    assert found.ok, found.problems
    assert all(link.checked for link in found.links if link.name != "sources")
    report = replay_release(release, segments=7, seed=1)
    assert report.verdict == "identical"
    assert [item.last for item in report.segments] == [1, 2, 4, 10, 20, 30, 40]


def test_phases_on_two_mixes_verify_and_are_replayed_to_the_bit(phased: Path) -> None:
    assert (phased / "data/tokens-2/index.json").is_file()
    found = verify(phased)
    assert found.ok, found.problems
    assert all(link.checked for link in found.links if link.name != "sources")
    report = replay_release(phased, segments=4, seed=0)
    assert report.verdict == "identical"
    assert [(item.first, item.last) for item in report.segments] == [(0, 10), (10, 20), (20, 30), (30, 40)]


def test_the_auditor_may_bring_the_shards_of_every_mix(phased: Path, tmp_path: Path) -> None:
    copy = tmp_path / "release"
    shutil.copytree(phased, copy)
    brought = [tmp_path / "one", tmp_path / "two"]
    for place, folder in zip(("data/tokens", "data/tokens-2"), brought, strict=True):
        (copy / place).rename(folder)
    for tokens in (brought, brought[::-1]):
        assert replay_release(copy, segments=1, seed=0, tokens=tokens).verdict == "identical"


def test_a_shard_of_the_second_mix_that_was_altered_is_named(phased: Path, tmp_path: Path) -> None:
    copy = tmp_path / "release"
    shutil.copytree(phased, copy)
    shard = next(path for path in sorted((copy / "data/tokens-2/tokens").iterdir()) if path.stat().st_size)
    np.fromfile(shard, "<u2")[::-1].tofile(shard)
    found = verify(copy)
    assert any(f"data/tokens-2/tokens/{shard.name}" in problem for problem in found.problems)
    report = replay_release(copy, segments=1, seed=0)
    assert report.verdict == "different"
    assert shard.name in report.problems[0]


def with_plan(change: Callable[[Plan], Plan]) -> makers.Maker:
    """A maker that trains by another plan than the one it commits to."""

    def maker(inputs: Inputs, params: PretrainParameters, out: Output, machine: Machine) -> None:
        def alter(training: Training) -> Training:
            return replace(training, plan=change(training.plan))

        with makers.training_altered(alter):
            honest.pretrain(inputs, params, out, machine)

    return maker


def another_base(plan: Plan) -> Plan:
    """The second phase at twice the base of its positions."""
    *before, last = plan.phases
    return replace(plan, phases=(*before, replace(last, rope_theta=1e5)))


def test_a_phase_that_did_otherwise_than_it_says_is_different(tmp_path: Path) -> None:
    forged = make(tmp_path, with_plan(another_base), *PHASES, recipe=("\n[scores]", BEST))
    assert verify(forged).ok, "no hash can tell"
    report = replay_release(forged, segments=1, seed=seed_that_draws(30))
    assert report.verdict == "different"
    assert not report.problems


def test_a_training_from_a_seed_checkpoint_is_verified_and_replayed_from_it(tmp_path: Path) -> None:
    again = """
[again]
step = "train.pretrain"
inputs = { tokens = "packed", tokenizer = "bpe", model = "base@step-0" }
depth = 2
width = 32
heads = 2
kv_heads = 1
head_size = 16
hidden = 64
init_std = 0.2
context = 64
batch = 2
duration = "10 steps"
checkpoint_every = 5
checkpoints_kept = 5
seed = 3

[scores]"""
    release = make(
        tmp_path,
        None,
        'base.checkpoints_kept="all"',
        'scores.inputs={model="again",tokenizer="bpe",documents="held"}',
        'answers.inputs={model="again",tokenizer="bpe"}',
        'release.inputs={model="again",tokenizer="bpe",scores="scores",samples="answers"}',
        recipe=("\n[scores]", again),
    )
    found = verify(release)
    assert found.ok, found.problems
    report = replay_release(release, segments=2, seed=0)
    assert report.verdict == "identical"
    assert [(item.first, item.last) for item in report.segments] == [(0, 5), (5, 10)]
    summary = (release / "documents/public-summary.en.md").read_text(encoding="utf-8")
    assert "[again]" in summary or "`again`" in summary


def test_the_release_of_a_checkpoint_is_verified_up_to_its_step(tmp_path: Path) -> None:
    taken = """
[middle]
step = "model.checkpoint"
inputs = { model = "base" }
at = "step-20"
state = true

[scores]"""
    release = make(
        tmp_path,
        None,
        'scores.inputs={model="middle",tokenizer="bpe",documents="held"}',
        'answers.inputs={model="middle",tokenizer="bpe"}',
        'release.inputs={model="middle",tokenizer="bpe",scores="scores",samples="answers"}',
        recipe=("\n[scores]", taken),
    )
    found = verify(release)
    assert found.ok, found.problems
    assert len((release / "training/log.jsonl").read_bytes().splitlines()) == 20
    assert json.loads((release / "config.json").read_bytes())["max_position_embeddings"] == 64
    links = {link.name: link for link in found.links}
    assert links["weights"].checked
    assert links["tokens"].checked
    assert replay_release(release, segments=1, seed=0).verdict == "identical"
