import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.evaluate.small import Build
from tests.release.forging import cover_up, read, seal, write

from fonderie.core.digest import digest_file
from fonderie.core.errors import ReleaseError
from fonderie.core.manifest import Manifest, files_digest, list_files, manifest_key
from fonderie.release import folder as folder_module
from fonderie.release.folder import is_safe_name, plain
from fonderie.release.layout import BUNDLE_VERSION, manifest_name
from fonderie.release.verify import Verification, verify

pytestmark = pytest.mark.slow


@pytest.fixture
def release(small: Build, tmp_path: Path) -> Path:
    copy = tmp_path / "release"
    shutil.copytree(small.release, copy)
    return copy


def manifest_of(release: Path, step: str) -> Path:
    return next(path for path in sorted((release / "manifests").iterdir()) if read(path)["step"] == step)


def failed(verification: Verification) -> set[str]:
    assert verification.ok == (not verification.problems)
    return {check.name for check in verification.checks if not check.ok}


def test_a_release_as_it_was_made(small: Build) -> None:
    found = verify(small.release)
    assert found.ok, found.problems
    assert found.digest == small.result.artifacts["release"].digest
    names = ["files", "manifests", "chain", "copies", "lock", "pages", "counts"]
    assert [check.name for check in found.checks] == names
    assert found.checks[-1].detail == "attribution.json and survey.json say what the documents here come to"
    chain = "\n".join(found.chain)
    assert "model.safetensors ← [base] train.pretrain" in chain
    assert "tokens ← [packed] tokens.pack" in chain
    assert "documents ← [training] corpus.hold_out" in chain
    assert "[letters] corpus.read version " in chain
    assert "not in this folder: 3" in chain
    assert "seed 7" in chain


def test_the_published_link_is_followed(small: Build) -> None:
    link = small.result.releases[0]
    assert link.is_symlink()
    assert verify(link).ok


def test_one_byte_of_any_file_is_noticed_and_named(small: Build, release: Path) -> None:
    names = [entry.path for entry in list_files(small.release) if entry.path != "release.json"]
    assert len(names) > 25
    for name in names:
        path = release / name
        original = path.read_bytes()
        place = len(original) // 2
        path.write_bytes(original[:place] + bytes([original[place] ^ 1]) + original[place + 1 :])
        found = verify(release)
        assert f"{name}: altered" in found.problems
        path.write_bytes(original)
    assert verify(release).ok


def test_missing_added_and_swapped_files_are_named(release: Path) -> None:
    (release / "loss.svg").unlink()
    (release / "notes").mkdir()
    (release / "notes" / "more.txt").write_text("more")
    one, other = release / "config.json", release / "tokenizer_config.json"
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    problems = verify(release).problems
    for problem in (
        "loss.svg: missing",
        "notes/more.txt: not listed in release.json",
        "config.json: altered",
        "tokenizer_config.json: altered",
    ):
        assert problem in problems


def test_weights_swapped_with_a_sealed_index_do_not_come_from_the_training(release: Path) -> None:
    path = release / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    seal(release)
    found = verify(release)
    assert failed(found) == {"copies"}
    assert found.problems[0].startswith("model.safetensors: not the file that manifests/")


def test_scores_and_logs_are_bound_too(release: Path) -> None:
    scores = read(release / "scores.json")
    scores[0]["value"] /= 2
    write(release / "scores.json", scores)
    (release / "training" / "log.jsonl").write_text('{"step": 0, "loss": 0.1}\n')
    seal(release)
    problems = " ".join(verify(release).problems)
    assert "scores.json: not the file" in problems
    assert "training/log.jsonl: not the file" in problems


@pytest.mark.parametrize("page", ["README.md", "report.md", "report.json", "findings.json", "ledger.json"])
def test_pages_that_say_something_else_are_named(release: Path, page: str) -> None:
    path = release / page
    path.write_text(path.read_text().replace("CC-BY-4.0", "CC0-1.0").replace("read", "readd"))
    seal(release)
    found = verify(release)
    assert failed(found) == {"pages"}
    assert found.problems == (
        f"{page}: not what release.bundle version {BUNDLE_VERSION} writes from the manifests",
    )


