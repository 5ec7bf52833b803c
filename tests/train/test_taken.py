"""Checkpoints by name: as inputs of other calls, as artifacts, and refused where a training does not keep them."""

import json
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from tests.evaluate.small import RECIPE, build, find_step
from tests.train.pretraining import artifact, run
from tests.train.tuning import base as untaught_model
from tests.train.tuning import conversation, packed
from tests.train.tuning import run as tune

from fonderie.core.errors import InputError, RecipeError, StoreError
from fonderie.core.machine import Machine
from fonderie.core.manifest import list_files
from fonderie.core.recipe import load_recipe
from fonderie.core.step import Inputs, Output
from fonderie.model.convert import load_pretrained
from fonderie.train.record import checkpoint
from fonderie.train.record.commitment import break_in_chain, read_log
from fonderie.train.settings.pretrain import PretrainParameters
from fonderie.train.steps.taken import CheckpointParameters, take
from fonderie.train.training import plan_of, read_commitment

pytestmark = pytest.mark.slow

PHASES = [
    {"name": "main", "duration": "9 steps"},
    {"name": "annealing", "duration": "4 steps", "context": 64, "rope_theta": 2e4},
]
SETTINGS = {
    "phases": PHASES,
    "rope_theta": 1e4,
    "checkpoint_every": 1000,
    "checkpoint_dense_until": 5,
    "checkpoints_kept": "all",
}
ONE_CALL = """
[base]
step = "train.pretrain"
inputs = { tokens = "packed", tokenizer = "bpe" }
"""


@pytest.fixture
def base(tokens_folder, tokenizer_folder, tmp_path):
    return run(tokens_folder, tokenizer_folder, tmp_path / "run", **SETTINGS).path


def taken(base: Path, folder: Path, **params: object) -> Path:
    out = Output(folder / "files", folder / "state")
    out.path.mkdir(parents=True)
    take(Inputs({"model": (artifact(base),)}), CheckpointParameters.model_validate(params), out, Machine())
    return out.path


def test_checkpoints_are_dense_at_first_and_stand_at_the_end_of_each_phase(base):
    steps = [checkpoint.step_of(path) for path in checkpoint.all_of(base / "checkpoints")]
    assert steps == [0, 1, 2, 4, 9, 13]


@pytest.mark.parametrize(
    ("at", "step", "context", "theta"),
    [("main", 9, 32, 1e4), ("annealing", 13, 64, 2e4), ("step-4", 4, 32, 1e4), ("step-0", 0, 32, 1e4)],
)
def test_a_checkpoint_is_a_model_with_the_positions_it_was_trained_with(base, tmp_path, at, step, context, theta):
    folder = taken(base, tmp_path / "taken", at=at)
    model = load_pretrained(folder)
    assert (model.config.context, model.config.rope_theta) == (context, theta)
    tensors = checkpoint.load(base / "checkpoints" / checkpoint.folder_name(step)).tensors["model"]
    assert all(torch.equal(weight, tensors[name]) for name, weight in model.state_dict().items())
    lines = read_log((folder / "log.jsonl").read_bytes())
    assert len(lines) == step
    assert break_in_chain(read_commitment(folder / "commitment.json").digest, lines) is None
    assert json.loads((folder / "config.json").read_bytes())["eos_token_id"] == [1, 2]


def test_the_last_checkpoint_is_the_model_itself(base, tmp_path):
    folder = taken(base, tmp_path / "taken", at="annealing", state=True)
    for name in ("model.safetensors", "config.json", "generation_config.json", "log.jsonl", "loss.svg"):
        assert (folder / name).read_bytes() == (base / name).read_bytes()
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step-00000013"]


def test_an_instructed_model_has_checkpoints_too(tokenizer_folder, tmp_path):
    examples = packed(tmp_path / "packed", tokenizer_folder, [conversation(number) for number in range(12)])
    changes = {"duration": "4 steps", "checkpoint_every": 2, "checkpoints_kept": 3}
    untaught = untaught_model(tmp_path / "untaught")
    made = tune("instruct", untaught, examples, tokenizer_folder, tmp_path / "run", **changes).path
    folder = taken(made, tmp_path / "taken", at="step-2")
    model, half = load_pretrained(folder), checkpoint.load(made / "checkpoints/step-00000002")
    assert all(torch.equal(weight, half.tensors["model"][name]) for name, weight in model.state_dict().items())
    assert model.config == load_pretrained(untaught).config
    whole = taken(made, tmp_path / "whole", at="main")
    assert (whole / "model.safetensors").read_bytes() == (made / "model.safetensors").read_bytes()


