from types import SimpleNamespace

import pytest
import torch

from fonderie.core.errors import StoreError
from fonderie.model.config import ModelConfig
from fonderie.model.transformer import Decoder
from fonderie.train.optim import load_state_tensors, make_optimizer, orthogonalised, state_tensors

CONFIG = ModelConfig.from_depth(1, vocabulary=17, context=8, width=16, head_size=8, tied_embeddings=False)


def settings(**changes):
    return SimpleNamespace(
        **{
            "optimizer": "adamw",
            "betas": (0.9, 0.95),
            "epsilon": 1e-8,
            "momentum": 0.95,
            "weight_decay": 0.5,
            "weight_decay_embeddings": 0.0,
            "weight_decay_norms": 0.0,
            "precision": "fp32",
            **changes,
        }
    )


def made(**changes):
    model = Decoder(CONFIG, seed=0)
    return model, make_optimizer(model, settings(**changes))


def decayed_by(optimizer, model):
    """The share that each weight loses at a rate of 0.1 without any gradient."""
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    optimizer.step()
    return {
        name: round(float(1 - (weight.detach() / before[name]).median()), 4)
        for name, weight in model.named_parameters()
    }


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_each_group_of_weights_has_its_decay(optimizer):
    model, made_for = made(optimizer=optimizer)
    lost = decayed_by(made_for, model)
    kept = {
        "embedding.weight",
        "norm.weight",
        "blocks.0.attention_norm.weight",
        "blocks.0.feed_forward_norm.weight",
    }
    assert {name for name, share in lost.items() if share == 0} == kept
    assert {share for name, share in lost.items() if name not in kept} == {0.05}
    model, made_for = made(optimizer=optimizer, weight_decay_embeddings=0.2, weight_decay_norms=0.3)
    lost = decayed_by(made_for, model)
    assert (lost["embedding.weight"], lost["norm.weight"], lost["head.weight"]) == (0.02, 0.03, 0.05)


def test_a_tied_head_is_an_embedding_and_is_not_decayed():
    model = Decoder(CONFIG.model_copy(update={"tied_embeddings": True}), seed=0)
    decayed, *_ = make_optimizer(model, settings()).param_groups
    assert not any(weight is model.embedding.weight for weight in decayed["params"])


def test_an_orthogonalised_matrix_keeps_its_directions_and_loses_its_lengths():
    torch.manual_seed(0)
    for shape in ((16, 48), (48, 16)):
        matrix = torch.randn(shape)
        found = orthogonalised(matrix)
        u, _, v = torch.linalg.svd(matrix, full_matrices=False)
        values = torch.diagonal(u.T @ found @ v.T)
        assert values.min() > 0.65
        assert values.max() < 1.25
        torch.testing.assert_close(u @ torch.diag(values) @ v, found, atol=1e-4, rtol=0)


def test_muon_is_torchs_where_a_matrix_is_one_projection():
    model, ours = made(optimizer="muon", precision="bf16")
    twin = Decoder(CONFIG, seed=0)
    down, other = model.blocks[0].feed_forward.down.weight, twin.blocks[0].feed_forward.down.weight
    before = down.detach().clone()
    theirs = torch.optim.Muon([other], lr=0.1, weight_decay=0.5, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    for step in range(3):
        for weight in (*model.parameters(), other):
            weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(step))
        for group in ours.param_groups:
            group["lr"] = 0.1
        ours.step()
        theirs.step()
    # Both multiply in bf16, which has three digits, in another order of operations.
    assert (down - other).norm() < 0.05 * (down - before).norm()


def test_muon_treats_projections_that_share_a_matrix_apart():
    model, optimizer = made(optimizer="muon", weight_decay=0.0)
    weight = model.blocks[0].attention.qkv.weight
    before = weight.detach().clone()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    weight.grad[:16] = torch.randn(16, 16)  # the query's rows alone
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    optimizer.step()
    changed = weight.detach() - before
    assert torch.equal(changed[16:], torch.zeros_like(changed[16:]))
    assert torch.linalg.svdvals(changed[:16]).max() < 0.1 * 0.2 * 16**0.5 * 1.25


def test_muon_moves_the_blocks_matrices_and_adamw_the_rest():
    model, optimizer = made(optimizer="muon")
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    kinds = {name: sorted(optimizer.state[weight]) for name, weight in model.named_parameters()}
    muon = {name for name, kind in kinds.items() if kind == ["momentum_buffer"]}
    assert muon == {
        f"blocks.0.{name}.weight"
        for name in ("attention.qkv", "attention.output", "feed_forward.gate_up", "feed_forward.down")
    }
    assert all(kind == ["exp_avg", "exp_avg_sq", "step"] for name, kind in kinds.items() if name not in muon)


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_state_goes_through_named_tensors(kind):
    (model, optimizer), (twin, other) = made(optimizer=kind), made(optimizer=kind)

    def update(model, optimizer):
        for group in optimizer.param_groups:
            group["lr"] = 0.1
        model(torch.arange(8)[None]).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    update(model, optimizer)
    twin.load_state_dict(model.state_dict())
    load_state_tensors(twin, other, {name: t.clone() for name, t in state_tensors(model, optimizer).items()})
    update(model, optimizer)
    update(twin, other)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))


def test_state_of_other_weights_is_refused():
    model, optimizer = made()
    with pytest.raises(StoreError, match="other weights"):
        load_state_tensors(model, optimizer, {"blocks.7.norm.weight/exp_avg": torch.zeros(1)})
