import pytest
import torch

from fonderie.core.errors import StoreError
from fonderie.model.config import ModelConfig
from fonderie.model.transformer import Decoder
from fonderie.train.optim import adamw, load_state_tensors, state_tensors

CONFIG = ModelConfig.from_depth(1, vocabulary=17, context=8, width=16, head_size=8, tied_embeddings=False)


def made():
    model = Decoder(CONFIG, seed=0)
    return model, adamw(model, betas=(0.9, 0.95), epsilon=1e-8, weight_decay=0.5)


def test_matrices_are_decayed_and_norms_and_embeddings_are_not():
    model, optimizer = made()
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    optimizer.step()
    shrunk = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    kept = {
        "embedding.weight",
        "norm.weight",
        "blocks.0.attention_norm.weight",
        "blocks.0.feed_forward_norm.weight",
    }
    assert shrunk == before.keys() - kept
    torch.testing.assert_close(model.head.weight, before["head.weight"] * 0.95)


def test_a_tied_head_is_an_embedding_and_is_not_decayed():
    model = Decoder(CONFIG.model_copy(update={"tied_embeddings": True}), seed=0)
    decayed, _ = adamw(model, betas=(0.9, 0.95), epsilon=1e-8, weight_decay=0.5).param_groups
    assert not any(weight is model.embedding.weight for weight in decayed["params"])


def test_state_goes_through_named_tensors():
    (model, optimizer), (twin, other) = made(), made()

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
