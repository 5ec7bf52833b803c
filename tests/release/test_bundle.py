import json
from pathlib import Path

import pytest
import yaml
from tests.evaluate.small import RECIPE, Build, build, find_step

from fonderie.core.digest import digest_file
from fonderie.core.document import read_documents, shard_paths
from fonderie.core.errors import LicenceError, RecipeError
from fonderie.core.machine import Machine
from fonderie.core.manifest import list_files
from fonderie.core.recipe import load_recipe
from fonderie.core.run import run_recipe
from fonderie.core.step import Inputs, Output
from fonderie.release.bundle import BundleParameters, bundle
from fonderie.release.layout import ReleaseIndex
from fonderie.release.verify import verify
from fonderie.tokens.shards import TokenStream


def test_what_is_copied_is_copied_byte_for_byte(small: Build) -> None:
    released = {entry.path: entry.sha256 for entry in list_files(small.release)}
    for call, names in {
        "base": ["model.safetensors", "config.json", "generation_config.json", "loss.svg"],
        "bpe": ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"],
        "scores": ["scores.json"],
        "answers": ["samples.json"],
    }.items():
        made = {entry.path: entry.sha256 for entry in small.result.artifacts[call].manifest.files}
        assert {name: released[name] for name in names} == {name: made[name] for name in names}
    assert "training/log.jsonl" in released


def test_what_was_trained_on_is_included_shard_by_shard(small: Build) -> None:
    released = {entry.path: entry.sha256 for entry in list_files(small.release)}
    base, packed, training = (small.result.artifacts[call] for call in ("base", "packed", "training"))
    checkpoints = {entry.path: entry.sha256 for entry in base.manifest.files if "checkpoints/" in entry.path}
    assert {name.split("/")[1] for name in checkpoints} == {"step-00000000", "step-00000002", "step-00000003"}
    assert checkpoints == {name: released[f"training/{name}"] for name in checkpoints}
    tokens = {entry.path: entry.sha256 for entry in packed.manifest.files}
    assert tokens == {name: released[f"data/tokens/{name}"] for name in tokens}
    shards = shard_paths(training.path)
    documents = sorted(name for name in released if name.startswith("data/documents/"))
    assert len(documents) == len(shards) > 1
    for number, (name, shard) in enumerate(zip(documents, shards, strict=True)):
        assert name == f"data/documents/{number:05d}.parquet"
        assert released[name] == digest_file(shard)
        extents = TokenStream.open(small.release / "data/tokens").extents_of(number)
        assert [extent.id for extent in extents] == [document.id for document in read_documents(shard)]


def test_data_and_checkpoints_can_be_left_out(small: Build, tmp_path: Path) -> None:
    made = small.result.artifacts["release"]
    out = Output(tmp_path / "files", tmp_path)
    out.path.mkdir()
    left_out = {"checkpoints": False, "tokens": False, "documents": False}
    bundle(
        Inputs(dict(made.upstream)),
        BundleParameters(name="toy", version="1", licence="MIT", **left_out),
        out,
        Machine(),
    )
    assert not list((out.path / "data").glob("**/*.parquet")) + list((out.path / "data").glob("**/*.bin"))
    assert not (out.path / "training" / "checkpoints").exists()
    assert out.statistics["openness"]["data"] == "partial"
    found = verify(out.path)
    assert found.ok, found.problems
    assert "not in this folder" in "\n".join(link.detail for link in found.links)


def test_documents_of_unknown_licence_are_not_passed_on(tmp_path: Path) -> None:
    recipe = '[policy]\nalso_allow = ["unknown"]\n' + RECIPE
    with pytest.raises(LicenceError, match="documents whose licence is unknown"):
        build(tmp_path, recipe, licence="unknown")
    made = build(tmp_path, recipe, "release.documents=false", "release.tokens=false", licence="unknown")
    assert not list(made.release.glob("data/**/*.parquet")) + list(made.release.glob("data/**/*.bin"))
    assert verify(made.release).ok


