"""A training that is asked to stop stops after its step, anywhere, and what comes of it is the same."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.train.pretraining import SMALL, artifact

from fonderie.core import pause
from fonderie.core.machine import Machine
from fonderie.core.manifest import list_files
from fonderie.core.progress import Bar, Silent
from fonderie.core.step import Inputs, Output
from fonderie.train.steps.pretrain import PretrainParameters, pretrain

pytestmark = pytest.mark.slow


class AsksAt(Silent):
    """Makes the wish when a step is counted, as a signal would."""

    def __init__(self, step: int) -> None:
        self.step, self.counted = step, 0

    @contextmanager
    def bar(self, label: str, total: int, unit: str) -> Iterator[Bar]:
        with super().bar(label, total, unit):
            yield self

    def advance(self, count: int = 1, note: str = "") -> None:
        self.counted += count
        if self.counted == self.step:
            os.kill(os.getpid(), signal.SIGUSR1)

    def skip(self, count: int) -> None:
        self.counted += count


def run(tokens: Path, tokenizer: Path, staging: Path, asks_at: int | None = None) -> Output:
    out = Output(staging / "files", staging / "state")
    for folder in (out.path, out.state):
        folder.mkdir(parents=True, exist_ok=True)
    inputs = Inputs({"tokens": (artifact(tokens),), "tokenizer": (artifact(tokenizer),)})
    changes = {"duration": "30 steps", "checkpoint_every": 10, "checkpoints_kept": 9}
    machine = Machine(reporter=Silent() if asks_at is None else AsksAt(asks_at))
    with pause.on_signal():
        pretrain(inputs, PretrainParameters.model_validate({**SMALL, **changes}), out, machine)
    return out


def test_stopped_anywhere_it_goes_on_to_the_same_bytes(tokens_folder, tokenizer_folder, tmp_path):
    whole = run(tokens_folder, tokenizer_folder, tmp_path / "whole")
    # Within the first stretch, at a checkpoint, right after one, and before the last step.
    for step in (3, 10, 11, 29):
        with pytest.raises(pause.Paused, match=f"after step {step}"):
            run(tokens_folder, tokenizer_folder, tmp_path / "stopped", asks_at=step)
        left = [path.name for path in (tmp_path / "stopped/state/paused").glob("step-*")]
        assert left == ([] if step == 10 else [f"step-{step:08d}"])
    again = run(tokens_folder, tokenizer_folder, tmp_path / "stopped")
    assert again.measured["resumed_from_step"] == 29
    assert list_files(again.path) == list_files(whole.path)


def test_asked_at_the_last_step_it_ends(tokens_folder, tokenizer_folder, tmp_path):
    out = run(tokens_folder, tokenizer_folder, tmp_path, asks_at=30)
    assert out.statistics["steps"] == 30


def test_the_wish_is_passed_on_once_made_and_forgotten_afterwards():
    told = []
    with pause.on_signal(), pause.passed_on(lambda: told.append("before")):
        assert not pause.asked()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert pause.asked()
        with pause.passed_on(lambda: told.append("after")):
            assert told == ["before", "after"]
    assert not pause.asked()
