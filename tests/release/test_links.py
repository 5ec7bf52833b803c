"""The way from weights to sources: each end altered in turn, by a forger who computes every mere hash anew."""

import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.evaluate.small import Build
from tests.release.forging import cover_up, lines_of, read, rechain, recommit, restate, seal, write

from fonderie.core.document import Document, read_documents, write_documents
from fonderie.release.chain import documents as document_links
from fonderie.release.layout import ReleaseIndex
from fonderie.release.verify import Verification, verify
from fonderie.tokens.shards import TokenStream
from fonderie.train.record.commitment import parse_commitment

pytestmark = pytest.mark.slow

LAST = "training/checkpoints/step-00000003"


@pytest.fixture
def release(small: Build, tmp_path: Path) -> Path:
    copy = tmp_path / "release"
    shutil.copytree(small.release, copy)
    return copy


def broken(found: Verification, *, counted: bool = True) -> list[str]:
    """The links that do not hold; where documents are others than were counted, that check fails beside them."""
    assert [check.name for check in found.checks if not check.ok] == ([] if counted else ["counts"]), found.problems
    assert found.ok == (found.broken is None)
    return [link.name for link in found.links if not link.ok]


def flip(path: Path, place: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_every_link_of_a_release_is_walked_and_holds(small: Build) -> None:
    found = verify(small.release)
    assert found.ok
    assert found.broken is None
    names = ["weights", "checkpoints", "log", "tokens", "documents", "sources"]
    assert [(link.name, link.ok, link.checked) for link in found.links] == [(name, True, True) for name in names]
    ends = [(link.upper, link.lower) for link in found.links]
    assert all(lower == upper for (_, lower), (upper, _) in pairwise(ends))
    assert ends[0][0] == "model.safetensors"
    assert ends[-1][1] == "sources"
    assert "roots of 3 checkpoints" in found.links[1].detail
    assert "batches of all 3 steps" in found.links[3].detail


def test_a_forger_who_changes_nothing_is_not_found(release: Path) -> None:
    recommit(release)
    cover_up(release)
    assert verify(release).ok
    rechain(release, lines_of(release))
    cover_up(release)
    assert verify(release).problems == ()


def test_weights_that_are_not_the_last_checkpoint(release: Path) -> None:
    flip(release / "model.safetensors")
    cover_up(release)
    found = verify(release)
    assert broken(found) == ["weights"]
    assert found.broken is not None
    assert found.broken.startswith(
        "model.safetensors ← training/checkpoints: model.safetensors: model.norm.weight: "
    )
    assert f"not as in the checkpoint ({LAST}/model.safetensors)" in found.broken


@pytest.mark.parametrize("file", ["model", "optimizer", "random"])
@pytest.mark.parametrize("step", [0, 2, 3])
def test_an_altered_checkpoint_has_another_root_than_the_log(release: Path, file: str, step: int) -> None:
    folder = release / f"training/checkpoints/step-{step:08d}"
    flip(folder / f"{file}.safetensors")
    restate(folder)
    cover_up(release)
    found = verify(release)
    assert "checkpoints" in broken(found)
    where = "commitment.json" if step == 0 else "log.jsonl"
    assert f"not the one in training/{where} at step {step}" in " ".join(found.problems)


def test_a_checkpoint_of_another_step_or_training(release: Path) -> None:
    folder = release / "training/checkpoints/step-00000002"
    for name in ("model", "optimizer", "random"):
        shutil.copyfile(release / LAST / f"{name}.safetensors", folder / f"{name}.safetensors")
    restate(folder)
    cover_up(release)
    assert broken(verify(release)) == ["checkpoints"]


def test_a_checkpoint_with_something_more(release: Path) -> None:
    (release / LAST / "notes.txt").write_text("x")
    seal(release)
    assert f"{LAST}/notes.txt: no part of a checkpoint" in verify(release).problems


def test_a_loss_changed_in_the_log_breaks_its_chain(release: Path) -> None:
    path = release / "training/log.jsonl"
    lines = lines_of(release)
    lines[1] = lines[1].model_copy(update={"loss": lines[1].loss - 0.25})
    path.write_text("".join(line.to_json() + "\n" for line in lines), encoding="utf-8")
    cover_up(release)
    found = verify(release)
    assert broken(found) == ["log"]
    assert found.broken == (
        "training/log.jsonl ← training/commitment.json: training/log.jsonl: step 2: the chain is not what the lines up "
        "to here give"
    )


def test_a_forged_log_with_a_chain_of_its_own_is_not_that_of_the_checkpoints(release: Path) -> None:
    lines = lines_of(release)
    lines[1] = lines[1].model_copy(update={"loss": lines[1].loss - 0.25})
    rechain(release, lines)
    cover_up(release)
    assert broken(verify(release)) == ["checkpoints"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"learning_rate": 1e-3}, "step 2 has the learning rate 0.001, not the plan's"),
        ({"tokens": 1}, "step 2 counts 1 tokens"),
        ({"checkpoint": None}, "step 2 lacks the root of a checkpoint"),
    ],
)
def test_a_log_that_is_not_the_plans(release: Path, change: dict[str, object], said: str) -> None:
    lines = lines_of(release)
    lines[1] = lines[1].model_copy(update=change)
    rechain(release, lines)
    cover_up(release)
    found = verify(release)
    assert "log" in broken(found)
    assert any(said in problem for problem in found.problems)


