import os
import shutil

import pytest
import torch
from torch.nn import functional

from fonderie.model.loss import IGNORED, ROWS, linear_cross_entropy, token_losses


def rows(count=2 * ROWS + 3, width=8, vocabulary=37, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, width, dtype=dtype, generator=generator).requires_grad_()
    weight = torch.randn(vocabulary, width, dtype=dtype, generator=generator).requires_grad_()
    targets = torch.randint(vocabulary, (count,), generator=generator)
    targets[::5] = IGNORED
    return x, weight, targets


def test_loss_and_gradients_are_those_of_the_whole_logits():
    x, weight, targets = rows()
    want = functional.cross_entropy(x @ weight.T, targets, reduction="sum") / 7
    got = linear_cross_entropy(x, weight, targets) / 7
    torch.testing.assert_close(got, want)
    for mine, theirs in zip(
        torch.autograd.grad(got, (x, weight)), torch.autograd.grad(want, (x, weight)), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def test_gradients_against_finite_differences():
    # The value is kept in fp32, too coarse for gradcheck's steps in doubles: compare a directional derivative.
    x, weight, targets = rows(6)
    along, step = torch.randn_like(x), 1e-2
    (gradient,) = torch.autograd.grad(linear_cross_entropy(x, weight, targets), x)
    with torch.no_grad():
        difference = linear_cross_entropy(x + step * along, weight, targets) - linear_cross_entropy(
            x - step * along, weight, targets
        )
    torch.testing.assert_close(difference / (2 * step), (gradient * along).sum(), rtol=1e-3, atol=1e-3)


def test_losses_of_single_tokens_add_up():
    x, weight, targets = rows()
    losses = token_losses(x, weight, targets)
    assert losses.dtype == torch.float32
    assert losses[::5].eq(0).all()
    torch.testing.assert_close(losses.sum(), linear_cross_entropy(x, weight, targets).detach())
    torch.testing.assert_close(losses[1], -(x[1] @ weight.T).log_softmax(-1)[targets[1]].detach())


def test_autocast_computes_in_bfloat16_and_sums_in_float32():
    x, weight, targets = rows()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = linear_cross_entropy(x, weight, targets)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, linear_cross_entropy(x, weight, targets), rtol=1e-2, atol=0)
    loss.backward()
    assert x.grad.dtype == weight.grad.dtype == torch.float32


def test_z_loss_and_its_gradients_are_those_of_the_formula():
    x, weight, targets = rows()
    logits, kept = x @ weight.T, targets != IGNORED
    log_z = logits.logsumexp(-1)[kept]
    want = functional.cross_entropy(logits, targets, reduction="sum") + 0.01 * log_z.square().sum()
    got = linear_cross_entropy(x, weight, targets, z_loss=0.01)
    torch.testing.assert_close(got, want)
    for mine, theirs in zip(
        torch.autograd.grad(got, (x, weight)), torch.autograd.grad(want, (x, weight)), strict=True
    ):
        torch.testing.assert_close(mine, theirs)
    assert got > linear_cross_entropy(x, weight, targets)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="compiling needs a C++ compiler")
@pytest.mark.parametrize(
    ("dtype", "z_loss", "rounding"), [(torch.float32, 0.01, 1e-5), (torch.bfloat16, 0.0, 1e-2)]
)
def test_compiled_it_is_the_same_formula(dtype, z_loss, rounding):
    x, weight, targets = rows(ROWS + 3)
    # Some targets are nearly certain: their gradient is what a rounded probability would lose.
    with torch.no_grad():
        x[1::7] += 20 * functional.normalize(weight[targets[1::7].clamp(min=0)], dim=-1)
    want, got = (
        linear_cross_entropy(x.to(dtype), weight.to(dtype), targets, z_loss=z_loss, compiled=compiled)
        for compiled in (False, True)
    )
    torch.testing.assert_close(got, want, rtol=rounding, atol=0)
    for mine, theirs in zip(
        torch.autograd.grad(got, (x, weight)), torch.autograd.grad(want, (x, weight)), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=rounding, atol=rounding * float(theirs.abs().max()))
