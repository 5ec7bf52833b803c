"""A base of any family goes on learning, in full or by an adapter, to the same bits whatever stops it."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from tests.corpus.builders import all_documents, artifact_of, documents
from tests.train import continuing
from tests.train.continuing import GENRES, LORA, base, conversations, packed, run

from fonderie.core.errors import InputError, UsageError
from fonderie.core.machine import Machine
from fonderie.core.recipe import load_recipe
from fonderie.core.steps import find_step
from fonderie.model.convert import load_model, load_pretrained
from fonderie.tokens.tokenizer import Tokenizer
from fonderie.train.record.commitment import read_log
from fonderie.train.segment import retrain
from fonderie.train.settings.continued import ContinueParameters
from fonderie.train.settings.stopping import EarlyStopping, Measurement, decide, read_measurements
from fonderie.train.steps.continued import Continuation
from fonderie.train.training import read_commitment

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tokenizer, tokens of both genres, and validation tokens of both."""
    root = tmp_path_factory.mktemp("continued")
    tokenizer = continuing.tokenizer(root / "tokenizer")
    both = [document for genre in GENRES for document in conversations(genre, 1)]
    held = [document for genre in GENRES for document in conversations(genre, 2, count=4)]
    return {
        "tokenizer": tokenizer,
        "tokens": packed(root / "tokens", tokenizer, both),
        "validation": documents(root / "validation", [held]).path,
    }


def train(data: dict[str, Path], model: Path, staging: Path, **changes: object):
    return run(model, data["tokens"], data["tokenizer"], staging, **changes)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def losses(folder: Path) -> list[float]:
    return [line.loss for line in read_log((folder / "log.jsonl").read_bytes())]


@pytest.mark.parametrize("name", ["llama", "mistral", "olmo2", "qwen2", "qwen3", "falcon", "bloom"])
@pytest.mark.parametrize("lora", [None, LORA])
def test_a_base_of_any_family_learns(tmp_path: Path, data: dict[str, Path], name: str, lora: object) -> None:
    out = train(data, base(tmp_path / "base", name), tmp_path / "run", lora=lora)
    found = losses(out.path)
    assert sum(found[-5:]) < 0.8 * sum(found[:5])
    made, before = load_model(out.path), load_model(tmp_path / "base")
    assert made.native == before.native
    assert made.config.context == before.config.context
    assert read_commitment(out.path / "commitment.json").base is not None
    assert out.statistics["parameters"] == before.config.parameters
    assert (out.path / "adapter" / "adapter_model.safetensors").is_file() == (lora is not None)


@pytest.mark.parametrize("name", ["llama", "falcon"])
def test_the_first_loss_is_the_bases_own(tmp_path: Path, data: dict[str, Path], name: str) -> None:
    from fonderie.tokens.shards import TokenStream

    out = train(
        data, base(tmp_path / "base", name), tmp_path / "run", duration="1 steps", lora=LORA | {"dropout": 0.0}
    )
    params = ContinueParameters.model_validate(read_commitment(out.path / "commitment.json").parameters)
    streams = [TokenStream.open(data["tokens"])]
    seeds = [one.shuffle_seed for one in read_commitment(out.path / "commitment.json").data]
    ids = torch.from_numpy(Continuation.of(params, streams, seeds).batches(1).ids)
    with torch.no_grad():
        logits = load_model(tmp_path / "base")(ids[:, :-1])
    want = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
    assert losses(out.path)[0] == pytest.approx(want.item(), abs=1e-4)


@pytest.mark.parametrize(
    ("name", "lora", "threads"), [("llama", None, 2), ("qwen3", LORA, 2), ("falcon", LORA, 2), ("bloom", None, 1)]
)
def test_two_runs_give_the_same_bytes_at_any_number_of_threads_where_no_layer_norm_learns(
    tmp_path: Path, data: dict[str, Path], name: str, lora: object, threads: int
) -> None:
    model = base(tmp_path / "base", name)
    once = train(data, model, tmp_path / "one", lora=lora, duration="12 steps")
    again = train(data, model, tmp_path / "two", lora=lora, duration="12 steps", machine=Machine(threads=threads))
    assert bytes_of(once.path) == bytes_of(again.path)


