import hashlib
import os
from pathlib import Path

import pytest

from fonderie.core.machine import Machine
from fonderie.core.merkle import hash_chunks
from fonderie.release.folder import Folder
from fonderie.release.hashing import Hashed, Hashing
from fonderie.release.layout import TOKENS


def test_every_file_comes_in_the_order_of_names_with_its_hash(tmp_path: Path) -> None:
    contents = {
        "b": b"b" * 9_000_000,
        "a": b"",
        f"{TOKENS}/0": b"c" * 3_000_000,
        **{f"z{i}": b"z" for i in range(200)},
    }
    for name, data in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(data)
    found = Hashing(Folder.open(tmp_path)).result(Machine())
    assert list(found) == sorted(contents)
    for name, data in contents.items():
        root = hash_chunks(tmp_path / name).root if name.startswith(TOKENS) else None
        assert found[name] == Hashed("sha256:" + hashlib.sha256(data).hexdigest(), len(data), root)


def test_an_empty_folder_has_nothing_to_wait_for(tmp_path: Path) -> None:
    assert Hashing(Folder.open(tmp_path)).result(Machine()) == {}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser reads every file")
def test_a_file_that_cannot_be_read_is_told_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "locked").write_bytes(b"x")
    (tmp_path / "locked").chmod(0)
    assert isinstance(Hashing(Folder.open(tmp_path)).result(Machine())["locked"], PermissionError)


def test_a_file_that_vanished_meanwhile_is_told_and_the_others_still_come(tmp_path: Path) -> None:
    folder = Folder(tmp_path, {"a": tmp_path / "a", "gone": tmp_path / "gone"}, ())
    (tmp_path / "a").write_bytes(b"x")
    found = Hashing(folder).result(Machine())
    assert isinstance(found["gone"], FileNotFoundError)
    assert isinstance(found["a"], Hashed)
