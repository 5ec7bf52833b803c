"""recipes/claire.toml itself, on a tiny Falcon and a few dialogues: from transcripts to a release that is verified."""

import json
import random
from pathlib import Path

import pytest
import torch
from tests.model import checkpoints
from tests.train.continuing import GENRES

from fonderie.audit.replay.replay import replay_release
from fonderie.core.errors import InputError, RecipeError
from fonderie.core.machine import Machine
from fonderie.core.recipe import load_recipe
from fonderie.core.run import run_recipe
from fonderie.core.step import Artifact
from fonderie.core.steps import find_step
from fonderie.core.store import Store
from fonderie.model.convert import load_model
from fonderie.release.verify import verify
from fonderie.train.pricing import Assumptions, price_recipe

pytestmark = pytest.mark.slow

RECIPE = Path(__file__).parents[2] / "recipes" / "claire.toml"
SOURCES = ("parliament", "interviews", "theatre", "free_talk", "meetings")


def transcripts(folder: Path) -> None:
    """Conversations as Claire's corpora have them, twenty of each genre."""
    rng = random.Random(5)
    lines = [line for genre in GENRES.values() for line in genre]
    for source in SOURCES:
        (folder / source).mkdir(parents=True)
        talks = [
            "\n".join(f"[speaker{1 + turn % 2:03}:] {rng.choice(lines)} {source} {number}." for turn in range(6))
            for number in range(20)
        ]
        (folder / source / "talk.txt").write_text("\n\n".join(talks), encoding="utf-8")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Artifact], Store]:
    root = tmp_path_factory.mktemp("claire")
    transcripts(root / "claire")
    falcon = root / "falcon"
    checkpoints.write("falcon", falcon, vocab_size=300)
    checkpoints.write_tokenizer(falcon)
    overrides = [
        *(f"{source}.path={root}/claire/{source}/*.txt" for source in SOURCES),
        "training.share=0.2",
        "held.share=0.2",
        "learnt.share=0.2",
        "validation.share=0.2",
        "mixed.total=60 kB",
        f"falcon.path={falcon}/*",
        f"falcon.size={sum(weight.numel() for weight in load_model(falcon).parameters())}",
        f"tokenizer.path={falcon}/tokenizer*.json",
        "claire.duration=24 steps",
        "claire.context=64",
        "claire.batch=4",
        "claire.accumulation=2",
        "claire.learning_rate=0.01",
        "claire.checkpoint_every=8",
        "scores.bootstrap=100",
        "scores_of_falcon.bootstrap=100",
        "answers.max_tokens=8",
    ]
    store = Store(root / "store")
    result = run_recipe(load_recipe(RECIPE, overrides, find_step), store, Machine())
    return root, result.artifacts, store


def test_it_is_right_and_priced() -> None:
    recipe = load_recipe(RECIPE, [], find_step)
    (found,) = price_recipe(recipe, recipe.names_until(None), Assumptions(gpu="A100", peak_flops=312e12, mfu=0.4))
    assert found.parameters == 6_921_720_704
    # Its makers state one A100 for some fifty hours.
    assert found.gpu_hours == pytest.approx(50, rel=0.1)


def test_it_learns_to_talk_as_its_dialogues_do(built: tuple[Path, dict[str, Artifact], Store]) -> None:
    _, artifacts, _ = built
    claire, falcon = (artifacts[name].manifest.statistics["scores"] for name in ("scores", "scores_of_falcon"))
    everywhere = {score["source"]: score["value"] for score in falcon}
    assert {score["source"] for score in claire} == everywhere.keys() > set(SOURCES)
    assert all(score["value"] < 0.8 * everywhere[score["source"]] for score in claire)
    statistics = artifacts["claire"].manifest.statistics
    assert set(statistics["validation"]) == set(SOURCES)
    assert statistics["trained_parameters"] < statistics["parameters"]


