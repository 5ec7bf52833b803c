import errno
import json
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fonderie.core import files
from fonderie.core.errors import StoreError
from fonderie.core.manifest import InputEntry, request_key
from fonderie.core.step import Artifact
from fonderie.core.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def _request(name: str = "toy", upstream: Artifact | None = None) -> dict[str, Any]:
    group = [upstream] if upstream else []
    inputs = {"in": [InputEntry(key=item.key, digest=item.digest) for item in group]}
    key = request_key(
        name, 1, {}, {port: [entry.digest for entry in entries] for port, entries in inputs.items()}, {}
    )
    return {"key": key, "step": name, "version": 1, "parameters": {}, "inputs": inputs, "sources": {}}


def _commit(store: Store, request: dict[str, Any], text: str = "text") -> Artifact:
    out = store.stage(request["key"], resumable=False)
    (out.path / "sub").mkdir()
    (out.path / "sub" / "a.txt").write_text(text)
    (out.path / "b.txt").write_text("b")
    return store.commit(out, **request)


def _staged(store: Store) -> list[str]:
    return sorted(path.name for path in (store.root / "staging").iterdir())


def test_what_is_committed_is_found_again_by_another_store(store: Store) -> None:
    artifact = _commit(store, _request())
    again = Store(store.root).get(artifact.key)
    assert again is not None
    assert again.manifest == artifact.manifest
    assert [entry.path for entry in again.manifest.files] == ["b.txt", "sub/a.txt"]
    assert (again.path / "sub" / "a.txt").read_text() == "text"
    assert _staged(store) == []
    assert store.altered(again) == []
    assert [item.key for item in Store(store.root).artifacts()] == [artifact.key]


def test_what_is_staged_is_invisible(store: Store) -> None:
    request = _request()
    out = store.stage(request["key"], resumable=False)
    (out.path / "a.txt").write_text("half")
    assert store.get(request["key"]) is None
    assert list(store.artifacts()) == []
    store.discard(out)
    assert _staged(store) == []


def test_two_makings_never_share_a_folder(store: Store) -> None:
    key = _request()["key"]
    first, second = store.stage(key, resumable=False), store.stage(key, resumable=False)
    assert first.path != second.path


def test_a_resumable_making_finds_its_folder_again(store: Store) -> None:
    request = _request()
    out = store.stage(request["key"], resumable=True)
    (out.state / "step").write_text("7")
    with Store(store.root).hold("test", wait=False, say=print):  # sweeps
        again = Store(store.root).stage(request["key"], resumable=True)
    assert (again.state / "step").read_text() == "7"
    store.commit(again, **request)
    assert _staged(store) == []


def test_holding_sweeps_what_a_killed_run_left(store: Store) -> None:
    key, done = _request()["key"], _commit(store, _request("done"))
    store.stage(key, resumable=False)
    # A crash between the rename and the end of the commit of a resumable step leaves its state.
    (store.root / "staging" / done.key.removeprefix("sha256:") / "state").mkdir(parents=True)
    assert len(_staged(store)) == 2
    with store.hold("test", wait=False, say=print):
        assert _staged(store) == []


def test_a_read_only_folder_does_not_stop_a_retry(store: Store) -> None:
    key = _request()["key"]
    out = store.stage(key, resumable=False)
    (out.path / "old.txt").touch()
    out.path.chmod(0o500)
    store.discard(out)
    again = store.stage(key, resumable=False)
    assert list(again.path.iterdir()) == []
    if out.path.exists():
        out.path.chmod(0o700)


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (lambda path: (path / "b.txt").write_text("c"), ["b.txt: altered"]),
        (lambda path: (path / "b.txt").unlink(), ["b.txt: missing"]),
        (lambda path: (path / "sub" / "new").touch(), ["sub/new: not in the manifest"]),
        (lambda path: (path / "gone").symlink_to("nowhere"), ["gone: not in the manifest"]),
        (lambda path: shutil.rmtree(path / "sub"), ["sub/a.txt: missing"]),
        (
            lambda path: [(path / "b.txt").rename(path / "c.txt"), (path / "sub" / "a.txt").write_text("tixt")],
            ["b.txt: missing", "c.txt: not in the manifest", "sub/a.txt: altered"],
        ),
    ],
)
def test_what_was_altered_is_named(store: Store, harm: Any, expected: list[str]) -> None:
    artifact = _commit(store, _request())
    harm(artifact.path)
    assert store.altered(artifact) == [f"{artifact.path}/{problem}" for problem in expected]


def test_a_manifest_altered_along_with_its_file_does_not_hold(store: Store) -> None:
    artifact = _commit(store, _request())
    path = artifact.path.parent / "manifest.json"
    record = json.loads(path.read_text())
    record["version"] = 2
    record["files"][0]["sha256"] = record["files"][1]["sha256"]
    path.write_text(json.dumps(record))
    again = Store(store.root).get(artifact.key)
    assert again is not None
    problems = store.altered(again)
    assert any("its digest is not that of the files it lists" in problem for problem in problems)
    assert any("its key is not that of the request it states" in problem for problem in problems)


def test_what_is_missing_or_of_another_size_is_not_reused(store: Store) -> None:
    artifact = _commit(store, _request())
    (artifact.path / "b.txt").write_text("longer")
    with pytest.raises(StoreError, match=r"b\.txt is missing or altered") as caught:
        Store(store.root).get(artifact.key)
    assert str(artifact.path.parent) in caught.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is not a manifest: : Invalid JSON"), ("{}", "is not a manifest: key: Field required")],
)
def test_what_is_not_a_manifest_is_named(store: Store, text: str, message: str) -> None:
    artifact = _commit(store, _request())
    (artifact.path.parent / "manifest.json").write_text(text)
    with pytest.raises(StoreError, match=message):
        Store(store.root).get(artifact.key)
    (artifact.path.parent / "manifest.json").unlink()
    with pytest.raises(StoreError, match=r"manifest\.json cannot be read"):
        Store(store.root).get(artifact.key)


