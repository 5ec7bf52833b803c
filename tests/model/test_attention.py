import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from fonderie.model.attention import (
    _accelerated,
    _block_mask,
    _BlockAttention,
    causal_attention,
    document_mask,
    rope_tables,
    rotate,
)
from fonderie.model.config import ModelConfig
from fonderie.model.transformer import Cache, Decoder

CONFIG = ModelConfig.from_depth(2, vocabulary=50, context=160, width=32, head_size=8, kv_heads=2)


def random(*shape, dtype=torch.float64, seed=0):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def seen(queries, keys, window=None, documents_BT=None):
    """Which keys a query reads, from the definition alone: [B or 1, 1, queries, keys]."""
    query, key = torch.arange(keys - queries, keys)[:, None], torch.arange(keys)[None]
    allowed = (key <= query)[None]
    if window is not None:
        allowed = allowed & (query - key < window)
    if documents_BT is not None:
        allowed = allowed & (documents_BT[:, :, None] == documents_BT[:, None, :])
    return allowed[:, None]


def check(got, want, operands):
    torch.testing.assert_close(got, want)
    up = torch.randn_like(got)
    for mine, theirs in zip(
        torch.autograd.grad(got, operands, up), torch.autograd.grad(want, operands, up), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def operands(queries, keys, batch=2):
    return random(batch, queries, 6, 4), random(batch, 3, keys, 4, seed=1), random(batch, 3, keys, 4, seed=2)


def whole(q_BTHD, k_BKSD, v_BKSD, mask):
    y_BHTD = functional.scaled_dot_product_attention(
        q_BTHD.transpose(1, 2), k_BKSD, v_BKSD, attn_mask=mask, enable_gqa=True
    )
    return y_BHTD.transpose(1, 2).flatten(2)


@pytest.mark.parametrize("window", [None, 1, 50, 64, 100])
@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (64, 64), (150, 150), (1, 70), (70, 200)])
def test_block_attention_is_scaled_dot_product_attention(queries, keys, window):
    q, k, v = operands(queries, keys)
    got = causal_attention(q, k, v, window=window)
    check(got, whole(q, k, v, seen(queries, keys, window)), (q, k, v))


@given(
    lengths=st.lists(st.lists(st.integers(1, 90), min_size=1, max_size=6), min_size=2, max_size=2),
    length=st.integers(1, 150),
    window=st.none() | st.integers(1, 100),
)
@settings(max_examples=25, deadline=None)
def test_a_query_reads_its_own_document_alone(lengths, length, window):
    documents_BT = torch.stack(
        [torch.repeat_interleave(torch.arange(len(row) + 1), torch.tensor([*row, 150]))[:length] for row in lengths]
    )
    q, k, v = operands(length, length)
    got = causal_attention(q, k, v, document_mask(documents_BT), window=window)
    check(got, whole(q, k, v, seen(length, length, window, documents_BT)), (q, k, v))


def test_written_out_gradients_pass_gradcheck():
    q, k, v = random(1, 2, 6, 4), random(1, 2, 3, 4, seed=1), random(1, 2, 3, 4, seed=2)
    apart = document_mask(torch.tensor([[0, 0, 1]]))
    assert torch.autograd.gradcheck(lambda q, k, v: _BlockAttention.apply(q, k, v, 2, None, None), (q, k, v))
    assert torch.autograd.gradcheck(lambda q, k, v: _BlockAttention.apply(q, k, v, 2, apart, 2), (q, k, v))


@pytest.mark.parametrize("window", [None, 20])
@pytest.mark.parametrize(("queries", "keys"), [(70, 70), (3, 70)])
def test_what_accelerators_compute_is_the_same(queries, keys, window):
    q, k, v = operands(queries, keys)
    got = _accelerated(q.transpose(1, 2), k, v, None, window).transpose(1, 2).flatten(2)
    check(got, causal_attention(q, k, v, window=window), (q, k, v))


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("window", [None, 20])
def test_the_block_mask_of_accelerators_says_the_same_as_the_mask_of_processors(window):
    from torch.nn.attention.flex_attention import flex_attention

    documents_BT = torch.tensor([[0] * 30 + [1] * 100 + [2] * 20, [5] * 149 + [6]])
    q, k, v = (x.detach() for x in operands(150, 150))
    got = flex_attention(q.transpose(1, 2), k, v, block_mask=_block_mask(documents_BT, window), enable_gqa=True)
    want = causal_attention(q, k, v, document_mask(documents_BT), window=window)
    torch.testing.assert_close(got.transpose(1, 2).flatten(2), want)


def test_position_zero_is_not_turned_and_turning_keeps_lengths():
    cos, sin = rope_tables(8, 4, 10_000.0)
    x = random(1, 8, 2, 4, dtype=torch.float32)
    turned = rotate(x, cos, sin)
    torch.testing.assert_close(turned[:, 0], x[:, 0])
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))


def test_the_logits_of_a_document_are_those_it_has_alone():
    model = Decoder(CONFIG, seed=0).double()
    ids_BT = torch.randint(50, (2, 160), generator=torch.Generator().manual_seed(0))
    documents_BT = torch.tensor([[0] * 70 + [1] * 1 + [2] * 89, [0] * 5 + [1] * 155])
    with torch.no_grad():
        together = functional.linear(model.hidden(ids_BT, documents_BT=documents_BT), model.output_weight)
        for row in range(2):
            for number in documents_BT[row].unique():
                own = documents_BT[row] == number
                # Alone it stands at other positions: rotary positions are relative.
                torch.testing.assert_close(together[row, own], model(ids_BT[row, own][None])[0])
        assert not torch.allclose(together[:, -1], model(ids_BT)[:, -1])


def test_the_gradients_of_packed_documents_are_the_sum_of_their_own():
    model = Decoder(CONFIG, seed=0).double()
    ids = torch.randint(50, (1, 100), generator=torch.Generator().manual_seed(0))
    documents = torch.tensor([[3] * 37 + [4] * 63])

    def gradients(*hiddens):
        return torch.autograd.grad(sum(hidden.square().sum() for hidden in hiddens), list(model.parameters()))

    packed = gradients(model.hidden(ids, documents_BT=documents))
    alone = gradients(model.hidden(ids[:, :37]), model.hidden(ids[:, 37:]))
    for mine, theirs in zip(packed, alone, strict=True):
        # Norms and angles are fp32 whatever the model is.
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


def test_documents_in_a_cache_are_refused():
    model = Decoder(CONFIG, seed=0)
    with pytest.raises(ValueError, match="documents cannot be told apart"):
        model.hidden(torch.zeros(1, 4, dtype=torch.long), Cache(model), torch.zeros(1, 4, dtype=torch.long))