def kill_at_random(command: list[str], staging: Path, rng: random.Random) -> int:
    """Start again and again, killed after a random while, until it ends; returns how often it was killed."""
    killed = 0
    while True:
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
        log, wanted = staging / "files" / "log.jsonl", rng.randrange(1, 12)
        start = log.read_bytes().count(b"\n") if log.is_file() else 0
        while process.poll() is None:
            if log.is_file() and log.read_bytes().count(b"\n") >= start + wanted and killed < 2:
                os.kill(process.pid, signal.SIGKILL)
                killed += 1
                break
            time.sleep(0.01)
        _, error = process.communicate()
        if process.returncode == 0:
            return killed
        assert process.returncode == -signal.SIGKILL, error.decode()


@pytest.mark.parametrize(("name", "lora"), [("falcon", LORA)])
def test_killed_at_random_it_comes_to_the_same_bytes(
    tmp_path: Path, data: dict[str, Path], name: str, lora: object
) -> None:
    model = base(tmp_path / "base", name)
    changes = {"lora": lora, "early_stopping": {"patience": 20}, "checkpoint_every": 5}
    whole = train(data, model, tmp_path / "whole", validation=data["validation"], **changes)
    folders = [model, data["tokens"], data["tokenizer"], tmp_path / "killed"]
    arguments = json.dumps({**changes, "validation_folder": str(data["validation"])})
    command = [sys.executable, "-m", "tests.train.continuing", *map(str, folders), arguments]
    assert kill_at_random(command, tmp_path / "killed", random.Random(1)) == 2
    assert bytes_of(whole.path) == bytes_of(tmp_path / "killed" / "files")


@pytest.mark.parametrize(("name", "lora"), [("olmo2", None), ("falcon", LORA)])
@pytest.mark.parametrize("start", [0, 10])
def test_a_stretch_of_it_is_replayed_to_the_bit_with_the_base(
    tmp_path: Path, data: dict[str, Path], name: str, lora: object, start: int
) -> None:
    model = base(tmp_path / "base", name)
    out = train(data, model, tmp_path / "run", lora=lora, duration="20 steps")
    commitment = read_commitment(out.path / "commitment.json")
    training = Continuation.committed(commitment, [data["tokens"]], model)
    lines = read_log((out.path / "log.jsonl").read_bytes())
    done = retrain(
        training,
        out.path / "checkpoints" / f"step-{start:08d}" if start else None,
        start + 10,
        head=lines[start - 1].chain if start else commitment.digest,
        scratch=tmp_path / "scratch",
        machine=Machine(),
    )
    assert list(done.lines) == lines[start : start + 10]
    assert done.end.root == lines[start + 9].checkpoint


def test_without_the_base_it_says_so(tmp_path: Path, data: dict[str, Path]) -> None:
    out = train(data, base(tmp_path / "base", "llama"), tmp_path / "run", duration="1 steps")
    training = Continuation.committed(read_commitment(out.path / "commitment.json"), [data["tokens"]])
    assert training.batches(1).tokens == 128
    with pytest.raises(InputError, match="the base that this training goes on from is not here"):
        training.fresh("cpu")


def test_an_adapters_checkpoints_hold_the_adapter_alone(tmp_path: Path, data: dict[str, Path]) -> None:
    out = train(data, base(tmp_path / "base", "falcon"), tmp_path / "run", lora=LORA, duration="10 steps")
    kept = load_file(out.path / "checkpoints" / "step-00000010" / "model.safetensors")
    assert all("lora_" in name for name in kept)
    assert sum(value.numel() for value in kept.values()) == out.statistics["trained_parameters"]
    full = out.statistics["parameters"]
    assert out.statistics["flops"] < 6 * full * out.statistics["tokens"]


def test_the_adapter_and_the_base_give_the_released_weights(tmp_path: Path, data: dict[str, Path]) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = base(tmp_path / "base", "mistral")
    out = train(data, model, tmp_path / "run", lora=LORA)
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model), out.path / "adapter").eval()
    ids = torch.arange(20)[None]
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, load_model(out.path)(ids), atol=1e-4, rtol=0)


