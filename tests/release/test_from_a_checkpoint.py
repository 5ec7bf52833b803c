"""A model that went on from another's checkpoint is walked back to it, and to the documents seen until then."""

import shutil
from pathlib import Path

import pytest
from tests.evaluate.small import RECIPE, Build, build
from tests.release.forging import seal

from fonderie.audit.replay import replay_release
from fonderie.release.verify import verify

SIZES = 'context = 64\nbatch = 2\nduration = "2 steps"\ncheckpoint_every = 1\ncheckpoints_kept = "all"\n'
FURTHER = (
    RECIPE.partition("[scores]")[0]
    + f"""
[further]
step = "train.continue"
inputs = {{ model = "base@step-2", tokens = "packed", tokenizer = "bpe" }}
{SIZES}

[release]
step = "release.bundle"
inputs = {{ model = "further", tokenizer = "bpe" }}
name = "further"
version = "1"
licence = "Apache-2.0"
language = ["fr"]
demonstration = true
checkpoints = true
"""
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return build(tmp_path_factory.mktemp("further"), FURTHER)


def test_the_release_holds_the_checkpoint_as_its_base(made: Build) -> None:
    taken = made.result.artifacts["base@step-2"].path / "model.safetensors"
    assert (made.release / "base/model.safetensors").read_bytes() == taken.read_bytes()
    assert len((made.release / "base/training/log.jsonl").read_bytes().splitlines()) == 2
    found = verify(made.release)
    assert found.ok, found.problems
    links = {link.name: link for link in found.links}
    assert links["base: log"].detail.startswith("2 steps in one chain")
    assert links["base: tokens"].checked
    assert links["base: documents"].checked


def test_what_is_altered_in_it_is_found(made: Build, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(made.release, tmp_path / "release"))
    data = bytearray((copy / "base/model.safetensors").read_bytes())
    data[-3] ^= 1
    (copy / "base/model.safetensors").write_bytes(data)
    seal(copy)
    found = verify(copy)
    assert "base" in [link.name for link in found.links if not link.ok]


def test_its_first_steps_are_replayed_from_there(made: Build) -> None:
    assert replay_release(made.release, segments=2, seed=0).verdict == "identical"
