import pytest
from hypothesis import given
from hypothesis import strategies as st

from fonderie.train.settings.ramp import BatchSizes

RAMPS = st.builds(
    lambda start, more, by, over: BatchSizes(start + more, start, by, over),
    st.integers(1, 20),
    st.integers(0, 60),
    st.integers(1, 20),
    st.integers(0, 3000),
)


def megatron(sizes: BatchSizes, seen: int) -> int:
    """The size of the step that has so many sequences before it, as Megatron-LM counts it."""
    assert sizes.start is not None
    increments = -(-(sizes.size - sizes.start) // sizes.by)
    if seen >= sizes.over or increments == 0:
        return sizes.size
    return min(sizes.size, sizes.start + sizes.by * (seen * increments // sizes.over))


@given(RAMPS)
def test_every_step_has_the_size_that_what_was_seen_before_gives(sizes):
    seen = 0
    for step in range(1, 400):
        assert sizes.until(step - 1) == seen
        assert sizes.of(step) == megatron(sizes, seen)
        seen += sizes.of(step)


@given(RAMPS, st.integers(1, 9000))
def test_steps_for_is_the_fewest_that_take_so_many(sizes, sequences):
    steps = sizes.steps_for(sequences)
    assert sizes.until(steps - 1) < sequences <= sizes.until(steps)
    assert sizes.step_of(sequences - 1) == steps


def test_lucies_ramp():
    sizes = BatchSizes(1024, 256, 64, 10_000_000)
    assert [level.size for level in sizes.levels] == list(range(256, 1025, 64))
    # 3.12 T tokens in sequences of 4,096; Lucie's makers count 753,851 steps.
    assert sizes.steps_for(round(3.12e12 / 4096)) == pytest.approx(753_851, rel=1e-3)


def test_a_constant_size_needs_no_ramp():
    sizes = BatchSizes(8)
    assert (sizes.of(1), sizes.of(999), sizes.until(3), sizes.steps_for(17), sizes.step_of(16)) == (8, 8, 24, 3, 3)