def test_pages_of_another_version_are_not_judged(release: Path) -> None:
    index = read(release / "release.json")
    index["bundle_version"] = 99
    write(release / "release.json", index)
    (check,) = [check for check in verify(release).checks if check.name == "pages"]
    assert check.ok
    assert "not compared: written by version 99" in check.detail


def test_mentions_and_surveys_that_the_documents_do_not_bear_out_are_named(release: Path) -> None:
    """Also where the pages were written again to say the same."""
    credited, surveyed = read(release / "attribution.json"), read(release / "survey.json")
    credited[0]["licences"] = {"CC0-1.0": credited[0]["documents"]}
    surveyed[0]["languages"] = {"oc": surveyed[0]["size_bytes"]}
    surveyed.append({**surveyed[0], "source": "nowhere"})
    write(release / "attribution.json", credited)
    write(release / "survey.json", surveyed[1:])
    cover_up(release)
    found = verify(release)
    assert failed(found) == {"counts"}
    name = credited[0]["source"]
    assert found.problems == (
        f"attribution.json: the documents of {name} come to other licences",
        "survey.json: no document here is of the source nowhere",
        f"survey.json: says nothing of the source {surveyed[0]['source']}",
    )


def test_statistics_edited_alone_contradict_the_pages(release: Path) -> None:
    path = manifest_of(release, "corpus.read")
    manifest = read(path)
    manifest["statistics"]["licences"] = {"letters": {"CC0-1.0": 33}}
    write(path, manifest)
    seal(release)
    assert failed(verify(release)) == {"pages"}


Forge = Callable[[dict[str, Any]], None]


def _other_source(manifest: dict[str, Any]) -> None:
    manifest["sources"]["path"][0]["sha256"] = "sha256:" + "0" * 64


def _other_seed(manifest: dict[str, Any]) -> None:
    manifest["parameters"]["share"] = 0.5


def _other_files(manifest: dict[str, Any]) -> None:
    manifest["files"][0]["sha256"] = "sha256:" + "1" * 64


@pytest.mark.parametrize(
    ("step", "forge"),
    [("corpus.read", _other_source), ("corpus.hold_out", _other_seed), ("tokens.pack", _other_files)],
)
def test_a_manifest_forged_consistently_breaks_the_chain_elsewhere(release: Path, step: str, forge: Forge) -> None:
    path = manifest_of(release, step)
    manifest = read(path)
    forge(manifest)
    # As edited, the manifest itself does not hold …
    write(path, manifest)
    seal(release)
    assert "manifests" in failed(verify(release))
    # … and with key, digest and name computed again, what was made from it does not.
    parsed = Manifest.model_validate(manifest)
    parsed = parsed.model_copy(update={"digest": files_digest(parsed.files)})
    parsed = parsed.model_copy(update={"key": manifest_key(parsed)})
    path.unlink()
    (release / manifest_name(parsed.key)).write_text(parsed.model_dump_json(indent=1) + "\n")
    seal(release)
    assert failed(verify(release)) >= {"chain", "lock"}


def test_a_lock_or_recipe_exchanged_is_named(release: Path) -> None:
    recipe = release / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("share = 0.3", "share = 0.4"))
    seal(release)
    problems = verify(release).problems
    assert "recipe.toml: not the recipe that lock.json was made from" in problems
    assert any(problem.startswith("recipe.toml: not the file") for problem in problems)


def test_a_lock_that_names_other_makings_is_named(release: Path) -> None:
    lock = read(release / "lock.json")
    lock["calls"]["bpe"]["digest"] = "sha256:" + "0" * 64
    lock["calls"]["ghost"] = {**lock["calls"].pop("held"), "key": "sha256:" + "2" * 64}
    write(release / "lock.json", lock)
    seal(release)
    problems = " ".join(verify(release).problems)
    assert "the call [bpe] disagrees" in problems
    assert "the call [ghost] came to 222222222222" in problems
    assert "no call of lock.json made it" in problems


def test_a_manifest_gone_or_beside_the_point_is_named(release: Path) -> None:
    gone = manifest_of(release, "tokens.pack")
    stray = Manifest.model_validate(read(gone)).model_copy(update={"version": 9})
    stray = stray.model_copy(update={"key": manifest_key(stray)})
    gone.unlink()
    (release / manifest_name(stray.key)).write_text(stray.model_dump_json())
    seal(release)
    problems = " ".join(verify(release).problems)
    assert "has no manifest here" in problems
    assert f"{manifest_name(stray.key)}: nothing in this release was made from it" in problems