def test_a_copied_artifact_does_not_pass_for_another(store: Store) -> None:
    artifact, other = _commit(store, _request()), _request("other")["key"]
    shutil.copytree(artifact.path.parent, store.folder(other))
    with pytest.raises(StoreError, match="is the manifest of another artifact"):
        store.get(other)


def test_an_artifact_whose_upstream_is_gone_says_how_to_go_on(store: Store) -> None:
    first = _commit(store, _request())
    second = _commit(store, _request("second", first))
    shutil.rmtree(first.path.parent)
    with pytest.raises(StoreError, match=f"was made from {first.key}, which the store no longer holds") as caught:
        Store(store.root).get(second.key)
    assert str(second.path.parent) in caught.value.hint


def test_a_reused_artifact_takes_the_upstream_of_the_run_if_the_digests_agree(store: Store) -> None:
    first, equal = _commit(store, _request("v1")), _commit(store, _request("v2"))
    differing = _commit(store, _request("v3"), "other text")
    second = _commit(store, _request("second", first))
    linked = store.get(second.key, {"in": (equal,)})
    assert linked is not None
    again = Store(store.root).get(second.key)
    assert again is not None
    for artifact in (linked, again):
        assert [item.key for item in artifact.lineage()] == [equal.key, second.key]
        assert artifact.manifest.inputs["in"][0].key == equal.key
    assert store.altered(again) == []
    with pytest.raises(StoreError, match="was not made from these inputs"):
        store.get(second.key, {"in": (differing,)})


def test_lineage_names_each_once_and_inputs_first(store: Store) -> None:
    root = _commit(store, _request())
    left, right = _commit(store, _request("left", root)), _commit(store, _request("right", root))
    request = _request("join")
    request["inputs"] = {"in": [InputEntry(key=item.key, digest=item.digest) for item in (left, right)]}
    request["key"] = request_key("join", 1, {}, {"in": [left.digest, right.digest]}, {})
    join = _commit(store, request)
    assert [item.key for item in join.lineage()] == [root.key, left.key, right.key, join.key]


def test_a_store_may_be_a_link_and_may_move(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    store = Store(tmp_path / "link")
    artifact = _commit(store, _request())
    store.publish("toy", artifact)
    (tmp_path / "link").unlink()
    real.rename(tmp_path / "moved")
    moved = Store(tmp_path / "moved")
    assert moved.get(artifact.key) is not None
    assert (moved.root / "releases" / "toy" / "b.txt").read_text() == "b"


def test_publishing_replaces_the_link(store: Store) -> None:
    first, second = _commit(store, _request()), _commit(store, _request("second"), "new")
    store.publish("toy", first)
    link = store.publish("toy", second)
    assert (link / "sub" / "a.txt").read_text() == "new"
    assert [path.name for path in link.parent.iterdir()] == ["toy"]
    link.unlink()
    link.mkdir()
    with pytest.raises(StoreError, match="releases/toy cannot be written"):
        store.publish("toy", first)


def test_a_store_where_none_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="no store can be made at"):
        Store(tmp_path / "file")


def test_a_lock_that_is_not_one(store: Store) -> None:
    assert store.read_lock("toy") is None
    store.write_lock("toy", {"format": 1, "title": "é"})
    assert store.read_lock("toy") == {"format": 1, "title": "é"}
    (store.run_folder("toy") / "lock.json").write_text("{")
    with pytest.raises(StoreError, match=r"lock\.json is not a lock"):
        store.read_lock("toy")


def test_the_holder_is_named_and_then_forgotten(store: Store) -> None:
    with (
        store.hold("fonderie run a.toml", wait=False, say=print),
        pytest.raises(StoreError, match=rf"held by process {os.getpid()} on .* \(fonderie run a.toml\)") as caught,
        Store(store.root).hold("b", wait=False, say=print),
    ):
        pytest.fail("two held the store")
    assert "--store" in caught.value.hint
    assert (store.root / "holder.json").read_text() == ""


def test_an_error_while_holding_lets_go(store: Store) -> None:
    with pytest.raises(ValueError, match="x"), store.hold("a", wait=False, say=print):
        raise ValueError("x")
    with store.hold("b", wait=False, say=print):
        pass


# A full disk


@contextmanager
def _file_size_limit(size_bytes: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_commit_without_room_for_its_manifest_leaves_nothing_visible(store: Store) -> None:
    request = _request()
    out = store.stage(request["key"], resumable=False)
    (out.path / "a.txt").write_text("a")
    with _file_size_limit(64), pytest.raises(StoreError, match="cannot be written: File too large") as caught:
        store.commit(out, **request)
    assert "The disk is full" in caught.value.hint
    assert store.get(request["key"]) is None
    assert store.commit(out, **request).digest


def test_a_lock_without_room_keeps_the_old_one(store: Store) -> None:
    store.write_lock("toy", {"format": 1})
    with _file_size_limit(64), pytest.raises(StoreError, match=r"lock\.json cannot be written"):
        store.write_lock("toy", {"text": "x" * 100})
    assert store.read_lock("toy") == {"format": 1}
    assert [path.name for path in store.run_folder("toy").iterdir()] == ["lock.json"]


def test_a_commit_that_cannot_be_synced_leaves_nothing_visible(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = _request()
    out = store.stage(request["key"], resumable=False)
    (out.path / "a.txt").write_text("a")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        store.commit(out, **request)
    assert store.get(request["key"]) is None
