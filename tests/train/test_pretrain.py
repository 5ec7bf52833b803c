import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from tests.train.pretraining import SMALL, artifact, run
from transformers import AutoModelForCausalLM

from fonderie.core.errors import InputError, StepError, StoreError
from fonderie.core.machine import Machine
from fonderie.core.manifest import list_files
from fonderie.train.data.loader import Batches
from fonderie.train.seen import steps_that_saw
from fonderie.train.settings.ramp import BatchSizes
from fonderie.train.steps.pretrain import PretrainParameters

pytestmark = pytest.mark.slow

SCRIPT = [sys.executable, "-m", "tests.train.pretraining"]
ROOT = Path(__file__).parents[2]


def start(*arguments: object) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([*SCRIPT, *map(str, arguments)], cwd=ROOT)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_one_thread_and_two_give_the_same_bytes(tokens_folder, tokenizer_folder, tmp_path, optimizer):
    # In processes of their own, as arithmetic is settled once per process; and wide enough that threads share sums.
    sizes = json.dumps(
        {"width": 256, "head_size": 64, "context": 256, "duration": "4 steps", "optimizer": optimizer}
        | ({} if optimizer == "adamw" else {"intra_document": True, "goldfish_every": 4, "z_loss": 1e-3})
    )
    for threads in (1, 2):
        assert start(tokens_folder, tokenizer_folder, tmp_path / str(threads), threads, sizes).wait() == 0
    assert list_files(tmp_path / "1" / "files") == list_files(tmp_path / "2" / "files")


def test_it_learns_and_says_what_it_did(tokens_folder, tokenizer_folder, tmp_path):
    out = run(tokens_folder, tokenizer_folder, tmp_path / "run")
    lines = [json.loads(line) for line in (out.path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 181))
    assert lines[0].keys() == {"step", "tokens", "loss", "learning_rate", "gradient_norm", "batch", "chain"}
    assert lines[19].keys() - lines[0].keys() == {"checkpoint"}
    assert lines[0]["loss"] == pytest.approx(np.log(262), rel=0.02)
    assert out.statistics["final_loss"] < 0.7 < lines[0]["loss"]
    assert out.statistics["tokens"] == 180 * 8 * 32
    assert out.measured["threads"] == 1
    model = AutoModelForCausalLM.from_pretrained(out.path)
    assert sum(weight.numel() for weight in model.parameters()) == out.statistics["parameters"]
    assert sorted(path.name for path in (out.path / "checkpoints").iterdir()) == ["step-00000160", "step-00000180"]
    assert b"<svg" in (out.path / "loss.svg").read_bytes()


def test_crashed_after_the_last_step_it_only_writes_the_rest(tokens_folder, tokenizer_folder, tmp_path):
    out = run(tokens_folder, tokenizer_folder, tmp_path / "run", duration="20 steps")
    before = list_files(out.path)
    (out.path / "model.safetensors").write_bytes(b"half")
    (out.path / "loss.svg").unlink()
    again = run(tokens_folder, tokenizer_folder, tmp_path / "run", duration="20 steps")
    assert list_files(out.path) == before
    assert again.measured["resumed_from_step"] == 20


def test_a_damaged_checkpoint_is_named_and_not_passed_over(tokens_folder, tokenizer_folder, tmp_path):
    run(tokens_folder, tokenizer_folder, tmp_path / "run", duration="40 steps")
    path = tmp_path / "run/files/checkpoints/step-00000040/optimizer.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreError, match=r"step-00000040/optimizer\.safetensors"):
        run(tokens_folder, tokenizer_folder, tmp_path / "run", duration="40 steps")