def test_the_index_lists_every_other_file(small: Build) -> None:
    index = ReleaseIndex.model_validate_json((small.release / "release.json").read_bytes())
    assert [entry for entry in list_files(small.release) if entry.path != "release.json"] == list(index.files)
    assert index.model_digest == small.result.artifacts["base"].digest
    lineage = small.result.artifacts["release"].lineage()[:-1]
    assert len([entry for entry in index.files if entry.path.startswith("manifests/")]) == len(lineage)


def test_the_same_inputs_give_the_same_release(small: Build, tmp_path: Path) -> None:
    made = small.result.artifacts["release"]
    out = Output(tmp_path / "files", tmp_path)
    out.path.mkdir()
    params = BundleParameters(
        name="toy",
        version="0.1.0",
        licence="Apache-2.0",
        language=("fr",),
        description="A toy.",
        demonstration=True,
    )
    bundle(Inputs(dict(made.upstream)), params, out, Machine())
    assert list_files(out.path) == made.manifest.files


def test_without_evaluation_it_says_so(small: Build, tmp_path: Path) -> None:
    made = small.result.artifacts["release"]
    out = Output(tmp_path / "files", tmp_path)
    out.path.mkdir()
    upstream = {port: group for port, group in made.upstream.items() if port not in ("scores", "samples")}
    bundle(Inputs(upstream), BundleParameters(name="toy", version="1", licence="MIT"), out, Machine())
    card = (out.path / "README.md").read_text()
    assert "No evaluation is included." in card
    assert "demonstration" not in card
    assert "model-index" not in card
    assert not (out.path / "scores.json").exists()


def test_two_evaluations_are_two_files(tmp_path: Path) -> None:
    recipe = RECIPE.replace('scores = "scores"', 'scores = ["scores", "narrow"]') + (
        '[narrow]\nstep = "evaluate.perplexity"\ncontext = 32\nbootstrap = 200\n'
        'inputs = { model = "base", tokenizer = "bpe", documents = "held" }\n'
    )
    made = build(tmp_path, recipe)
    first, second = (json.loads((made.release / name).read_bytes()) for name in ("scores.json", "scores-2.json"))
    assert "windows of 64" in first[0]["method"]
    assert "windows of 32" in second[0]["method"]
    assert len(json.loads((made.release / "report.json").read_bytes())["scores"]) == 10
    assert verify(made.release).ok


@pytest.mark.parametrize("licence", ["My-Licence", "", "unknown", "CC-BY-NC-4.0", "llama3"])
def test_weights_need_a_free_licence_before_anything_runs(tmp_path: Path, licence: str) -> None:
    with pytest.raises(LicenceError):
        build(tmp_path, RECIPE, f"release.licence='{licence}'")
    assert not list((tmp_path / "store" / "artifacts").iterdir())


def test_a_name_is_one_that_a_hub_takes(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="name"):
        build(tmp_path, RECIPE, "release.name='../evil'")


def test_restricted_weights_and_data_are_said_first(tmp_path: Path) -> None:
    recipe = '[policy]\nalso_allow = ["CC-BY-NC-4.0"]\n' + RECIPE
    made = build(tmp_path, recipe, "release.licence='CC-BY-NC-4.0'", licence="CC-BY-NC-4.0")
    card = (made.release / "README.md").read_text()
    _, front, body = card.split("---\n", 2)
    assert yaml.safe_load(front)["license"] == "cc-by-nc-4.0"
    head, _, _ = body.partition("# toy 0.1.0")
    assert head.count("> **Warning: ") == 3
    assert "The weights are under CC-BY-NC-4.0" in head
    assert "33 documents of the source letters are under CC-BY-NC-4.0, which is restricted" in head
    assert "policy was relaxed" in head
    report = (made.release / "report.md").read_text()
    assert report.index("RESTRICTED DATA") < report.index("| source |")
    findings = json.loads((made.release / "findings.json").read_bytes())
    assert [finding["verdict"] for finding in findings[:4]] == ["fail", "fail", "fail", "partial"]
    assert verify(made.release).ok


def test_a_second_run_reuses_the_release(small: Build) -> None:
    folder = small.store.root.parent
    result = run_recipe(load_recipe(folder / "toy.toml", [], find_step), small.store, Machine())
    assert result.made == []
    assert result.artifacts["release"].digest == small.result.artifacts["release"].digest
