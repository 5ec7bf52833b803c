"""A stretch done again takes part in everything that the commitment says: without any of it, it is another."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.train.pretraining import run

from fonderie.core.machine import Machine
from fonderie.train.record import checkpoint
from fonderie.train.record.commitment import read_log
from fonderie.train.segment import retrain
from fonderie.train.training import Training, read_commitment

pytestmark = pytest.mark.slow

SHORT = {"duration": "8 steps", "checkpoint_every": 4, "checkpoints_kept": 9}
ASKED = {
    "optimizer": "muon",
    "z_loss": 1e-2,
    "intra_document": True,
    "goldfish_every": 4,
    "goldfish_context": 2,
    "weight_decay_embeddings": 0.5,
}


@pytest.fixture
def made(tokens_folder, tokenizer_folder, tmp_path):
    return run(tokens_folder, tokenizer_folder, tmp_path / "run", **SHORT, **ASKED).path


def without_goldfish(training: Training) -> Training:
    return replace(training, data=tuple(replace(batches, goldfish=None) for batches in training.data))


def with_documents_that_see_each_other(training: Training) -> Training:
    return replace(training, data=tuple(replace(batches, begins=None) for batches in training.data))


def without_z_loss(training: Training) -> Training:
    return replace(training, plan=replace(training.plan, z_loss=0.0))


def with_other(**changes: object) -> Callable[[Training], Training]:
    return lambda training: replace(training, params=training.params.model_copy(update=changes))


OTHERWISE = {
    "Goldfish": without_goldfish,
    "documents": with_documents_that_see_each_other,
    "z-loss": without_z_loss,
    "optimizer": with_other(optimizer="adamw"),
    "momentum": with_other(momentum=0.9),
    "decay": with_other(weight_decay_embeddings=0.4),
}


@pytest.mark.parametrize("what", [None, *OTHERWISE])
def test_a_segment_is_the_same_to_the_bit_only_if_all_is_as_committed(made, tokens_folder, tmp_path, what):
    commitment, lines = read_commitment(made / "commitment.json"), read_log((made / "log.jsonl").read_bytes())
    training = Training.committed(commitment, [tokens_folder])
    start = made / "checkpoints/step-00000004" if what != "optimizer" else None
    first = 4 if start else 0
    head = lines[first - 1].chain if first else commitment.digest
    if what is not None:
        training = OTHERWISE[what](training)
    found = retrain(training, start, 8, head=head, scratch=tmp_path / "scratch", machine=Machine())
    same = (found.lines == tuple(lines[first:]), found.end.root == lines[7].checkpoint)
    assert same == ((True, True) if what is None else (False, False))
    assert checkpoint.all_of(made / "checkpoints")