def test_its_release_says_what_is_not_ours(built: tuple[Path, dict[str, Artifact], Store]) -> None:
    release = built[1]["release"].path
    findings = {finding["rule"]: finding for finding in json.loads((release / "findings.json").read_text())}
    assert findings["data.base.tiiuae/falcon-7b"]["verdict"] == "partial"
    assert findings["use.base_licence.tiiuae/falcon-7b"]["verdict"] == "pass"
    assert findings["method.base.tiiuae/falcon-7b"]["verdict"] == "partial"
    card = (release / "README.md").read_text(encoding="utf-8")
    assert "It goes on from **tiiuae/falcon-7b**" in card
    assert "A decoder of the Falcon family" in card
    assert "apply_chat_template" not in card
    assert "tiiuae/falcon-7b" in (release / "README.fr.md").read_text(encoding="utf-8")


def test_an_unpublished_base_fails_the_criterion_of_data() -> None:
    from fonderie.core.manifest import Manifest
    from fonderie.release.findings.base import base_findings

    given = {"name": "acme/base", "licence": "CC-BY-NC-4.0", "data": ""}
    manifest = Manifest(
        key="sha256:" + "0" * 64,
        digest="",
        step="model.import",
        version=1,
        parameters=given,
        inputs={},
        sources={},
        files=[],
    )
    verdicts = {finding.rule: finding.verdict for finding in base_findings([manifest], {})}
    assert verdicts == {
        "use.base_licence.acme/base": "fail",
        "data.base.acme/base": "fail",
        "method.base.acme/base": "partial",
    }


def test_its_release_is_verified(built: tuple[Path, dict[str, Artifact], Store]) -> None:
    found = verify(built[1]["release"].path)
    links = {link.name: link for link in found.links}
    assert [link.problems for link in found.links if not link.ok] == []
    assert found.ok
    assert "adapter" in links["weights"].detail if "weights" in links else True
    spelt = [link for link in found.links if "spell" in link.detail]
    assert spelt
    assert spelt[0].checked


def test_an_adapter_that_is_not_the_trainings_is_found(
    built: tuple[Path, dict[str, Artifact], Store], tmp_path: Path
) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    forged = tmp_path / "release"
    shutil.copytree(built[1]["release"].path, forged)
    path = forged / "adapter" / "adapter_model.safetensors"
    tensors = load_file(path)
    name = next(name for name in tensors if "lora_B" in name)
    tensors[name] = tensors[name] + 1
    save_file(tensors, path, metadata={"format": "pt"})
    found = verify(forged)
    assert not found.ok
    assert any("not as in the checkpoint" in problem for link in found.links for problem in link.problems)


def test_its_training_is_replayed_with_the_base(built: tuple[Path, dict[str, Artifact], Store]) -> None:
    _, artifacts, _ = built
    report = replay_release(artifacts["release"].path, segments=2, seed=1, base=artifacts["falcon"].path)
    assert report.verdict == "identical", report.detail


def test_without_its_base_or_with_another_it_is_not_replayed(
    built: tuple[Path, dict[str, Artifact], Store], tmp_path: Path
) -> None:
    release = built[1]["release"].path
    with pytest.raises(InputError, match="the base that this training goes on from is not here"):
        replay_release(release, segments=2, seed=1)
    checkpoints.write("falcon", tmp_path, vocab_size=300, initializer_range=0.1)
    report = replay_release(release, segments=1, seed=1, base=tmp_path)
    assert report.verdict == "different"
    assert "is not what the training committed to go on from" in report.problems[0]


def test_the_merged_weights_talk_in_transformers(built: tuple[Path, dict[str, Artifact], Store]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    release = built[1]["release"].path
    tokenizer, theirs = AutoTokenizer.from_pretrained(release), AutoModelForCausalLM.from_pretrained(release)
    ids = tokenizer("[Intervenant 1:] Bonjour", return_tensors="pt").input_ids
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, load_model(release)(ids), atol=1e-4, rtol=0)


def test_validation_needs_its_input(tmp_path: Path) -> None:
    text = RECIPE.read_text(encoding="utf-8").replace(', validation = "validation" }', " }")
    (tmp_path / "claire.toml").write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match="of use only together"):
        load_recipe(tmp_path / "claire.toml", [], find_step)
