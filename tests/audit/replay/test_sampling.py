"""Segments and chances."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fonderie.audit.replay.sampling import Segment, detection, draw, segments_between
from fonderie.core.errors import UsageError


def test_segments_lie_between_published_checkpoints() -> None:
    assert segments_between([0, 10, 30]) == [Segment(0, 10), Segment(10, 30)]
    assert segments_between([40]) == [Segment(0, 40)]
    assert segments_between([0]) == []


@given(st.sets(st.integers(1, 10_000), min_size=1, max_size=40), st.integers(), st.data())
def test_a_draw_is_a_subset_that_the_seed_alone_decides(ends: set[int], seed: int, data: st.DataObject) -> None:
    segments = segments_between(sorted(ends))
    count = data.draw(st.integers(1, len(segments)))
    drawn = draw(segments, count, seed)
    assert len(set(drawn)) == count
    assert set(drawn) <= set(segments)
    assert drawn == draw(list(reversed(segments)), count, seed)


def test_every_segment_can_be_drawn() -> None:
    segments = segments_between(range(10, 110, 10))
    assert {draw(segments, 1, seed)[0] for seed in range(200)} == set(segments)


@pytest.mark.parametrize("count", [0, 4])
def test_a_draw_of_too_many_or_none_is_refused(count: int) -> None:
    with pytest.raises(UsageError, match="publishes 3"):
        draw(segments_between([1, 2, 3]), count, 0)


def test_nothing_published_is_nothing_to_draw() -> None:
    with pytest.raises(UsageError, match="publishes 0"):
        draw([], 1, 0)


def test_the_chance_of_detection_is_that_of_drawing_without_putting_back() -> None:
    assert detection(10, 10, 0.01).probability == 1
    assert detection(10, 1, 0.1) == (0.1, 1, pytest.approx(0.1))
    # The reference case: 10 % false, 22 drawn of many: about 90 %.
    assert detection(100_000, 22, 0.1).probability == pytest.approx(1 - 0.9**22, abs=1e-3)


@given(st.integers(1, 200), st.data())
def test_more_segments_never_lower_the_chance(total: int, data: st.DataObject) -> None:
    drawn = data.draw(st.integers(1, total))
    share = data.draw(st.floats(0.001, 1))
    chances = [detection(total, count, share).probability for count in range(1, drawn + 1)]
    assert chances == sorted(chances)
    assert all(0 < chance <= 1 for chance in chances)
    assert detection(total, drawn, share).segments == math.ceil(round(share * total, 9))