def test_a_log_that_ends_early(release: Path) -> None:
    rechain(release, lines_of(release)[:2])
    cover_up(release)
    assert "training/log.jsonl: 2 steps, where training/commitment.json plans 3" in verify(release).problems


def test_a_batch_that_was_skipped(release: Path) -> None:
    lines = lines_of(release)
    lines[1] = lines[1].model_copy(update={"batch": lines[2].batch})
    for line in rechain(release, lines):
        if line.checkpoint:
            restate(release / f"training/checkpoints/step-{line.step:08d}", chain=line.chain)
    cover_up(release)
    found = verify(release)
    assert broken(found) == ["tokens"]
    assert "step 2 was not trained on the batch that tokens and order give" in found.problems[0]


def test_a_swapped_shard_is_named(release: Path) -> None:
    flip(release / "data/tokens/tokens/00001.bin", 40)
    cover_up(release)
    found = verify(release)
    assert broken(found)[0] == "tokens"
    assert found.broken == (
        "training/commitment.json ← data/tokens: data/tokens/tokens/00001.bin: not the file that "
        "training/commitment.json named before the first step"
    )


@pytest.mark.parametrize("name", ["index.json", "offsets/00000.parquet"])
def test_what_says_where_documents_lie_is_bound_too(release: Path, name: str) -> None:
    path = release / "data/tokens" / name
    if name == "index.json":
        path.write_text(path.read_text() + " ")
    else:
        flip(path, 20)
    cover_up(release)
    assert f"data/tokens/{name}: not the file that" in " ".join(verify(release).problems)


def test_an_order_that_somebody_chose(release: Path) -> None:
    path = release / "training/commitment.json"
    commitment = parse_commitment(path.read_bytes())
    path.write_text(commitment.model_copy(update={"shuffle_seed": 7}).to_json(), encoding="utf-8")
    rechain(release, lines_of(release))
    cover_up(release)
    assert any("somebody chose it" in problem for problem in verify(release).problems)


def test_parameters_and_tokenizer_other_than_those_committed_to(release: Path) -> None:
    path = release / "training/commitment.json"
    commitment = parse_commitment(path.read_bytes())
    other = {**commitment.parameters, "learning_rate": commitment.parameters["learning_rate"] * 1.01}
    path.write_text(commitment.model_copy(update={"parameters": other, "tokenizer": "x"}).to_json())
    cover_up(release)
    problems = " ".join(verify(release).problems)
    assert "commits to other parameters than the weights' manifest states" in problems
    assert "commits to another tokenizer than tokenizer.json" in problems
    assert "step 1 has the learning rate" in problems


def documents_in(release: Path, number: int = 0) -> tuple[Path, list[Document]]:
    path = release / f"data/documents/{number:05d}.parquet"
    return path, list(read_documents(path))


def test_an_altered_document_is_not_the_one_that_was_packed(release: Path) -> None:
    path, documents = documents_in(release)
    documents[3] = documents[3].with_text(documents[3].text + " Et le chat aussi.")
    write_documents(path, documents)
    cover_up(release)
    found = verify(release)
    assert broken(found, counted=False) == ["documents"]
    assert found.broken is not None
    assert found.broken.startswith("data/tokens ← data/documents: data/documents/00000.parquet: document 4 (")
    assert "data/tokens/offsets/00000.parquet has " in found.broken


@pytest.mark.parametrize(
    ("change", "counted"),
    [
        (lambda items: items[1:], False),
        (lambda items: [*items, items[0]], False),
        (lambda items: items[::-1], True),
    ],
)
def test_documents_left_out_added_or_moved(
    release: Path, change: Callable[[list[Document]], list[Document]], counted: bool
) -> None:
    path, documents = documents_in(release, 1)
    write_documents(path, change(documents))
    cover_up(release)
    assert broken(verify(release), counted=counted) == ["documents"]


def test_a_shard_of_documents_too_many(release: Path) -> None:
    _, documents = documents_in(release)
    write_documents(release / "data/documents/00007.parquet", documents)
    seal(release)
    assert "data/documents/00007.parquet: no token shard was made of it" in verify(release).problems


def test_tokens_of_another_document_are_seen_whatever_was_committed(release: Path) -> None:
    """The forger trains, as far as hashes tell, on other text than the documents he shows."""
    stream = TokenStream.open(release / "data/tokens")
    first, second = stream.extents_of(0)[:2]
    path = release / "data/tokens" / stream.index.shards[0].tokens_file
    ids = np.fromfile(path, stream.dtype)
    ids[first.start + 1 : first.start + 4] = ids[second.start + 1 : second.start + 4]
    path.write_bytes(ids.tobytes())
    recommit(release)
    cover_up(release)
    found = verify(release)
    assert broken(found) == ["documents"]
    assert f"data/tokens/tokens/00000.bin: tokens 0 to {first.length} spell another text" in found.problems[0]


