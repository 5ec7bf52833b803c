"""Releases of models whose weights come from elsewhere: passed on as they are, or gone on from in full."""

import json
from pathlib import Path

import pytest
import torch
from tests.evaluate.small import find_step, write_letters
from tests.model import checkpoints

from fonderie.audit.replay.replay import replay_release
from fonderie.core.machine import Machine
from fonderie.core.recipe import load_recipe
from fonderie.core.run import run_recipe
from fonderie.core.step import Artifact
from fonderie.core.store import Store
from fonderie.model.convert import load_model
from fonderie.release.verify import verify

pytestmark = pytest.mark.slow

RECIPE = """
[toy]
step = "corpus.toy"

[theirs]
step = "model.import"
path = "theirs/*"
name = "acme/tiny"
licence = "MIT"
data = "DATA"

[their_tokenizer]
step = "tokens.import"
path = "theirs/tokenizer*.json"
licence = "MIT"

[tokenizer]
step = "tokens.extend"
inputs = { tokenizer = "their_tokenizer" }
conversation = true

[base]
step = "tokens.transplant"
inputs = { model = "theirs", before = "their_tokenizer", tokenizer = "tokenizer" }

[tokens]
step = "tokens.pack"
inputs = { documents = "toy", tokenizer = "tokenizer" }

[continued]
step = "train.continue"
inputs = { model = "base", tokens = "tokens", tokenizer = "tokenizer" }
duration = "4 steps"
context = 32
batch = 2
checkpoint_every = 2
checkpoints_kept = "all"

[answers]
step = "evaluate.samples"
inputs = { model = "continued", tokenizer = "tokenizer" }
questions = ["Que fait le chat ?"]
max_tokens = 4

[release]
step = "release.bundle"
inputs = { model = "continued", tokenizer = "tokenizer", samples = "answers" }
name = "continued"
version = "0.1.0"
licence = "Apache-2.0"

[passed_on]
step = "release.bundle"
inputs = { model = "theirs", tokenizer = "their_tokenizer" }
name = "passed-on"
version = "0.1.0"
licence = "MIT"
"""


def build(root: Path, family: str, data: str) -> dict[str, Artifact]:
    checkpoints.write(family, root / "theirs", vocab_size=300)
    checkpoints.write_tokenizer(root / "theirs")
    write_letters(root / "letters")
    (root / "r.toml").write_text(RECIPE.replace("DATA", data), encoding="utf-8")
    return run_recipe(load_recipe(root / "r.toml", [], find_step), Store(root / "store"), Machine()).artifacts


@pytest.fixture(scope="module", params=["qwen3", "bloom"])
def built(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, Artifact]]:
    data = {"qwen3": "", "bloom": "https://example.org/roots"}[request.param]
    return request.param, build(tmp_path_factory.mktemp(request.param), request.param, data)


@pytest.mark.parametrize("release", ["release", "passed_on"])
def test_it_is_verified_and_names_its_base(built: tuple[str, dict[str, Artifact]], release: str) -> None:
    family, artifacts = built
    folder = artifacts[release].path
    found = verify(folder)
    assert [problem for link in found.links for problem in link.problems] == []
    assert found.ok
    findings = {
        finding["rule"]: finding["verdict"] for finding in json.loads((folder / "findings.json").read_text())
    }
    assert findings["data.base.acme/tiny"] == {"qwen3": "fail", "bloom": "partial"}[family]
    assert "acme/tiny" in (folder / "README.md").read_text(encoding="utf-8")
    ids = torch.arange(10)[None]
    made = artifacts["continued" if release == "release" else "theirs"].path
    with torch.no_grad():
        assert torch.equal(load_model(folder)(ids), load_model(made)(ids))


def test_it_is_replayed_from_a_checkpoint_without_its_base_and_from_the_beginning_with_it(
    built: tuple[str, dict[str, Artifact]],
) -> None:
    artifacts = built[1]
    folder = artifacts["release"].path
    whole = replay_release(folder, segments=2, seed=0, base=artifacts["base"].path)
    assert whole.verdict == "identical", whole.detail


def test_an_extended_tokenizer_answers_in_turns(built: tuple[str, dict[str, Artifact]]) -> None:
    samples = json.loads((built[1]["answers"].path / "samples.json").read_text(encoding="utf-8"))
    assert samples[0]["kind"] == "question"
    assert (built[1]["release"].path / "chat_template.jinja").is_file()
