"""Products in float8: refused where they cannot be, and rounded, not wrong, where they are."""

import pytest
import torch
from pydantic import ValidationError

from fonderie.core.errors import StepError
from fonderie.model.config import ModelConfig
from fonderie.model.float8 import convert, use_float8
from fonderie.model.transformer import Decoder
from fonderie.train.settings.kernels import ComputeParameters

SIZES = {"depth": 1, "width": 32, "heads": 2, "kv_heads": 1, "head_size": 16, "vocabulary": 50, "context": 16}


def test_it_needs_a_gpu_that_multiplies_so() -> None:
    model = Decoder(ModelConfig(hidden=64, **SIZES), seed=0)
    with pytest.raises(StepError, match="needs a GPU that multiplies in float8, and the device is cpu"):
        use_float8(model, "cpu")


def test_it_needs_bf16_around_it() -> None:
    with pytest.raises(ValidationError, match=r'fp8 = true needs precision = "bf16"'):
        ComputeParameters(fp8=True)
    assert ComputeParameters(fp8=True, precision="bf16").fp8


def test_a_matrix_of_another_size_is_named() -> None:
    pytest.importorskip("torchao", reason="torchao is not installed: pip install 'fonderie[gpu]'")
    model = Decoder(ModelConfig(hidden=40, **SIZES), seed=0)
    with pytest.raises(StepError, match=r"blocks\.0\.feed_forward\.down is of 32 x 40"):
        convert(model, emulate=True)


def test_emulated_it_is_near_and_keeps_names_and_weights() -> None:
    pytest.importorskip("torchao", reason="torchao is not installed: pip install 'fonderie[gpu]'")
    plain, rounded = (Decoder(ModelConfig(hidden=64, init_std=0.2, **SIZES), seed=0) for _ in range(2))
    convert(rounded, emulate=True)
    assert plain.state_dict().keys() == rounded.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), rounded.parameters(), strict=True))
    ids = torch.arange(32).view(2, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        wanted, found = plain(ids), rounded(ids)
    found.float().sum().backward()
    error = (found - wanted).float().norm() / wanted.float().norm()
    # Three bits of fraction: every operand is off by up to 6 %.
    assert 0 < error < 0.25
    assert all(weight.grad is not None for weight in rounded.blocks.parameters())
