"""Files of tensors from anyone: what holds is read, what does not is refused before anything is built of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save
from safetensors.torch import save_file

from fonderie.core.errors import ReleaseError
from fonderie.model.config import ModelConfig
from fonderie.model.convert import to_huggingface
from fonderie.model.names import huggingface_names
from fonderie.model.transformer import Decoder
from fonderie.release.chain.tensors import open_tensors, unlike

CONFIG = ModelConfig.from_depth(2, vocabulary=64, context=16, width=32, heads=4, kv_heads=2, head_size=8, hidden=48)


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def config(request: pytest.FixtureRequest) -> ModelConfig:
    return CONFIG.model_copy(update={"tied_embeddings": request.param})


def files(folder: Path, config: ModelConfig, dtype: torch.dtype = torch.float32) -> tuple[Path, Path]:
    """The same weights as a checkpoint's and as Hugging Face's."""
    state = {name: tensor.to(dtype) for name, tensor in Decoder(config, seed=0).state_dict().items()}
    ours, theirs = folder / "ours.safetensors", folder / "theirs.safetensors"
    save_file(state, ours)
    save_file(to_huggingface(state, config), theirs, metadata={"format": "pt"})
    return ours, theirs


def compared(ours: Path, theirs: Path, config: ModelConfig) -> list[str]:
    with open_tensors(theirs) as weights, open_tensors(ours) as checkpoint:
        return unlike(weights, checkpoint, huggingface_names(config))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_weights_under_both_names(tmp_path: Path, config: ModelConfig, dtype: torch.dtype) -> None:
    assert compared(*files(tmp_path, config, dtype), config) == []


def test_every_single_tensor_is_compared(tmp_path: Path, config: ModelConfig) -> None:
    ours, theirs = files(tmp_path, config)
    data = theirs.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    header.pop("__metadata__")
    base = len(data) - max(entry["data_offsets"][1] for entry in header.values())
    for name, entry in header.items():
        for place in (entry["data_offsets"][0], entry["data_offsets"][1] - 1):
            changed = bytearray(data)
            changed[base + place] ^= 1
            theirs.write_bytes(changed)
            assert compared(ours, theirs, config) == [f"{name}: not as in the checkpoint"]


def test_missing_added_retyped_and_reshaped(tmp_path: Path) -> None:
    ours, theirs = files(tmp_path, CONFIG)
    state = to_huggingface(Decoder(CONFIG, seed=0).state_dict(), CONFIG)
    norm = state.pop("model.norm.weight")
    save_file({**state, "more": norm}, theirs)
    assert compared(ours, theirs, CONFIG) == ["more: not a tensor of this model", "model.norm.weight: missing"]
    save_file({**state, "model.norm.weight": norm.to(torch.float64)}, theirs)
    assert "model.norm.weight: not as in the checkpoint" in compared(ours, theirs, CONFIG)
    save_file({**state, "model.norm.weight": norm.view(4, 8)}, theirs)
    assert compared(ours, theirs, CONFIG) == ["model.norm.weight: another shape than in the checkpoint"]
    save_file({"x": norm}, ours)
    assert any("missing from the checkpoint" in problem for problem in compared(ours, theirs, CONFIG))


GOOD = save({"a": np.zeros(3, np.float32)})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        GOOD[:7],
        GOOD[:20],
        (1 << 62).to_bytes(8, "little") + GOOD[8:],
        GOOD.replace(b"[0,12]", b"[0,99]"),
        GOOD.replace(b"[0,12]", b"[9,1] "),
        GOOD.replace(b"[0,12]", b"[-9,3]"),
        GOOD.replace(b'"F32"', b"12345"),
    ],
    ids=range(8),
)
def test_what_is_none_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(ReleaseError, match=r"x\.safetensors"), open_tensors(path):
        pass


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_any_byte_changed_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, at: int, byte: int) -> None:
    path = tmp_path_factory.mktemp("any") / "x.safetensors"
    path.write_bytes(GOOD[:at] + bytes([byte]) + GOOD[at + 1 :])
    try:
        with open_tensors(path) as found:
            assert sum(len(view) for view in found.data.values()) <= len(GOOD)
    except ReleaseError:
        pass