def test_a_checkpoint_that_is_not_there_is_named_with_those_that_are(base, tmp_path):
    with pytest.raises(InputError, match=r"no checkpoint 'step-3'; kept: step-00000000, step-00000001"):
        taken(base, tmp_path / "a", at="step-3")
    with pytest.raises(InputError, match="there is no phase 'cooldown': main, annealing"):
        taken(base, tmp_path / "b", at="cooldown")
    with pytest.raises(ValidationError, match="String should match"):
        CheckpointParameters(at="../step-4")


def test_a_damaged_checkpoint_is_not_taken(base, tmp_path):
    path = base / "checkpoints/step-00000004/model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(StoreError, match=r"step-00000004/model\.safetensors is not what"):
        taken(base, tmp_path / "a", at="step-4")


def test_a_seed_checkpoint_begins_the_training_that_its_seed_would_have_begun(
    base, tokens_folder, tokenizer_folder, tmp_path
):
    seed = taken(base, tmp_path / "seed", at="step-0")
    again = run(tokens_folder, tokenizer_folder, tmp_path / "again", model=seed, **SETTINGS).path
    assert (again / "model.safetensors").read_bytes() == (base / "model.safetensors").read_bytes()
    commitment, drawn = (read_commitment(path / "commitment.json") for path in (again, base))
    assert (commitment.base, drawn.base) == (artifact(seed).digest, None)
    assert commitment.initial_state == drawn.initial_state
    # The order follows from the seed and the tokens; only the weights are given.
    other = run(tokens_folder, tokenizer_folder, tmp_path / "other", model=seed, seed=5, **SETTINGS).path
    assert read_commitment(other / "commitment.json").shuffle_seed != commitment.shuffle_seed
    starts = [checkpoint.load(path / "checkpoints/step-00000000").tensors["model"] for path in (other, base)]
    assert all(torch.equal(weight, starts[1][name]) for name, weight in starts[0].items())


def test_a_seed_checkpoint_of_other_sizes_is_refused(base, tokens_folder, tokenizer_folder, tmp_path):
    seed = taken(base, tmp_path / "seed", at="step-0")
    with pytest.raises(InputError, match="has other sizes than this training asks for"):
        run(tokens_folder, tokenizer_folder, tmp_path / "again", model=seed, **SETTINGS, depth=1)


def recipe(tmp_path: Path, model: str | None = None) -> Path:
    """The small build, with samples of a model if there is one."""
    more = f"""
[more]
step = "evaluate.samples"
inputs = {{ model = "{model}", tokenizer = "bpe" }}
beginnings = ["Le chat"]
"""
    path = tmp_path / "toy.toml"
    path.write_text(RECIPE + (more if model else ""), encoding="utf-8")
    return path


def test_a_call_takes_a_checkpoint_of_another_by_its_name(tmp_path):
    text = (
        RECIPE.split("[scores]")[0]
        + """
[early]
step = "evaluate.samples"
inputs = { model = "base@step-2", tokenizer = "bpe" }
beginnings = ["Le chat"]
max_tokens = 4

[late]
step = "evaluate.samples"
inputs = { model = "base@main", tokenizer = "bpe" }
beginnings = ["Le chat"]
max_tokens = 4
"""
    )
    made = build(tmp_path, text)
    artifacts = made.result.artifacts
    for call, name in (("early", "base@step-2"), ("late", "base@main")):
        assert artifacts[call].upstream["model"] == (artifacts[name],)
        assert artifacts[name].manifest.step == "model.checkpoint"
        assert artifacts[name].upstream["model"] == (artifacts["base"],)
        assert artifacts["base"] in artifacts[call].lineage()
    again = build(tmp_path, text)
    assert again.result.made == []


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (
            "step-40",
            r"\[base@step-40\] the training writes no checkpoint 'step-40'; its phases: main; last step: 3",
        ),
        ("step-1", "the training writes no checkpoint 'step-1'"),
        ("cooldown", "no checkpoint 'cooldown'"),
        ("step-2", r"'step-2' does not stay: checkpoints_kept is 1, which leaves steps 3"),
    ],
)
def test_a_checkpoint_that_will_not_be_kept_is_refused_when_the_recipe_is_read(tmp_path, at, words):
    path = recipe(tmp_path, f"base@{at}")
    with pytest.raises(RecipeError, match=words):
        load_recipe(path, ["base.checkpoints_kept=1"], find_step)


