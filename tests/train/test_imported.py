"""Checkpoints of others as artifacts: from folders and from a hub on the loopback."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.audit.hub_stand_in import COMMIT
from tests.audit.loopback import Request, Site, site
from tests.corpus.builders import run_step
from tests.model import checkpoints

from fonderie.core.document import Document
from fonderie.core.errors import InputError, LicenceError, RecipeError
from fonderie.core.recipe import find_sources
from fonderie.core.step import Artifact, Output, Policy
from fonderie.model.convert import load_model
from fonderie.tokens.conversation import Turn
from fonderie.tokens.tokenizer import Tokenizer
from fonderie.train.settings.imported import ImportModelParameters, ImportTokenizerParameters
from fonderie.train.steps.imported import import_model, import_tokenizer

IDS = torch.randint(97, (1, 40), generator=torch.Generator().manual_seed(0))


def imported(folder: Path, pattern: str, **given: object) -> tuple[Artifact, Output]:
    params = {"path": pattern, "licence": "Apache-2.0", "name": "acme/tiny", **given}
    return run_step(import_model, ImportModelParameters.model_validate(params), folder, sources={"path": pattern})


@pytest.mark.parametrize(
    ("name", "by"), [("mistral", "fonderie"), ("falcon", "transformers"), ("bloom", "transformers")]
)
def test_a_folder_becomes_a_model_with_its_licence_and_what_computes_it(tmp_path: Path, name: str, by: str) -> None:
    theirs = checkpoints.write(name, tmp_path / "theirs")
    (tmp_path / "theirs" / "LICENSE").write_text("Apache License")
    artifact, out = imported(tmp_path / "made", str(tmp_path / "theirs" / "*"))
    assert (artifact.path / "model.safetensors").read_bytes() == (
        tmp_path / "theirs" / "model.safetensors"
    ).read_bytes()
    assert (artifact.path / "origin" / "LICENSE").read_text() == "Apache License"
    assert out.statistics["computed_by"] == by
    assert out.statistics["because"] == ("" if by == "fonderie" else f"model_type = '{name}'")
    assert out.statistics["licence"] == "Apache-2.0"
    with torch.no_grad():
        torch.testing.assert_close(load_model(artifact.path)(IDS), theirs(IDS).logits, atol=1e-4, rtol=0)


def test_shards_become_one_file_of_the_same_tensors(tmp_path: Path) -> None:
    theirs = checkpoints.make("llama").bfloat16()
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size="10KB")
    assert len(list((tmp_path / "theirs").glob("model-*.safetensors"))) > 2
    artifact, out = imported(tmp_path / "made", str(tmp_path / "theirs" / "*"))
    one = load_file(artifact.path / "model.safetensors")
    state = theirs.state_dict()
    assert one.keys() == state.keys()
    assert all(torch.equal(one[name], state[name]) for name in one)
    assert out.statistics["precision"] == "bfloat16"


def test_a_shard_that_is_missing_is_named(tmp_path: Path) -> None:
    checkpoints.make("llama").save_pretrained(tmp_path / "theirs", max_shard_size="20KB")
    next((tmp_path / "theirs").glob("model-00002-*")).unlink()
    with pytest.raises(InputError, match="model-00002-of-"):
        imported(tmp_path / "made", str(tmp_path / "theirs" / "*"))


def test_a_pickle_is_refused_with_the_way_out(tmp_path: Path) -> None:
    checkpoints.write("llama", tmp_path / "theirs")
    (tmp_path / "theirs" / "model.safetensors").rename(tmp_path / "theirs" / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pytorch_model\.bin is a pickle") as caught:
        imported(tmp_path / "made", str(tmp_path / "theirs" / "*"))
    assert "safetensors" in caught.value.hint


def test_a_licence_that_restricts_use_is_refused_unless_the_policy_accepts_it(tmp_path: Path) -> None:
    checkpoints.write("llama", tmp_path / "theirs")
    pattern = str(tmp_path / "theirs" / "*")
    with pytest.raises(LicenceError, match=r"CC-BY-NC-4\.0"):
        imported(tmp_path / "made", pattern, licence="CC-BY-NC-4.0")
    policy = Policy(also_allow=("CC-BY-NC-4.0",))
    _, out = imported(tmp_path / "again", pattern, licence="CC-BY-NC-4.0", policy=policy)
    assert out.statistics["licence"] == "CC-BY-NC-4.0"


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("llama", {"num_hidden_layers": 3}, "theirs/\\*: the weights lack"),
        ("falcon", {"num_hidden_layers": 10**9}, "theirs/\\*: config.json says 1,000,000,000 blocks"),
        ("falcon", {"hidden_size": "32"}, "cannot read this config.json of a falcon: .*hidden_size"),
        ("falcon", {"hidden_size": 48}, "theirs/\\* does not hold a model"),
    ],
)
def test_what_a_config_says_wrongly_is_said_of_the_files_that_the_recipe_names(
    tmp_path: Path, name: str, change: dict[str, object], words: str
) -> None:
    checkpoints.write(name, tmp_path / "theirs")
    path = tmp_path / "theirs" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=words):
        imported(tmp_path / "made", str(tmp_path / "theirs" / "*"))


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    model = checkpoints.make("llama")
    with torch.no_grad():
        model.model.norm.weight.fill_(torch.nan)
    model.save_pretrained(tmp_path / "theirs")
    with pytest.raises(InputError, match="not numbers"):
        imported(tmp_path / "made", str(tmp_path / "theirs" / "*"))


def test_a_context_that_config_does_not_say_is_given(tmp_path: Path) -> None:
    checkpoints.write("bloom", tmp_path / "theirs")
    path = tmp_path / "theirs" / "config.json"
    values = json.loads(path.read_text())
    del values["seq_length"]
    path.write_text(json.dumps(values))
    with pytest.raises(InputError, match="does not say how long"):
        imported(tmp_path / "made", str(tmp_path / "theirs" / "*"))
    artifact, _ = imported(tmp_path / "again", str(tmp_path / "theirs" / "*"), context=64)
    assert load_model(artifact.path).config.context == 64


def test_a_stated_size_must_be_so(tmp_path: Path) -> None:
    size = sum(weight.numel() for weight in checkpoints.write("falcon", tmp_path / "theirs").parameters())
    pattern = str(tmp_path / "theirs" / "*")
    assert imported(tmp_path / "made", pattern, size=size)[1].statistics["parameters"] == size
    with pytest.raises(InputError, match=f"has {size:,} weights, not size = {size + 1:,}"):
        imported(tmp_path / "wrong", pattern, size=size + 1)


# The tokenizer.


def tokenizer_of(folder: Path, pattern: str, **given: object) -> Artifact:
    params = ImportTokenizerParameters.model_validate({"path": pattern, "licence": "Apache-2.0", **given})
    return run_step(import_tokenizer, params, folder, sources={"path": pattern})[0]


@pytest.mark.parametrize("bos", [None, "<s>"])
def test_a_tokenizer_begins_and_ends_documents_as_it_states(tmp_path: Path, bos: str | None) -> None:
    checkpoints.write_tokenizer(tmp_path / "theirs", bos=bos)
    tokenizer = Tokenizer(tokenizer_of(tmp_path / "made", str(tmp_path / "theirs" / "*.json")).path)
    ids = tokenizer.encode_document(Document(text="Le chat.", source="s", origin="o", licence="CC0-1.0"))
    assert tokenizer.decode(ids[:1], skip_special_tokens=False) == (bos or "<|endoftext|>")
    assert tokenizer.decode(ids[-1:], skip_special_tokens=False) == "<|endoftext|>"
    assert tokenizer.decode(ids) == "Le chat."
    assert (tokenizer.vocabulary, tokenizer.end, tokenizer.has_turns) == (300, tokenizer.eos, False)


def test_a_conversation_needs_tokens_for_turns(tmp_path: Path) -> None:
    checkpoints.write_tokenizer(tmp_path / "theirs")
    tokenizer = Tokenizer(tokenizer_of(tmp_path / "made", str(tmp_path / "theirs" / "*.json")).path)
    with pytest.raises(InputError, match="no tokens for the turns") as caught:
        tokenizer.encode_turns([Turn("user", "Bonjour")])
    assert "tokens.extend" in caught.value.hint


def test_a_tokenizer_without_borders_is_given_them(tmp_path: Path) -> None:
    checkpoints.write_tokenizer(tmp_path / "theirs")
    (tmp_path / "theirs" / "tokenizer_config.json").unlink()
    pattern = str(tmp_path / "theirs" / "*.json")
    with pytest.raises(InputError, match=r"theirs/\*\.json has no token that ends a document"):
        tokenizer_of(tmp_path / "made", pattern)
    with pytest.raises(InputError, match="no token that ends a document"):
        tokenizer_of(tmp_path / "wrong", pattern, eos="<fin>")
    assert Tokenizer(tokenizer_of(tmp_path / "right", pattern, eos="<|endoftext|>").path).eos == 0


# A hub.


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with site() as place:
        monkeypatch.setenv("HF_ENDPOINT", place.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        yield place


def publish(place: Site, folder: Path, name: str = "acme/tiny") -> None:
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    siblings = [{"rfilename": path, "size": len(body), "blobId": "0" * 40} for path, body in files.items()]
    record = {"id": name, "sha": COMMIT, "private": False, "gated": False, "tags": [], "siblings": siblings}
    place.serve(f"/api/models/{name}/revision/{COMMIT}?blobs=true", json.dumps(record).encode())
    for path, body in files.items():
        place.behave(f"/{name}/resolve/{COMMIT}/{path}", _answer(body))


def _answer(body: bytes):
    etag = f'"{hashlib.sha256(body).hexdigest()}"'

    def behaviour(request: Request) -> None:
        request.answer(200, body, ETag=etag, X_Repo_Commit=COMMIT)

    return behaviour


def test_a_model_of_a_hub_is_named_by_its_commit(hub: Site, tmp_path: Path) -> None:
    checkpoints.write("qwen3", tmp_path / "theirs")
    (tmp_path / "theirs" / "pytorch_model.bin").write_bytes(b"a pickle")
    publish(hub, tmp_path / "theirs")
    address = f"hf://acme/tiny@{COMMIT}"
    found = find_sources(address, Path(), "base.path")
    assert f"models/acme/tiny@{COMMIT}/model.safetensors" in [source.name for source in found]
    assert not hub.asked(f"/acme/tiny/resolve/{COMMIT}/pytorch_model.bin")
    artifact, out = imported(tmp_path / "made", address)
    assert out.statistics["family"] == "qwen3"
    shutil.rmtree(tmp_path / "theirs")
    assert load_model(artifact.path).config.architecture == "qwen3"  # type: ignore[union-attr]


def test_a_branch_of_a_hub_is_refused(hub: Site) -> None:
    with pytest.raises(RecipeError, match="a branch or tag moves"):
        find_sources("hf://acme/tiny@main", Path(), "base.path")
