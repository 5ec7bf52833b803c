import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fonderie.core.digest import digest_bytes
from fonderie.train.data.goldfish import counted


def drawn(rows=64, length=257, vocabulary=4096):
    return np.random.default_rng(0).integers(vocabulary, size=(rows, length))


@pytest.mark.parametrize("every", [2, 4, 50])
def test_one_target_in_so_many_is_left_out(every):
    counts = counted(drawn(), every=every, context=13)
    assert counts.shape == (64, 256)
    n, share = counts.size, 1 / every
    # Within five standard deviations of a binomial; the first 12 targets of a row always count.
    expected = share * (256 - 12) / 256
    assert abs((~counts).mean() - expected) < 5 * (share * (1 - share) / n) ** 0.5


@given(
    before=st.integers(0, 30),
    context=st.integers(1, 16),
    passage=arrays(np.int64, 40, elements=st.integers(0, 99)),
)
def test_a_passage_loses_the_same_targets_wherever_it_stands(before, context, passage):
    other = np.random.default_rng(1).integers(100, size=before)
    alone = counted(passage[None], every=3, context=context)[0]
    later = counted(np.concatenate([other, passage])[None], every=3, context=context)[0]
    assert (alone[context - 1 :] == later[before + context - 1 :]).all()
    assert alone[: context - 1].all()


@given(position=st.integers(0, 39), context=st.integers(1, 13))
def test_a_token_decides_over_the_targets_after_it_within_the_context_alone(position, context):
    ids = drawn(rows=1, length=40)
    changed = ids.copy()
    changed[0, position] += 1
    differ = np.flatnonzero(
        (counted(ids, every=2, context=context) != counted(changed, every=2, context=context))[0]
    )
    # Target j is the token at j + 1, and is hashed from the tokens before that.
    assert all(position <= target < position + context for target in differ)


def test_the_order_of_the_tokens_matters_and_so_does_a_token_of_id_zero():
    random = np.random.default_rng(2)
    ids = np.stack([random.permutation(8) for _ in range(4000)])
    for pair in (ids, ids[:, [1, 0, *range(2, 8)]]):
        assert 0.45 < counted(pair, every=2, context=7)[:, 6].mean() < 0.55
    first, swapped = (counted(pair, every=2, context=7)[:, 6] for pair in (ids, ids[:, [1, 0, *range(2, 8)]]))
    assert 0.45 < (first == swapped).mean() < 0.55


def test_the_hash_does_not_drift():
    # Published batches are hashed with the targets that count: another hash is another training.
    counts = counted(drawn(), every=4, context=13)
    assert (
        digest_bytes(np.packbits(counts).tobytes())
        == "sha256:dff51a74ba3334f0b6cc92cadc28e7617df60e339e657e47ab5c0a2935b7d316"
    )


def test_a_sequence_shorter_than_the_context_counts_whole():
    assert counted(drawn(length=9), every=2, context=9).all()
    assert not counted(drawn(length=10), every=2, context=9).all()


@pytest.mark.parametrize("asked", [{"every": 1, "context": 3}, {"every": 4, "context": 0}])
def test_what_would_leave_everything_out_is_refused(asked):
    with pytest.raises(ValueError, match="at least 2 and 1"):
        counted(drawn(), **asked)
