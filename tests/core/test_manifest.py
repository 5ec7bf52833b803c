import os
from pathlib import Path

import pytest

from fonderie.core.manifest import (
    FileEntry,
    InputEntry,
    Manifest,
    files_digest,
    list_files,
    manifest_key,
    request_key,
)

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
SOURCE = FileEntry(path="romans/1.xml", size_bytes=3, sha256=A)


def test_golden_request_key() -> None:
    """Every artifact ever made is found by this: it must not drift."""
    key = request_key("corpus.read", 1, {"format": "tei", "depth": 2}, {"documents": [A, B]}, {"path": [SOURCE]})
    assert key == "sha256:abd13dc34ea91a3999ac126d092378efcbccf8018c2a8192e22e55eefe7d309c"


def test_golden_files_digest() -> None:
    entries = [FileEntry(path="b/é.txt", size_bytes=1, sha256=B), FileEntry(path="a.txt", size_bytes=9, sha256=A)]
    assert files_digest(entries) == "sha256:f4de1beeedcca6272316f3a638ca01af78095eaeb3f79ba64cd966bb8d95cdf6"
    assert files_digest(reversed(entries)) == files_digest(entries)


@pytest.mark.parametrize(
    "changed",
    [
        {"step": "corpus.write"},
        {"version": 2},
        {"parameters": {"a": 2}},
        {"inputs": {"documents": [B]}},
        {"inputs": {"documents": [A, A]}},
        {"inputs": {"others": [A]}},
        {"sources": {"path": [SOURCE.model_copy(update={"sha256": B})]}},
        {"sources": {"path": [SOURCE.model_copy(update={"path": "romans/2.xml"})]}},
        {"sources": {}},
    ],
)
def test_every_part_of_a_request_enters_its_key(changed: dict[str, object]) -> None:
    request = {
        "step": "corpus.read",
        "version": 1,
        "parameters": {"a": 1},
        "inputs": {"documents": [A]},
        "sources": {"path": [SOURCE]},
    }
    assert request_key(**(request | changed)) != request_key(**request)


def test_the_key_of_a_manifest_read_back_is_its_own() -> None:
    parameters = {"rate": 1e-5, "big": 2**70, "rules": ["words >= 50"], "nested": {"x": 0.1, "none": None}}
    manifest = Manifest(
        key=request_key("toy", 1, parameters, {"in": [B]}, {"path": [SOURCE]}),
        digest=A,
        step="toy",
        version=1,
        parameters=parameters,
        inputs={"in": [InputEntry(key=A, digest=B)]},
        sources={"path": [SOURCE]},
        files=[],
    )
    again = Manifest.model_validate_json(manifest.model_dump_json(indent=1))
    assert again == manifest
    assert manifest_key(again) == manifest.key
    assert manifest_key(again.model_copy(update={"version": 2})) != manifest.key


def test_files_are_listed_with_odd_names_and_without_empty_folders(tmp_path: Path) -> None:
    for name in ("b.txt", "a/é\n[x].txt", ".hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "empty").mkdir()
    assert [entry.path for entry in list_files(tmp_path)] == [".hidden", "a/é\n[x].txt", "b.txt"]


def test_links_pipes_and_names_that_are_not_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/hostname")
    with pytest.raises(ValueError, match="link is not a regular file"):
        list_files(tmp_path)
    (tmp_path / "link").unlink()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe is not a regular file"):
        list_files(tmp_path)
    (tmp_path / "pipe").unlink()
    (tmp_path / os.fsdecode(b"\xe9")).touch()
    with pytest.raises(ValueError, match=r"b'\\xe9' is not UTF-8"):
        list_files(tmp_path)