def test_links_and_pipes_are_refused_not_followed(release: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    shutil.move(release / "config.json", secret)
    (release / "config.json").symlink_to(secret)
    (release / "outside").symlink_to(tmp_path)
    os.mkfifo(release / "pipe")  # opening it would wait for ever
    problems = verify(release).problems
    assert "config.json: a link; a release holds none" in problems
    assert "config.json: missing" in problems
    assert "outside: a link; a release holds none" in problems
    assert "pipe: not a regular file" in problems


def test_names_that_leave_the_folder_are_refused(release: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_text("x")
    index = read(release / "release.json")
    entry = {"size_bytes": 1, "sha256": digest_file(tmp_path / "outside.txt")}
    names = ["../outside.txt", str(tmp_path / "outside.txt"), "a/../../outside.txt", "./README.md", ""]
    index["files"] += [{"path": name, **entry} for name in names]
    write(release / "release.json", index)
    problems = verify(release).problems
    for name in names:
        assert f"{name}: not a name inside the release" in problems
        assert not is_safe_name(name)


def test_odd_names_are_spelt_out(release: Path) -> None:
    (release / "red\x1b[31m\nline").write_text("x")
    Path(os.fsdecode(os.fsencode(release) + b"/\xff")).write_text("x")
    problems = verify(release).problems
    assert "red\\x1b[31m\\nline: not listed in release.json" in problems
    assert "\\udcff: its name is not UTF-8" in problems
    assert "".join(problems).isprintable()
    assert plain("été [b]") == "été [b]"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "{" * 100_000, '{"format": 1}', "\xff", '{"format": NaN}'], ids=range(7)
)
def test_an_index_that_is_none(release: Path, text: str) -> None:
    (release / "release.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ReleaseError, match=r"release\.json cannot be understood"):
        verify(release)


def test_no_release_at_all(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"has no release\.json"):
        verify(tmp_path)
    with pytest.raises(ReleaseError, match="nothing is there"):
        verify(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(ReleaseError, match="it is a file"):
        verify(tmp_path / "file")


def test_another_format_is_said(release: Path) -> None:
    index = read(release / "release.json")
    index["format"] = 2
    write(release / "release.json", index)
    with pytest.raises(ReleaseError, match="of format 2, this version reads 1"):
        verify(release)


def test_too_large_and_too_many_are_refused(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "JSON_LIMIT_BYTES", 5_000_000)
    path = manifest_of(release, "train.pretrain")
    path.write_bytes(b" " * 5_000_001)
    assert any("is larger than 5,000,000 bytes" in problem for problem in verify(release).problems)
    monkeypatch.setattr(folder_module, "FILES_LIMIT", 20)
    with pytest.raises(ReleaseError, match="more than 20 files"):
        verify(release)


@pytest.mark.parametrize(
    "statistics",
    [
        {"sources": {"letters": {"read": "many"}}},
        {"sources": []},
        {"sources": {"letters": {"read": 1, "tokens": None}}},
        {"scores": 3},
        {"scores": [{"value": 1}]},
        {"licences": [1]},
        {"licences": {"letters": {"CC0-1.0": "x"}}},
    ],
)
def test_statistics_of_any_shape_end_in_a_problem(release: Path, statistics: dict[str, Any]) -> None:
    path = manifest_of(release, "corpus.read")
    manifest = read(path)
    manifest["statistics"] = statistics
    write(path, manifest)
    seal(release)
    found = verify(release)
    assert failed(found) == {"pages"}


@pytest.mark.parametrize("name", ["lock.json", "manifest"])
def test_json_that_is_none_is_named(release: Path, name: str) -> None:
    path = manifest_of(release, "train.pretrain") if name == "manifest" else release / name
    for text in ("", "[1]", "{", "[" * 100_000, '{"calls": 1}'):
        path.write_text(text)
        seal(release)
        assert any("cannot be understood" in problem for problem in verify(release).problems)


def test_a_number_that_is_none_is_a_problem(release: Path) -> None:
    path = manifest_of(release, "corpus.hold_out")
    path.write_text(path.read_text().replace('"share":0.3', '"share":NaN').replace('"share": 0.3', '"share": NaN'))
    seal(release)
    assert any("cannot be hashed" in problem for problem in verify(release).problems)