def test_a_checkpoint_that_holds_an_adapter_alone_is_refused_when_the_recipe_is_read(tmp_path):
    path = recipe(tmp_path, "further@main")
    further = """
[further]
step = "train.continue"
inputs = { model = "base", tokens = "packed", tokenizer = "bpe" }
duration = "3 steps"
"""
    path.write_text(path.read_text() + further)
    load_recipe(path, [], find_step)
    with pytest.raises(RecipeError, match=r"\[further@main\] takes 'main' of a training with lora"):
        load_recipe(path, ["further.lora={}"], find_step)


def test_other_calls_have_no_checkpoints(tmp_path):
    path = recipe(tmp_path, "bpe@main")
    with pytest.raises(RecipeError, match=r"\[bpe@main\] inputs.model takes model, but \[bpe\]"):
        load_recipe(path, [], find_step)
    path = recipe(tmp_path, "bas@main")
    with pytest.raises(RecipeError, match=r"no \[bas@main\] inputs.model: call 'bas'; did you mean 'base'"):
        load_recipe(path, [], find_step)


def test_a_number_of_tokens_that_does_not_fit_the_phases_is_refused_when_the_recipe_is_read(tmp_path):
    two = '"base.inputs={tokens=[\\"packed\\",\\"packed\\"],tokenizer=\\"bpe\\"}"'
    with pytest.raises(RecipeError, match=r"has 1 phases \(main\), and inputs.tokens names 2 calls"):
        load_recipe(recipe(tmp_path), [json.loads(two)], find_step)


def test_pythias_spacing():
    params = PretrainParameters(
        depth=2,
        duration="143000 steps",
        checkpoint_every=1000,
        checkpoint_dense_until=512,
        checkpoints_kept="all",
    )
    plan = plan_of(params, [1])
    due = [0, *(step for step in range(1, plan.steps + 1) if plan.checkpoint_due(step))]
    assert due[:12] == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000]
    # "154 checkpoints" of each model: arXiv 2304.01373, section 2.1.
    assert len(due) == len(plan.kept(due)) == 154


DAMAGES = {
    "altered": lambda path: (path / "optimizer.safetensors").write_bytes(b"\0" * 99),
    "half-written": lambda path: (path / "state.json").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over_only_where_the_recipe_says_so(
    tokens_folder, tokenizer_folder, tmp_path, damage
):
    settings = {"duration": "30 steps", "checkpoint_every": 10, "checkpoints_kept": 9}
    whole = run(tokens_folder, tokenizer_folder, tmp_path / "whole", **settings).path
    run(tokens_folder, tokenizer_folder, tmp_path / "other", **settings)
    other = tmp_path / "other/files"
    DAMAGES[damage](other / "checkpoints/step-00000030")
    with pytest.raises(StoreError, match="step-00000030"):
        run(tokens_folder, tokenizer_folder, tmp_path / "other", **settings)
    said: list[tuple[str, dict[str, str]]] = []
    machine = Machine(on_damaged_checkpoint="previous", note=lambda event, **fields: said.append((event, fields)))
    again = run(tokens_folder, tokenizer_folder, tmp_path / "other", machine=machine, **settings)
    assert [event for event, _ in said] == ["checkpoint_damaged"]
    assert "step-00000030" in said[0][1]["why"]
    assert again.measured["resumed_from_step"] == 20
    assert list_files(other) == list_files(whole)


def test_where_no_checkpoint_is_sound_nothing_begins_anew_in_silence(tokens_folder, tokenizer_folder, tmp_path):
    settings = {"duration": "20 steps", "checkpoint_every": 10, "checkpoints_kept": 2}
    folder = run(tokens_folder, tokenizer_folder, tmp_path / "run", **settings).path
    for path in checkpoint.all_of(folder / "checkpoints"):
        (path / "model.safetensors").unlink()
    machine = Machine(on_damaged_checkpoint="previous")
    for _ in range(2):
        with pytest.raises(StoreError, match=r"no checkpoint of .* is sound"):
            run(tokens_folder, tokenizer_folder, tmp_path / "run", machine=machine, **settings)


def test_the_recipe_says_what_a_damaged_checkpoint_comes_to(tmp_path):
    path = tmp_path / "toy.toml"
    for said, expected in (("", "stop"), ('on_damaged_checkpoint = "previous"', "previous")):
        path.write_text(f"[recipe]\n{said}\n" + RECIPE.split("[recipe]")[1].split("\n", 2)[2], encoding="utf-8")
        assert load_recipe(path, [], find_step).on_damaged_checkpoint == expected
    path.write_text('[recipe]\non_damaged_checkpoint = "ignore"\n' + ONE_CALL, encoding="utf-8")
    with pytest.raises(RecipeError, match='is "stop" or "previous"'):
        load_recipe(path, [], find_step)
