import json
import os

import pytest
import torch

from fonderie.core.errors import StoreError
from fonderie.train.record import checkpoint

TENSORS = {
    "model": {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor(2.5, dtype=torch.bfloat16)},
    "random": {"cpu": torch.get_rng_state()},
}


def save(folder, aside, step, tensors, facts):
    return checkpoint.seal(checkpoint.write(aside, step, tensors), folder, facts)


@pytest.fixture
def saved(tmp_path):
    return save(tmp_path / "checkpoints", tmp_path / "aside", 40, TENSORS, {"tokens": 7})


def test_what_is_saved_is_loaded(saved):
    found = checkpoint.load(saved)
    assert (found.step, found.facts) == (40, {"tokens": 7})
    assert found.tensors.keys() == TENSORS.keys()
    for name, group in TENSORS.items():
        assert all(torch.equal(found.tensors[name][key], value) for key, value in group.items())
        assert all(found.tensors[name][key].dtype == value.dtype for key, value in group.items())


def test_saving_again_replaces_and_gives_the_same_bytes(saved, tmp_path):
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    assert save(tmp_path / "checkpoints", tmp_path / "aside", 40, TENSORS, {"tokens": 7}) == saved
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
    assert list((tmp_path / "aside").iterdir()) == []


@pytest.mark.parametrize("file", ["model.safetensors", "random.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damage_is_named(saved, file, damage):
    path = saved / file
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    else:
        path.unlink()
    with pytest.raises(StoreError, match=file):
        checkpoint.load(saved)


@pytest.mark.parametrize("file", ["model.safetensors", "state.json"])
def test_damage_to_any_byte_is_named(saved, file):
    path = saved / file
    data = path.read_bytes()
    for place in range(len(data)):
        for damaged in (data[:place], data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]):
            path.write_bytes(damaged)
            with pytest.raises(StoreError, match=file):
                checkpoint.load(saved)
            with pytest.raises(StoreError, match=file):
                checkpoint.check(saved)


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'"digest"', b"7", b"\xff", b"[" * 10**5, b'{"digest": "x"}'])
def test_what_is_no_state_is_named(saved, text):
    (saved / "state.json").write_bytes(text)
    with pytest.raises(StoreError, match=r"step-00000040/state\.json is not"):
        checkpoint.load(saved)


def test_a_checkpoint_under_the_name_of_another_is_damage(saved):
    other = saved.rename(saved.with_name("step-00000041"))
    with pytest.raises(StoreError, match=r"state\.json is of step 40, and its folder of another"):
        checkpoint.load(other)


def test_a_changed_fact_is_damage(saved):
    state = json.loads((saved / "state.json").read_text())
    state["facts"]["tokens"] = 8
    (saved / "state.json").write_text(json.dumps(state))
    with pytest.raises(StoreError, match=r"state\.json is not what was written"):
        checkpoint.load(saved)


def test_the_latest_is_the_highest_step_whatever_the_clock_says(tmp_path):
    paths = [save(tmp_path, tmp_path / "aside", step, TENSORS, {}) for step in (100_000_000, 99_999_999, 5)]
    os.utime(paths[0], (0, 0))
    (tmp_path / "step-notes").mkdir()
    assert checkpoint.latest(tmp_path) == paths[0]
    checkpoint.prune(tmp_path, lambda steps: set(steps[1:]), aside=tmp_path / "aside")
    assert checkpoint.all_of(tmp_path) == [paths[1], paths[0]]
    checkpoint.prune(tmp_path, lambda _: set(), aside=tmp_path / "aside", latest=1)
    assert checkpoint.all_of(tmp_path) == [paths[0]]
    checkpoint.prune(tmp_path, lambda _: set(), aside=tmp_path / "aside")
    assert checkpoint.latest(tmp_path) is None
    assert list((tmp_path / "aside").iterdir()) == []


def test_a_half_written_latest_is_not_passed_over(saved):
    (saved.parent / "step-00000080").mkdir()
    latest = checkpoint.latest(saved.parent)
    assert latest is not None
    with pytest.raises(StoreError, match=r"step-00000080/state\.json"):
        checkpoint.load(latest)


def test_what_a_crash_left_aside_is_not_in_the_way(tmp_path):
    (tmp_path / "aside" / "step-00000001").mkdir(parents=True)
    (tmp_path / "aside" / "step-00000001" / "model.safetensors").write_bytes(b"half")
    assert checkpoint.load(save(tmp_path, tmp_path / "aside", 1, TENSORS, {})).step == 1
