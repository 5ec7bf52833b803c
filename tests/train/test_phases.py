"""Phases: their data, contexts, rates and ends; that they go on from each other; and what of them is refused."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.train.conftest import make_tokenizer, make_tokens
from tests.train.pretraining import SMALL, artifact, run

from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.core.manifest import list_files
from fonderie.model.convert import load_pretrained
from fonderie.tokens.shards import TokenStream
from fonderie.train.record import checkpoint
from fonderie.train.record.commitment import parse_commitment, read_log, shuffle_seed
from fonderie.train.seen import steps_that_saw
from fonderie.train.segment import retrain
from fonderie.train.settings.pretrain import PretrainParameters
from fonderie.train.training import Training, read_commitment

pytestmark = pytest.mark.slow

PHASES = [
    {
        "name": "main",
        "duration": "2048 tokens",
        "batch_ramp": {"start": 2, "by": 3, "over": "30 sequences"},
        "accumulation": 1,
        "warmup": "10 sequences",
    },
    {
        "name": "long",
        "duration": "6 steps",
        "context": 64,
        "rope_theta": 5e4,
        "batch": 4,
        "learning_rate": 1e-3,
        "schedule": "constant",
        "warmup": 0,
    },
    {
        "name": "annealing",
        "duration": "8 steps",
        "context": 64,
        "rope_theta": 5e4,
        "batch": 2,
        "learning_rate": 2e-3,
        "schedule": "linear",
        "warmup": 0,
    },
]
SHORT = {"phases": PHASES, "rope_theta": 1e4, "checkpoint_every": 5, "checkpoints_kept": 2}
ROOT = Path(__file__).parents[2]


@pytest.fixture
def other_folder(tokens_folder, tmp_path):
    """Another mix: the same documents, each token one higher."""
    folder = tmp_path / "other"
    shutil.copytree(tokens_folder, folder)
    for path in (folder / "tokens").iterdir():
        (np.fromfile(path, "<u2") + 1).astype("<u2").tofile(path)
    return folder


@pytest.fixture
def mixes(tokens_folder, other_folder):
    return [tokens_folder, tokens_folder, other_folder]


@pytest.fixture
def made(mixes, tokenizer_folder, tmp_path):
    return run(mixes, tokenizer_folder, tmp_path / "run", **SHORT).path


def training_of(made, mixes):
    return Training.committed(read_commitment(made / "commitment.json"), mixes)


def test_phases_have_their_own_lengths_rates_and_batches_and_count_on(made, mixes):
    training = training_of(made, mixes)
    lines = read_log((made / "log.jsonl").read_bytes())
    main, long, annealing = training.plan.phases
    assert training.plan.ends == (main.steps, main.steps + 6, main.steps + 14)
    assert [line.step for line in lines] == list(range(1, training.plan.steps + 1))
    sizes = [training.batches(line.step).ids.shape for line in lines]
    assert sizes == [(main.sizes.of(step), 33) for step in range(1, main.steps + 1)] + [(4, 65)] * 6 + [(2, 65)] * 8
    assert {rows for rows, _ in sizes[: main.steps]} == {2, 5, 8}
    assert np.diff([0, *(line.tokens for line in lines)]).tolist() == [rows * (ids - 1) for rows, ids in sizes]
    assert sum(rows * 32 for rows, _ in sizes[: main.steps]) >= 2048
    rates = [line.learning_rate for line in lines]
    assert rates[main.steps : main.steps + 6] == [1e-3] * 6
    last = rates[-8:]
    assert last == pytest.approx([2e-3 * (1 - step / 8) for step in range(8)])
    assert (long.context, annealing.rope_theta) == (64, 5e4)


def test_each_phase_reads_its_own_mix_in_an_order_of_its_own(made, mixes):
    training = training_of(made, mixes)
    commitment = parse_commitment((made / "commitment.json").read_bytes())
    roots = [data.tokens.root for data in commitment.data]
    assert roots[0] == roots[1] != roots[2]
    assert [data.shuffle_seed for data in commitment.data] == [
        shuffle_seed(root, 0, number) for number, root in enumerate(roots, 1)
    ]
    assert len({data.shuffle_seed for data in commitment.data}) == 3
    stream = TokenStream.open(mixes[2])
    ids = training.batches(training.plan.steps).ids
    for index, row in zip(training.data[2].indices(8), ids, strict=True):
        assert np.array_equal(row, stream.read(index * 64, index * 64 + 65))


def test_the_model_has_the_last_phases_context_and_the_ends_stay(made):
    config = json.loads((made / "config.json").read_bytes())
    assert (config["max_position_embeddings"], config["rope_theta"]) == (64, 5e4)
    derived = json.loads((made / "parameters.json").read_bytes())["training"]
    ends = [phase["first_step"] + phase["steps"] - 1 for phase in derived["phases"]]
    kept = [checkpoint.step_of(path) for path in checkpoint.all_of(made / "checkpoints")]
    assert set(ends) <= set(kept)
    assert kept[-2:] == [max(step for step in range(5, ends[-1], 5)), ends[-1]]
    assert load_pretrained(made).config.context == 64


def test_the_steps_that_saw_a_token_are_found_through_all_phases(made, mixes):
    training = training_of(made, mixes)
    model = artifact(made, *mixes)
    held: dict[Path, dict[int, list[tuple[int, int]]]] = {}
    for number, (phase, end) in enumerate(zip(training.plan.phases, training.plan.ends, strict=True)):
        for step in range(1, phase.steps + 1):
            spans = [(i * phase.context, (i + 1) * phase.context) for i in training.data[number].indices(step)]
            held.setdefault(mixes[number], {})[end - phase.steps + step] = spans
    for folder, by_step in held.items():
        length = len(TokenStream.open(folder))
        for start, stop in ((0, 1), (64, 65), (300, 420), (length - 1, length)):
            want = [step for step, spans in by_step.items() if any(a < stop and start <= b for a, b in spans)]
            assert steps_that_saw(model, artifact(folder), length, start, stop) == want


def test_a_segment_across_the_border_of_two_phases_is_the_same_to_the_bit(made, mixes, tmp_path):
    training = training_of(made, mixes)
    lines = read_log((made / "log.jsonl").read_bytes())
    first = training.plan.ends[0]
    start = made / "checkpoints" / checkpoint.folder_name(first)
    found = retrain(
        training, start, first + 9, head=lines[first - 1].chain, scratch=tmp_path / "scratch", machine=Machine()
    )
    assert found.lines == tuple(lines[first : first + 9])


def test_a_phase_begins_with_the_weights_and_the_optimizer_of_the_one_before(mixes, tokenizer_folder, tmp_path):
    """Two phases of one length, batch and rate on one mix are one training but for the order of the second."""
    same = {"warmup": 0, "schedule": "constant"}
    halves = [{"name": name, "duration": "6 steps"} for name in ("a", "b")]
    apart = run(mixes[0], tokenizer_folder, tmp_path / "apart", **same, phases=halves, checkpoint_every=6).path
    whole = run(mixes[0], tokenizer_folder, tmp_path / "whole", **same, duration="6 steps").path
    ends = [path / "checkpoints/step-00000006/model.safetensors" for path in (apart, whole)]
    assert ends[0].read_bytes() == ends[1].read_bytes()
    losses = [line.loss for line in read_log((apart / "log.jsonl").read_bytes())]
    assert max(abs(a - b) for a, b in pairwise(losses[4:])) < 0.5


def start(*arguments: object) -> "subprocess.Popen[bytes]":
    script = [sys.executable, "-m", "tests.train.pretraining"]
    return subprocess.Popen([*script, *map(str, arguments)], cwd=ROOT)


def test_killed_anywhere_it_ends_in_the_same_bytes(mixes, tokenizer_folder, tmp_path):
    """At random moments: while steps are taken, between phases, and while checkpoints are written, one every step."""
    first, *others = mixes
    changes = {**SHORT, "checkpoint_every": 1, "also_tokens": [str(path) for path in others]}
    changes |= {"optimizer": "muon", "z_loss": 1e-3, "intra_document": True, "goldfish_every": 4}
    arguments = (first, tokenizer_folder, tmp_path / "killed", "1", json.dumps(changes))
    assert start(first, tokenizer_folder, tmp_path / "whole", "1", json.dumps(changes)).wait() == 0
    whole = tmp_path / "whole/files"
    steps = len((whole / "log.jsonl").read_bytes().splitlines())
    # A random step of each half, and then a random moment of what follows it.
    at = [random.randint(1 + half * steps // 2, (half + 1) * steps // 2 - 1) for half in range(2)]
    after = [random.random() * 0.02 for _ in at]
    log = tmp_path / "killed/files/log.jsonl"
    for step, moment in zip(at, after, strict=True):
        process = start(*arguments)
        while not log.exists() or log.read_bytes().count(b"\n") < step:
            assert process.poll() is None, f"ended before step {step} of {at}"
            time.sleep(0.0005)
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert start(*arguments).wait() == 0
    assert list_files(tmp_path / "killed/files") == list_files(whole), f"killed at {at}, {after} later"


class Stop(BaseException):
    """As a crash would end the process, at a moment of the test's choosing."""