def test_a_damaged_log_is_named_or_gone_back_behind(tokens_folder, tokenizer_folder, tmp_path):
    """A step that the log got wrong would otherwise be found by whoever verifies the release, and not before."""
    folders = tokens_folder, tokenizer_folder
    again = {"duration": "40 steps", "checkpoint_every": 10}
    made = run(*folders, tmp_path / "run", **again).path
    before = list_files(made)
    log = (made / "log.jsonl").read_bytes()
    lines = log.splitlines(keepends=True)
    damaged = {
        r"step 35: the chain is not what": log.replace(lines[34], lines[34].replace(b'"loss": ', b'"loss": 1')),
        r"line 35 is no step of a training": log.replace(lines[34], b"x" * len(lines[34][1:]) + b"\n"),
        r"line 35 is step 36": b"".join(lines[:34] + lines[35:]) + lines[34],
        r"log\.jsonl is shorter than step-00000040 recorded": log[:-1],
    }
    for words, data in damaged.items():
        (made / "log.jsonl").write_bytes(data)
        with pytest.raises(StoreError, match=words):
            run(*folders, tmp_path / "run", **again)
    told = []
    machine = Machine(on_damaged_checkpoint="previous", note=lambda event, **found: told.append((event, found)))
    run(*folders, tmp_path / "run", machine=machine, **again)
    assert list_files(made) == before
    assert [event for event, _ in told] == ["checkpoint_damaged"]
    assert "log.jsonl is shorter" in told[0][1]["why"]


def test_steps_that_saw_a_token_are_those_whose_batch_holds_it(tokens_folder, tokenizer_folder, stream, tmp_path):
    out = run(tokens_folder, tokenizer_folder, tmp_path / "run", duration="2.5 epochs")
    derived = json.loads((out.path / "parameters.json").read_text())["training"]
    (phase,) = derived["phases"]
    steps, seed = derived["steps"], phase["shuffle_seed"]
    assert seed == json.loads((out.path / "commitment.json").read_text())["shuffle_seed"]
    batches = Batches(stream, context=32, sizes=BatchSizes(8), seed=seed)
    held = {step: [(i * 32, i * 32 + 33) for i in batches.indices(step)] for step in range(1, steps + 1)}
    for start, stop in ((0, 1), (32, 33), (31, 32), (100, 190), (len(stream) - 1, len(stream)), (5, 5)):
        want = [step for step, spans in held.items() if any(a < stop and start < b for a, b in spans)]
        found = steps_that_saw(artifact(out.path, tokens_folder), artifact(tokens_folder), len(stream), start, stop)
        assert found == (want if start < stop else [])


def test_a_loss_that_is_no_number_stops_the_training(tokens_folder, tokenizer_folder, tmp_path):
    with pytest.raises(StepError, match=r"at step \d+ the loss is .* norm nan"):
        run(tokens_folder, tokenizer_folder, tmp_path / "run", learning_rate=1e30, warmup=0.0)


def test_compiling_without_a_compiler_is_an_error(tokens_folder, tokenizer_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StepError, match=r"needs a C\+\+ compiler"):
        run(tokens_folder, tokenizer_folder, tmp_path / "run", compile=True)


def test_tokens_of_another_tokenizer_are_refused(tokens_folder, tokenizer_folder, tmp_path):
    index = json.loads((tokens_folder / "index.json").read_text())
    (tokens_folder / "index.json").write_text(json.dumps(index | {"vocabulary": 300}))
    with pytest.raises(InputError, match="not made by the tokenizer"):
        run(tokens_folder, tokenizer_folder, tmp_path / "run")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"head_size": 9}, "width 32 is not a multiple of head_size 9"),
        ({"accumulation": 9}, "accumulation 9 is more than the 8 sequences"),
        ({"schedule": "wsd", "warmup": 0.9}, "more than the whole training"),
        ({"duration": "2 hours"}, "not a duration"),
        ({"learning_rat": 1}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_parameters_are_refused_when_the_recipe_is_read(change, words):
    with pytest.raises(ValidationError, match=words):
        PretrainParameters.model_validate(SMALL | change)


def test_reading_a_recipe_does_not_import_torch():
    code = "import sys, fonderie.train.steps.pretrain, fonderie.train.seen; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is absent: apt install g++")
def test_compiled_blocks_learn_alike_and_repeat_to_the_bit(tokens_folder, tokenizer_folder, tmp_path):
    changes = {"duration": "12 steps", "checkpoint_every": 5}
    losses = {}
    for name, compiled in (("eager", False), ("once", True), ("twice", True)):
        arguments = json.dumps({**changes, "compile": compiled})
        assert start(tokens_folder, tokenizer_folder, tmp_path / name, 2, arguments).wait() == 0
        lines = (tmp_path / name / "files" / "log.jsonl").read_text().splitlines()
        losses[name] = [json.loads(line)["loss"] for line in lines]
    assert losses["once"] == pytest.approx(losses["eager"], rel=1e-3)
    assert list_files(tmp_path / "once" / "files") == list_files(tmp_path / "twice" / "files")
