import pytest
import torch
from torch.nn import functional

from fonderie.model.config import ModelConfig
from fonderie.model.transformer import Cache, Decoder, RMSNorm

CONFIG = ModelConfig.from_depth(2, vocabulary=50, context=160, width=32, head_size=8, kv_heads=2)


def random(*shape, dtype=torch.float64, seed=0):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def test_rms_norm_is_torchs():
    norm, x = RMSNorm(16, 1e-5), random(2, 3, 16, dtype=torch.float32)
    norm.weight.data.normal_(generator=torch.Generator().manual_seed(3))
    want = functional.rms_norm(x, (16,), norm.weight, 1e-5)
    torch.testing.assert_close(norm(x), want)
    up = torch.randn_like(want)
    for mine, theirs in zip(
        torch.autograd.grad(norm(x), (x, norm.weight), up),
        torch.autograd.grad(want, (x, norm.weight), up),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)


def test_no_position_reads_a_later_one():
    model = Decoder(CONFIG, seed=0)
    ids = torch.randint(50, (1, 100), generator=torch.Generator().manual_seed(0))
    changed = ids.clone()
    changed[0, 70] = (ids[0, 70] + 1) % 50
    before, after = model(ids), model(changed)
    torch.testing.assert_close(before[:, :70], after[:, :70], rtol=0, atol=0)
    assert not torch.equal(before[:, 70:], after[:, 70:])


def test_the_cache_gives_the_logits_of_a_whole_pass():
    model = Decoder(CONFIG, seed=0)
    ids = torch.randint(50, (2, 150), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        want, cache = model(ids), Cache(model, batch=2)
        got = torch.cat([model(part, cache) for part in ids.split([90, 1, 1, 58], dim=1)], dim=1)
    torch.testing.assert_close(got, want)


def test_initial_weights_follow_the_seed_alone():
    torch.manual_seed(1)
    one = Decoder(CONFIG, seed=7)
    torch.manual_seed(2)
    two, other = Decoder(CONFIG, seed=7), Decoder(CONFIG, seed=8)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.embedding.weight, other.embedding.weight)
    assert sum(weight.numel() for weight in one.parameters()) == CONFIG.parameters


def test_a_sequence_longer_than_the_context_is_refused():
    with pytest.raises(ValueError, match="161 tokens"):
        Decoder(CONFIG, seed=0)(torch.zeros(1, 161, dtype=torch.long))


def test_angles_stay_exact_wherever_the_model_goes():
    want = Decoder(CONFIG).rope_cos
    with torch.device("meta"):
        model = Decoder(CONFIG)
    for moved in (model.to_empty(device="cpu"), model.bfloat16(), model.float()):
        torch.testing.assert_close(moved.rope_cos, want, rtol=0, atol=0)


def test_bfloat16_weights_compute_in_bfloat16():
    model = Decoder(CONFIG, seed=0).bfloat16()
    logits = model(torch.zeros(1, 9, dtype=torch.long))
    assert logits.dtype == torch.bfloat16
    logits.float().sum().backward()
    assert all(weight.grad is not None and weight.grad.dtype == torch.bfloat16 for weight in model.parameters())