OPERATIONS = (
    (os, "fsync"),
    (os, "truncate"),
    (Path, "rename"),
    (Path, "replace"),
    (Path, "write_text"),
    (Path, "write_bytes"),
    (shutil, "rmtree"),
    (checkpoint, "save_file"),
)
"""All by which a training changes what lies on the disk, but for appending to the log."""


@contextmanager
def stopped_before(number: int | None) -> Iterator[list[str]]:
    """Raise Stop in place of the operation of this number; a list of those that came before it."""
    done: list[str] = []

    def counted(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def operation(*arguments: object, **options: object) -> object:
            if len(done) == number:
                if name == "save_file":
                    Path(str(arguments[1])).write_bytes(b"half a file")
                raise Stop
            done.append(name)
            return real(*arguments, **options)

        return operation

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in OPERATIONS:
            patch.setattr(owner, name, counted(name, getattr(owner, name)))
        yield done


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Two phases of few steps and many checkpoints, run whole: its folders, settings, files and operations."""
    phases = [
        {"name": "a", "duration": "3 steps"},
        {"name": "b", "duration": "2 steps", "context": 64, "rope_theta": 5e4},
    ]
    asked = {"phases": phases, "rope_theta": 1e4, "checkpoint_every": 2, "checkpoints_kept": 1, "batch": 2}
    folder = tmp_path_factory.mktemp("few")
    folders = make_tokens(folder / "tokens"), make_tokenizer(folder / "tokenizer")
    with stopped_before(None) as done:
        whole = run(*folders, folder / "whole", **asked).path
    return folder, folders, asked, list_files(whole), len(done)


@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_stopped_before_any_operation_on_the_disk_it_ends_in_the_same_bytes(few, data):
    """Twice, at moments that a random kill seldom meets: before a rename, with half a file, between phases."""
    folder, folders, asked, files, operations = few
    with tempfile.TemporaryDirectory(dir=folder) as name:
        place = Path(name)
        for _ in range(2):
            with (
                stopped_before(data.draw(st.integers(0, operations - 1))),
                contextlib.suppress(Stop),
            ):
                run(*folders, place, **asked)
        run(*folders, place, **asked)
        assert list_files(place / "files") == files


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"duration": "9 steps"}, "duration is each phase's own"),
        ({"phases": [PHASES[0], PHASES[0]]}, "two phases have the same name"),
        ({"phases": [{**PHASES[0], "name": "step-5"}]}, "is how the checkpoint after a step is called"),
        ({"phases": [{**PHASES[1], "accumulation": 5}]}, "phase long: accumulation 5 is more than the 4"),
        ({"phases": [{**PHASES[0], "accumulation": 3}]}, "phase main: accumulation 3 is more than the 2"),
        ({"phases": [{**PHASES[1], "schedule": "wsd", "warmup": 0.5, "decay": 0.6}]}, "more than the whole"),
        ({"phases": [{**PHASES[1], "warmup": "7 steps"}]}, "'7 steps' are 7 steps, more than the 6"),
        ({"phases": [{**PHASES[0], "batch_ramp": {"start": 9, "by": 1, "over": "5 sequences"}}]}, "starts with 9"),
        (
            {"phases": [{**PHASES[0], "batch_ramp": {"start": 1, "by": 1, "over": "5 steps"}}]},
            "sequences or tokens",
        ),
        (
            {"phases": [{**PHASES[0], "batch": 10**9, "batch_ramp": {"start": 1, "by": 1, "over": "9T tokens"}}]},
            "more than 1,000 sizes",
        ),
        ({"rope_theta": None}, "give the call one too"),
        ({"goldfish_context": 5}, "of no use without goldfish_every"),
        ({"momentum": 0.9}, "momentum is Muon's"),
        ({"decay": 0.3}, "decay is for the schedules wsd"),
        ({"phases": [{**PHASES[1], "decay": 0.3}]}, "phase long: decay is for the schedules wsd"),
        ({"phases": [{**PHASES[1], "final": 0.3}]}, "phase long: final is of no use"),
        ({"phases": [], "schedule": "constant", "final": 0.1, "rope_theta": None}, "final is of no use"),
    ],
)
def test_phases_that_cannot_be_are_refused_when_the_recipe_is_read(change, words):
    given = {key: value for key, value in SMALL.items() if key != "duration"} | SHORT | change
    with pytest.raises(ValidationError, match=words):
        PretrainParameters.model_validate(given)


def test_a_stream_too_short_for_one_phase_is_named(mixes, tokenizer_folder, tmp_path):
    phases = [PHASES[0], {**PHASES[1], "context": 5000}]
    with pytest.raises(InputError, match="too few for one sequence of 5000"):
        run(mixes[:2], tokenizer_folder, tmp_path / "run", **{**SHORT, "phases": phases})


def test_a_recipes_phases_survive_the_commitment(made):
    params = PretrainParameters.model_validate(read_commitment(made / "commitment.json").parameters)
    assert [phase.name for phase in params.all_phases] == ["main", "long", "annealing"]
