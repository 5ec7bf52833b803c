"""train.instruct and train.prefer: what they learn, that they resume exactly, and what they refuse."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.numpy import load_file, save_file
from tests.corpus.builders import document
from tests.train.tuning import SMALL, base, conversation, packed, preference, run
from torch.nn import functional

from fonderie.core.errors import InputError, RecipeError, StoreError
from fonderie.core.manifest import list_files
from fonderie.core.recipe import load_recipe
from fonderie.core.steps import find_step
from fonderie.model.convert import load_pretrained
from fonderie.model.generate import generate
from fonderie.tokens.conversation import Turn
from fonderie.tokens.shards import TokenStream
from fonderie.tokens.tokenizer import Tokenizer
from fonderie.train.loop import parts_of
from fonderie.train.record.commitment import break_in_chain, read_log
from fonderie.train.steps.instruct import Instruction, InstructParameters
from fonderie.train.steps.prefer import PreferParameters, Preferring
from fonderie.train.steps.preference_loss import answer_log_probabilities, preference_loss
from fonderie.train.training import read_commitment

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return base(tmp_path / "base")


@pytest.fixture
def talks(tmp_path: Path, tokenizer_folder: Path) -> Path:
    return packed(tmp_path / "talks", tokenizer_folder, [conversation(number) for number in range(40)])


@pytest.fixture
def votes(tmp_path: Path, tokenizer_folder: Path) -> Path:
    return packed(tmp_path / "votes", tokenizer_folder, [preference(number) for number in range(30)])


def test_instructed_it_answers(model: Path, talks: Path, tokenizer_folder: Path, tmp_path: Path) -> None:
    out = run("instruct", model, talks, tokenizer_folder, tmp_path / "run", duration="150 steps")
    tokenizer, answers = Tokenizer(tokenizer_folder), []
    for question in ("Le chat ?", "Le coq ?"):
        prompt = tokenizer.encode_turns([Turn("user", question)], answer=True)
        ids = generate(
            load_pretrained(out.path), prompt, max_tokens=8, temperature=0, seed=0, stop_ids=tokenizer.stops
        )
        answers.append([*ids])
    assert answers == [tokenizer.encode("miaou"), tokenizer.encode("coco")]
    lines = read_log((out.path / "log.jsonl").read_bytes())
    commitment = read_commitment(out.path / "commitment.json")
    assert break_in_chain(commitment.digest, lines) is None
    assert out.statistics["examples"] == {
        "documents": 40, "too_long": 0, "cut": 0, "without_answer": 0, "packed": 40,
        "targets": out.statistics["examples"]["targets"],
    }  # fmt: skip
    assert out.statistics["sequences"] < 25
    assert lines[0].loss == pytest.approx(np.log(262), rel=0.03)
    assert out.statistics["final_loss"] < 0.4


def test_the_loss_of_a_step_is_the_mean_over_the_assistants_tokens(
    model: Path, talks: Path, tokenizer_folder: Path, tmp_path: Path
) -> None:
    out = run("instruct", model, talks, tokenizer_folder, tmp_path / "run", duration="1 step")
    (line,) = read_log((out.path / "log.jsonl").read_bytes())
    training = Instruction.committed(read_commitment(out.path / "commitment.json"), [talks], model)
    examples, decoder = training.packed.examples, load_pretrained(model)
    losses: list[float] = []
    for sequence in training.packed.indices(1):
        for number in training.packed.bins[sequence]:
            ids = torch.from_numpy(examples.ids(examples.found[number]).astype(np.int64))
            with torch.no_grad():
                each = functional.cross_entropy(decoder(ids[None])[0, :-1], ids[1:], reduction="none")
            losses += each[torch.from_numpy(examples.mask(ids.numpy())[1:])].tolist()
    assert len(losses) == training.count(training.batches(1))
    assert line.loss == pytest.approx(np.mean(losses), rel=1e-5)


def start(*arguments: object) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "tests.train.tuning", *map(str, arguments)], cwd=ROOT)


def logged(staging: Path) -> int:
    log = staging / "files" / "log.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0


@pytest.mark.parametrize("kind", ["instruct", "prefer"])
def test_killed_at_random_it_ends_in_the_same_bytes(
    kind: str, model: Path, talks: Path, votes: Path, tokenizer_folder: Path, tmp_path: Path
) -> None:
    tokens, whole, killed = talks if kind == "instruct" else votes, tmp_path / "whole", tmp_path / "killed"
    run(kind, model, tokens, tokenizer_folder, whole)
    # After the first checkpoint, so that there is something to go on from; printed by pytest if the test fails.
    step = random.randint(12, 58)
    process = start(kind, model, tokens, tokenizer_folder, killed)
    while logged(killed) < step:
        assert process.poll() is None, f"ended before step {step}"
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert start(kind, model, tokens, tokenizer_folder, killed).wait() == 0
    assert list_files(killed / "files") == list_files(whole / "files"), f"killed at {step}"


def test_preferred_answers_become_likelier(
    model: Path, votes: Path, tokenizer_folder: Path, tmp_path: Path
) -> None:
    out = run("prefer", model, votes, tokenizer_folder, tmp_path / "run", beta=0.5)
    lines = read_log((out.path / "log.jsonl").read_bytes())
    # Before the first step the model is its own reference: every pair's loss is log 2.
    assert lines[0].loss == pytest.approx(np.log(2), abs=1e-6)
    assert lines[-1].loss < 0.3
    found = out.statistics["preferences"]
    assert (found["pairs"], found["preferred"]) == (30, 1.0)
    assert found["margin_nats"] > 1
    commitment = read_commitment(out.path / "commitment.json")
    assert commitment.reference is not None
    assert commitment.base is not None


def test_the_reference_is_what_the_base_gives_each_answer_alone(
    model: Path, votes: Path, tokenizer_folder: Path, tmp_path: Path
) -> None:
    out = run("prefer", model, votes, tokenizer_folder, tmp_path / "run", duration="1 step")
    reference = load_file(out.path / "reference.safetensors")["log_probabilities"]
    assert reference.shape == (30, 2)
    stream, decoder = TokenStream.open(votes), load_pretrained(model)
    training = Preferring.committed(
        read_commitment(out.path / "commitment.json"), [votes], model, out.path / "reference.safetensors"
    )
    examples = training.packed.examples
    for number, example in enumerate(examples.found[:20]):
        ids = torch.from_numpy(stream.read(example.start, example.start + example.length).astype(np.int64))
        with torch.no_grad():
            logp = decoder(ids[None])[0].log_softmax(-1)
        mask = examples.mask(ids.numpy())
        alone = sum(logp[at - 1, ids[at]].item() for at in np.flatnonzero(mask))
        assert reference[number // 2, number % 2] == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("length_normalised", [False, True])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_the_loss_is_the_papers(
    model: Path,
    votes: Path,
    tokenizer_folder: Path,
    tmp_path: Path,
    label_smoothing: float,
    length_normalised: bool,
) -> None:
    out = run("prefer", model, votes, tokenizer_folder, tmp_path / "run", duration="1 step")
    training = Preferring.committed(
        read_commitment(out.path / "commitment.json"), [votes], model, out.path / "reference.safetensors"
    )
    decoder, generator = load_pretrained(out.path), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in decoder.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator), alpha=0.02)
    (part,) = parts_of(training.packed.batch_of(np.arange(3)), 1, torch.device("cpu"))
    options = {"beta": 0.7, "label_smoothing": label_smoothing, "length_normalised": length_normalised}
    loss = preference_loss(decoder, part, **options)  # type: ignore[arg-type]
    wanted, pairs = 0.0, 0
    with torch.no_grad():
        sums, numbers = answer_log_probabilities(decoder, part)
    for row, held in enumerate(training.packed.bins[:3]):
        for place, pair in enumerate(held):
            gained = [
                sums[row, place, one].item() - training.packed.extra["reference"][pair, one] for one in (0, 1)
            ]  # type: ignore[index]
            if length_normalised:
                gained = [value / numbers[row, place, one].item() for one, value in enumerate(gained)]
            sigmoid = 1 / (1 + np.exp(-0.7 * (gained[0] - gained[1])))
            wanted -= (1 - label_smoothing) * np.log(sigmoid) + label_smoothing * np.log(1 - sigmoid)
            pairs += 1
    assert loss.item() == pytest.approx(wanted, rel=1e-4)
    assert training.count(training.packed.batch_of(np.arange(3))) == pairs
    loss.backward()  # type: ignore[no-untyped-call]
    assert decoder.embedding.weight.grad is not None
    assert decoder.embedding.weight.grad.abs().sum() > 0


def test_an_altered_reference_is_named_when_the_training_resumes(
    model: Path, votes: Path, tokenizer_folder: Path, tmp_path: Path
) -> None:
    run("prefer", model, votes, tokenizer_folder, tmp_path / "run", duration="2 steps")
    path = tmp_path / "run/files/reference.safetensors"
    found = load_file(path)["log_probabilities"]
    save_file({"log_probabilities": found + 1}, path)
    with pytest.raises(StoreError, match=r"reference\.safetensors is missing, or not the one"):
        run("prefer", model, votes, tokenizer_folder, tmp_path / "run", duration="2 steps")


def test_a_base_that_does_not_fit_is_named(
    talks: Path, model: Path, tokenizer_folder: Path, tmp_path: Path
) -> None:
    short, few = base(tmp_path / "short", context=32), base(tmp_path / "few", vocabulary=200)
    with pytest.raises(InputError, match="context = 63 is more than the 32 tokens"):
        run("instruct", short, talks, tokenizer_folder, tmp_path / "a")
    with pytest.raises(InputError, match="the tokenizer has 262 tokens, and the base knows 200"):
        run("instruct", few, talks, tokenizer_folder, tmp_path / "b")
    texts = packed(tmp_path / "texts", tokenizer_folder, [document("Le chat.")])
    with pytest.raises(InputError, match="is no conversation"):
        run("instruct", model, texts, tokenizer_folder, tmp_path / "c")
    run("instruct", model, texts, tokenizer_folder, tmp_path / "d", texts=True, duration="1 step")


def test_a_base_of_the_recipe_that_reads_less_is_named_before_it_is_trained(tmp_path: Path) -> None:
    recipe = (ROOT / "recipes/instruct.toml").read_text(encoding="utf-8")
    path = tmp_path / "recipe.toml"
    path.write_text(recipe.replace('context = 256\nbatch = 4\nduration = "1 epoch"\n\n', "context = 128\n\n", 1))
    with pytest.raises(
        RecipeError, match=r"\[instructed\] context = 256 is more than the 128 tokens that its base"
    ):
        load_recipe(path, (), find_step)


def test_conversations_alone_in_their_sequences_learn_the_same(
    model: Path, talks: Path, tokenizer_folder: Path, tmp_path: Path
) -> None:
    given = {"duration": "1 step", "batch": 40, "schedule": "constant", "warmup": 0.0}
    alone = run("instruct", model, talks, tokenizer_folder, tmp_path / "alone", packing=False, **given)
    assert alone.statistics["sequences"] == 40
    together = run("instruct", model, talks, tokenizer_folder, tmp_path / "together", **given)
    # All conversations once, or several times over: the mean loss over their answers is the same.
    assert alone.statistics["final_loss"] == pytest.approx(together.statistics["final_loss"], rel=1e-2)


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        (PreferParameters, {"long": "cut"}, "another answer of a preference"),
        (PreferParameters, {"z_loss": 1e-4}, "z_loss means nothing for preferences"),
        (PreferParameters, {"label_smoothing": 0.5}, "less than 0.5"),
        (InstructParameters, {"intra_document": True}, "Extra inputs are not permitted"),
        (InstructParameters, {"accumulation": 9}, "accumulation 9 is more than the 4"),
    ],
)
def test_wrong_parameters_are_refused_when_the_recipe_is_read(
    kind: type[InstructParameters], change: dict[str, object], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        kind.model_validate({**SMALL, **change})


def test_reading_a_recipe_does_not_import_torch() -> None:
    code = (
        "import sys, fonderie.train.steps.instruct, fonderie.train.steps.prefer; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_is_written_names_base_and_template(
    model: Path, talks: Path, tokenizer_folder: Path, tmp_path: Path
) -> None:
    out = run("instruct", model, talks, tokenizer_folder, tmp_path / "run", duration="1 step")
    written = json.loads((out.path / "commitment.json").read_text())
    assert written["special"] == dict(Tokenizer(tokenizer_folder).special)
    assert "reference" not in written
    derived = json.loads((out.path / "parameters.json").read_text())["training"]
    assert derived["packing"]["sequences_per_epoch"] == out.statistics["sequences"]