def _other_file(manifest: dict[str, Any]) -> None:
    manifest["sources"]["path"][0]["path"] = "elsewhere.jsonl"


def _other_licence(manifest: dict[str, Any]) -> None:
    manifest["statistics"]["licences"] = {"letters": {"CC-BY-SA-4.0": 33}}


def _other_name(manifest: dict[str, Any]) -> None:
    manifest["statistics"]["sources"] = {"plays": manifest["statistics"]["sources"]["letters"]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_other_file, "(0.jsonl#L1): comes from no file that the source letters was read from"),
        (_other_licence, "is under CC-BY-4.0, which the source letters did not have"),
        (_other_name, "no manifest reads a source named letters"),
    ],
)
def test_documents_of_a_source_file_or_licence_that_no_manifest_names(
    release: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    for path in (release / "manifests").iterdir():
        manifest = read(path)
        if manifest["step"] == "corpus.read":
            change(manifest)
            write(path, manifest)
    cover_up(release)
    found = verify(release)
    assert broken(found) == ["sources"]
    assert said in " ".join(found.links[-1].problems)


def test_the_source_files_are_hashed_where_they_are_given(small: Build, tmp_path: Path) -> None:
    folder = small.store.root.parent / "letters"
    found = verify(small.release, sources=folder)
    assert found.ok
    assert "3 source files, named and hashed, found with these hashes" in found.links[-1].detail
    copy = tmp_path / "letters" / "deep"
    shutil.copytree(folder, copy)
    (copy / "1.jsonl").rename(copy / "renamed.jsonl")
    assert verify(small.release, sources=copy.parent).ok
    flip(copy / "2.jsonl")
    (copy / "0.jsonl").unlink()
    problems = verify(small.release, sources=copy.parent).problems
    assert [problem.partition(":")[0] for problem in problems] == ["0.jsonl", "2.jsonl"]


def test_without_its_commitment_nothing_of_the_training_holds(release: Path) -> None:
    (release / "training/commitment.json").unlink()
    seal(release)
    found = verify(release)
    assert "training/commitment.json: missing" in found.problems
    assert {link.name for link in found.links if not link.ok} >= {"checkpoints", "log", "tokens"}


@pytest.mark.parametrize(
    "name",
    [
        "training/commitment.json",
        "training/log.jsonl",
        f"{LAST}/state.json",
        f"{LAST}/model.safetensors",
        "model.safetensors",
        "data/tokens/index.json",
        "data/tokens/offsets/00000.parquet",
        "data/documents/00000.parquet",
        "tokenizer.json",
        "config.json",
    ],
)
@pytest.mark.parametrize("text", [b"", b"{}", b"[" * 10_000, b"\xff" * 99], ids=["empty", "table", "deep", "noise"])
def test_files_of_any_shape_end_in_a_problem(release: Path, name: str, text: bytes) -> None:
    (release / name).write_bytes(text)
    seal(release)
    found = verify(release)
    assert not found.ok
    assert found.problems


def test_an_index_of_tokens_that_leads_outside_is_not_followed(release: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(8))
    path = release / "data/tokens/index.json"
    index = read(path)
    index["shards"][0].update(tokens_file="../../../secret.bin", tokens=4)
    write(path, index)
    seal(release)
    assert "data/tokens/../../../secret.bin: missing" in verify(release).problems


def test_a_shard_larger_than_any_is_not_read(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_links, "GROUP_LIMIT_BYTES", 1000)
    assert "row group 0 is larger than any shard's" in " ".join(verify(release).problems)


def test_numbers_that_would_fill_the_memory_are_refused(release: Path) -> None:
    path = release / "training/commitment.json"
    commitment = parse_commitment(path.read_bytes())
    huge = {**commitment.parameters, "batch": 1 << 60, "depth": 1 << 60, "accumulation": 1}
    path.write_text(commitment.model_copy(update={"parameters": huge}).to_json())
    seal(release)
    found = verify(release)
    assert not found.ok
    assert "model.safetensors: has fewer tensors than training/commitment.json plans blocks" in found.problems


def test_what_a_release_leaves_out_is_said(release: Path) -> None:
    index = ReleaseIndex.model_validate(read(release / "release.json"))
    for name in ("tokens", "documents"):
        shutil.rmtree(release / "data" / name)
    shutil.rmtree(release / "training/checkpoints")
    write(
        release / "release.json",
        index.model_copy(update={"checkpoints": False, "tokens": None, "documents": ()}).model_dump(mode="json"),
    )
    cover_up(release)
    found = verify(release)
    assert found.ok, found.problems
    assert [link.name for link in found.links if link.checked] == ["log"]
    assert "not in this folder" in found.links[0].detail