def test_a_longer_context_is_learnt_with_another_rope(tmp_path: Path, data: dict[str, Path]) -> None:
    out = train(
        data, base(tmp_path / "base", "qwen2"), tmp_path / "run", context=128, rope_theta=5e4, duration="4 steps"
    )
    config = load_pretrained(out.path).config
    assert (config.context, config.rope_theta, config.architecture) == (128, 5e4, "qwen2")


def test_phases_change_context_and_rope(tmp_path: Path, data: dict[str, Path]) -> None:
    phases = [
        {"name": "main", "duration": "4 steps"},
        {"name": "long", "duration": "4 steps", "context": 64, "rope_theta": 5e4, "batch": 2},
    ]
    changes = {**continuing.SMALL, "phases": phases}
    del changes["duration"]
    out = train(data, base(tmp_path / "base", "mistral"), tmp_path / "run", **{**changes, "duration": "1 epoch"})
    config = load_pretrained(out.path).config
    assert (config.context, config.rope_theta, config.window) == (96, 5e4, 7)
    assert len(losses(out.path)) == 8


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"context": 128}, "context = 128"),
        ({"rope_theta": 5e4}, "rope_theta"),
        ({"compile": True}, "compile = true"),
        ({"intra_document": True}, "intra_document = true"),
        ({"optimizer": "muon"}, "muon"),
    ],
)
def test_what_transformers_cannot_do_is_refused_by_name(
    tmp_path: Path, data: dict[str, Path], changes: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        train(data, base(tmp_path / "base", "bloom"), tmp_path / "run", **changes)


@pytest.mark.parametrize("lora", [None, LORA])
def test_recomputed_activations_give_the_same_bytes(
    tmp_path: Path, data: dict[str, Path], lora: dict[str, object] | None
) -> None:
    model = base(tmp_path / "base", "mistral")
    given = {"lora": lora and {**lora, "dropout": 0.5}, "duration": "8 steps"}
    kept = train(data, model, tmp_path / "kept", **given)
    again = train(data, model, tmp_path / "again", machine=Machine(recompute=True), **given)
    assert bytes_of(kept.path) == bytes_of(again.path)


def test_activations_that_transformers_keeps_cannot_be_recomputed(tmp_path: Path, data: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match=r"--recompute knows our own decoder's blocks, .* this model \(falcon\)"):
        train(data, base(tmp_path / "base", "falcon"), tmp_path / "run", lora=LORA, machine=Machine(recompute=True))


def test_a_tokenizer_of_more_tokens_than_the_base_knows_is_refused(tmp_path: Path, data: dict[str, Path]) -> None:
    from tests.model import checkpoints

    checkpoints.write("llama", tmp_path / "base", vocab_size=299)
    with pytest.raises(InputError, match="has 300 tokens, and the base knows 299") as caught:
        train(data, tmp_path / "base", tmp_path / "run")
    assert "tokens.extend" in caught.value.hint


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lora": {}, "compile": True}, "lora and compile = true"),
        ({"lora": {}, "optimizer": "muon"}, 'lora and optimizer = "muon"'),
        ({"lora": {"rank": 0}}, "rank"),
        ({"early_stopping": {"groups": {"a": ["x"], "b": ["x"]}}}, "x cannot be in two groups"),
    ],
)
def test_what_does_not_go_together_is_refused_in_the_recipe(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ContinueParameters.model_validate(changes)


def test_early_stopping_needs_validation_documents(tmp_path: Path) -> None:
    from fonderie.core.errors import RecipeError

    recipe = tmp_path / "r.toml"
    recipe.write_text(
        """
        [base]
        step = "model.import"
        path = "x"
        licence = "Apache-2.0"
        name = "x"
        [tokenizer]
        step = "tokens.import"
        path = "x"
        licence = "Apache-2.0"
        [texts]
        step = "corpus.read"
        path = "x"
        format = "text"
        [tokens]
        step = "tokens.pack"
        inputs = { documents = "texts", tokenizer = "tokenizer" }
        [claire]
        step = "train.continue"
        inputs = { model = "base", tokens = "tokens", tokenizer = "tokenizer" }
        early_stopping = { patience = 2 }
        """
    )
    with pytest.raises(
        RecipeError, match=r"\[claire\] early_stopping and inputs.validation are of use only together"
    ):
        load_recipe(recipe, [], find_step)


# Early stopping.


def measured(*rows: tuple[float, ...]) -> list[Measurement]:
    return [
        Measurement(step=10 * number, losses={f"g{group}": loss for group, loss in enumerate(row)})
        for number, row in enumerate(rows)
    ]


def test_it_ends_when_every_group_has_stopped_learning() -> None:
    rule = EarlyStopping(patience=2)
    rows = [(4.0, 4.0), (3.0, 3.5), (3.1, 3.4), (3.2, 3.3), (3.3, 3.4), (3.4, 3.5)]
    found = [decide(measured(*rows[:count]), rule) for count in range(1, len(rows) + 1)]
    assert [one.ends for one in found] == [False, False, False, False, False, True]
    assert [one.stopped for one in found][3:] == [("g0",), ("g0",), ("g0", "g1")]
    assert found[-1].best_step == 10
    assert decide(measured(*rows), EarlyStopping(patience=2, ends_when="any")).ends
    assert decide(measured(*rows[:4]), EarlyStopping(patience=2, ends_when="any")).ends
    assert not decide(measured(*rows[:3]), EarlyStopping(patience=2, ends_when="any")).ends


def test_a_loss_must_be_lower_by_so_much_to_count() -> None:
    rows = [(4.0,), (3.99,), (3.98,)]
    assert not decide(measured(*rows), EarlyStopping(patience=2)).ends
    assert decide(measured(*rows), EarlyStopping(patience=2, least=0.1)).ends


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, data: dict[str, Path]) -> Callable[[], Path]:
    """A training that learns one genre by heart, measured on both."""
    root = tmp_path_factory.mktemp("stopped")
    tokens = packed(root / "tokens", data["tokenizer"], conversations("plays", 1))
    out = run(
        base(root / "base", "llama"),
        tokens,
        data["tokenizer"],
        root / "run",
        validation=data["validation"],
        early_stopping={"patience": 2, "groups": {"speech": ["debates"], "stage": ["plays"]}},
        duration="600 steps",
        checkpoint_every=5,
        checkpoints_kept=1,
        schedule="constant",
    )
    return lambda: out.path


