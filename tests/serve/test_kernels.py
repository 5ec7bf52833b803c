"""The engine's products and attention: right, and to the bit whatever is computed beside them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fonderie.model.config import ModelConfig
from fonderie.model.transformer import Decoder
from fonderie.serve.engine.device import DeviceSlots
from fonderie.serve.engine.kernel import exponential, gate
from fonderie.serve.engine.slots import CHUNK, Slots
from fonderie.serve.engine.tiles import LANES, pack, panels_of, product, room_for

KINDS = [
    {},
    {"architecture": "mistral", "window": 40},
    {"architecture": "olmo2"},
    {"architecture": "qwen3"},
    {"architecture": "qwen2"},
    {"tied_embeddings": False},
    {"head_size": 10, "width": 70, "heads": 7, "kv_heads": 7, "hidden": 37},
]


def multiplied(x: np.ndarray, weight: torch.Tensor, threads: int = 1) -> np.ndarray:
    outputs, inputs = weight.shape
    packed = room_for(panels_of(outputs) * inputs * LANES, weight)
    pack(weight, packed)
    y = np.empty((len(x), panels_of(outputs) * LANES), np.float32)
    product(x, len(x), packed, 0, inputs, panels_of(outputs), y, threads)
    return y[:, :outputs]


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 27),
    st.integers(1, 400),
    st.integers(1, 90),
    st.sampled_from(["fp32", "bf16"]),
    st.integers(0, 99),
)
def test_a_product_is_right_and_each_row_has_the_bits_it_has_alone(rows, outputs, inputs, precision, seed):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(outputs, inputs, generator=generator)
    weight = weight.bfloat16() if precision == "bf16" else weight
    x = torch.randn(rows, inputs, generator=generator).numpy()
    together = multiplied(x, weight)
    exact = x.astype(np.float64) @ weight.double().numpy().T
    assert np.allclose(together, exact, atol=1e-4)
    for row in range(rows):
        assert np.array_equal(multiplied(x[row : row + 1], weight)[0], together[row])
    assert np.array_equal(multiplied(x, weight, threads=2), together)


def test_exponentials_are_those_of_double_precision_to_a_rounding():
    hidden = 20_001
    gates = np.linspace(-80, 80, hidden, dtype=np.float32)
    found = np.empty((1, hidden), np.float32)
    gate(np.concatenate([gates, np.ones(hidden, np.float32)])[None], 1, hidden, found)
    wide = gates.astype(np.float64)
    assert np.abs(found[0] - wide / (1 + np.exp(-wide))).max() < 1e-5
    for x in (-87.0, -1.0, 0.0, 1e-3, 0.35, 3.0, 88.0):
        assert exponential(np.float32(x)) == pytest.approx(np.exp(np.float64(np.float32(x))), rel=2e-7)
    assert 0 < exponential(np.float32(-1e30)) < 1e-37
    assert np.isnan(exponential(np.float32(np.nan)))


@pytest.fixture(params=KINDS, ids=lambda options: ",".join(map(str, options.values())) or "llama")
def decoder(request):
    sizes = ModelConfig.from_depth(2, vocabulary=333, context=200, width=64, head_size=16, init_std=0.2)
    return Decoder(ModelConfig.model_validate({**sizes.model_dump(), **request.param}), seed=0).eval()


@torch.inference_mode()
def said(room, ids, read):
    """The hidden states of a text in slot 1: so many of its tokens read, the rest said, with others beside them."""
    chunks = [room.read(1, ids[start : min(start + CHUNK, read)], start) for start in range(0, read, CHUNK)]
    for place, token in enumerate(ids[read:], start=read):
        chunks.append(room.go_on([2, 1, 0], [7, token, 9], [place - read, place, 3])[1:2])
    return torch.cat(chunks)


def test_reading_and_going_on_give_what_the_model_gives(decoder):
    ids = torch.randint(0, 333, (180,), generator=torch.Generator().manual_seed(1)).tolist()
    with torch.inference_mode():
        expected = decoder.hidden(torch.tensor([ids]))[0]
        room = Slots(decoder, 3)
        found = said(room, ids, 150)
        assert torch.allclose(found, expected, atol=3e-5)
        assert torch.allclose(room.logits(found), expected @ decoder.output_weight.T, atol=1e-4)
        elsewhere = said(DeviceSlots(decoder, 3), ids, 150)
        assert torch.allclose(elsewhere, expected, atol=3e-5)


def test_what_is_read_and_what_is_said_are_kept_alike_to_the_bit(decoder):
    ids = torch.randint(0, 333, (130,), generator=torch.Generator().manual_seed(2)).tolist()
    read, spoken = said(Slots(decoder, 3), ids, 130), said(Slots(decoder, 3, threads=2), ids, 70)
    assert torch.equal(read, spoken)
    assert torch.equal(read, said(Slots(decoder, 3, threads=None), ids, 70))  # however many are faster here


def test_bf16_weights_and_keys_stray_less_from_fp32_than_torchs_own_bf16(decoder):
    ids = torch.randint(0, 333, (150,), generator=torch.Generator().manual_seed(3)).tolist()
    half = decoder.bfloat16()
    with torch.inference_mode():
        theirs = half.hidden(torch.tensor([ids]))[0].float()
        found = said(Slots(half, 3), ids, 120)
        exact = half.float().hidden(torch.tensor([ids]))[0]
    assert (found - exact).abs().mean() < (theirs - exact).abs().mean() / 2


def test_what_another_request_left_behind_is_not_read_even_where_it_is_no_number():
    config = ModelConfig.from_depth(2, vocabulary=333, context=200, width=64, head_size=16)
    model = Decoder(config, seed=0).eval()
    ids = list(range(40))
    with torch.inference_mode():
        room = Slots(model, 3)
        clean = said(room, ids, 21)
        for kept in (room._keys, room._values):
            kept.fill(np.nan)
        assert torch.equal(said(room, ids, 21), clean)