def test_the_training_ends_before_its_last_step_and_the_best_weights_are_kept(stopped: Callable[[], Path]) -> None:
    folder = stopped()
    lines = read_measurements((folder / "validation.jsonl").read_bytes())
    steps = len(losses(folder))
    assert steps < 600
    assert steps == lines[-1].step
    rule = ContinueParameters.model_validate(read_commitment(folder / "commitment.json").parameters).early_stopping
    assert rule is not None
    assert decide(lines, rule).ends
    assert not any(decide(lines[:count], rule).ends for count in range(1, len(lines)))
    best = decide(lines, rule).best_step
    assert best < steps
    kept = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert f"step-{best:08d}" in kept
    state = load_file(folder / "checkpoints" / f"step-{best:08d}" / "model.safetensors")
    made = load_model(folder).state_dict()
    assert all(torch.equal(made[name], state[name]) for name in state)


def test_validation_losses_are_those_of_the_weights(stopped: Callable[[], Path], data: dict[str, Path]) -> None:
    folder, tokenizer = stopped(), Tokenizer(data["tokenizer"])
    lines = read_measurements((folder / "validation.jsonl").read_bytes())
    best = min(lines, key=lambda one: (one.mean, one.step))
    model, nats, count = load_model(folder), 0.0, 0
    for document in all_documents(artifact_of(data["validation"])):
        if document.source == "debates":
            ids = torch.tensor(tokenizer.encode_document(document))
            for start in range(0, len(ids) - 1, 32):
                window = ids[start : start + 33][None]
                with torch.no_grad():
                    logits = model(window[:, :-1])[0]
                nats += torch.nn.functional.cross_entropy(logits, window[0, 1:], reduction="sum").item()
                count += window.shape[1] - 1
    assert best.losses["speech"] == pytest.approx(nats / count, abs=1e-4)


def test_a_group_without_documents_is_named(tmp_path: Path, data: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="no validation document is of meetings"):
        train(
            data,
            base(tmp_path / "base", "llama"),
            tmp_path / "run",
            validation=data["validation"],
            early_stopping={"groups": {"speech": ["debates"], "meetings": ["reunions"]}},
        )
