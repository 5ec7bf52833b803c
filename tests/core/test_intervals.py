import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fonderie.core.intervals import (
    Interval,
    bootstrap_ratio,
    difference,
    mcnemar,
    paired_proportions,
    paired_ratios,
    wilson,
)


def test_published_examples() -> None:
    """Newcombe 1998 (17:857), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29, by method 3."""
    for right, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        assert wilson(right, n) == pytest.approx((low, high), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)
    # Newcombe 1998 (17:873), table II: 56/70 - 48/80, method 10: 0.0524 to 0.3339.
    found = difference(56 / 70, wilson(56, 70), 48 / 80, wilson(48, 80))
    assert found == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert mcnemar(5, 15) == pytest.approx(0.0414, abs=5e-5)  # twice the tail of a binomial of 20 at a half


@given(n=st.integers(1, 500), data=st.data())
def test_an_interval_holds_its_value_and_stays_in_range(n: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, n))
    low, high = wilson(right, n)
    assert 0 <= low <= right / n <= high <= 1
    assert high - low > 0
    lost = data.draw(st.integers(0, right))
    gained = data.draw(st.integers(0, n - right))
    low, high = paired_proportions(gained, lost, n)
    assert -1 <= low < high <= 1
    assert paired_proportions(lost, gained, n) == pytest.approx((-high, -low))


def test_items_answered_alike_still_leave_some_doubt() -> None:
    few, many = paired_proportions(0, 0, 20), paired_proportions(0, 0, 2000)
    assert few.high - few.low > 10 * (many.high - many.low) > 0


def test_pairs_tell_more_than_two_separate_scores() -> None:
    together = paired_proportions(6, 2, 200)
    apart = difference(0.52, wilson(104, 200), 0.5, wilson(100, 200))
    assert together.high - together.low < (apart.high - apart.low) / 2


def test_paired_proportions_cover_the_truth_about_as_often_as_they_say() -> None:
    generator, covered = np.random.default_rng(2), 0
    for _ in range(1_000):
        gained, lost, _ = generator.multinomial(150, [0.1, 0.04, 0.86])
        low, high = paired_proportions(int(gained), int(lost), 150)
        covered += low <= 0.06 <= high
    assert 925 <= covered <= 985  # 950 expected, the standard deviation is 7; the method is a little cautious


def test_paired_ratios_are_seeded_and_of_the_same_documents() -> None:
    weights = [100.0, 50.0, 200.0, 80.0]
    first = [110.0, 60.0, 230.0, 90.0]
    second = [value - 0.1 * weight for value, weight in zip(first, weights, strict=True)]
    assert paired_ratios(first, second, weights, resamples=200, seed=1) == pytest.approx((0.1, 0.1))
    second[0] += 9
    found = paired_ratios(first, second, weights, resamples=200, seed=1)
    assert found == paired_ratios(first, second, weights, resamples=200, seed=1)
    assert found.low < (sum(first) - sum(second)) / sum(weights) < found.high


def test_nothing_has_no_interval() -> None:
    with pytest.raises(ValueError, match="0 right of 0"):
        wilson(0, 0)
    with pytest.raises(ValueError, match="0 numerators"):
        bootstrap_ratio([], [], resamples=100, seed=0)
    with pytest.raises(ValueError, match="3 gained and 3 lost of 5"):
        paired_proportions(3, 3, 5)
    with pytest.raises(ValueError, match="0 pairs"):
        paired_ratios([], [], [], resamples=100, seed=0)
    assert mcnemar(0, 0) == 1.0
    assert difference(1.0, Interval(0.9, 1.0), 1.0, Interval(0.9, 1.0)) == pytest.approx((-0.1, 0.1))


def test_the_interval_of_a_ratio_is_of_sums_and_seeded() -> None:
    bits, sizes = [10.0, 200.0, 33.0, 80.0], [5.0, 100.0, 20.0, 30.0]
    low, high = bootstrap_ratio(bits, sizes, resamples=500, seed=1)
    assert low <= sum(bits) / sum(sizes) <= high
    assert (low, high) == bootstrap_ratio(bits, sizes, resamples=500, seed=1)
    assert (low, high) != bootstrap_ratio(bits, sizes, resamples=500, seed=2)


def test_one_document_or_equal_documents_leave_no_width() -> None:
    assert bootstrap_ratio([6.0], [3.0], resamples=100, seed=0) == (2.0, 2.0)
    assert bootstrap_ratio([6.0, 2.0], [3.0, 1.0], resamples=100, seed=0) == (2.0, 2.0)


def test_the_interval_of_a_ratio_covers_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(5)
    covered = 0
    for seed in range(200):
        sizes = generator.integers(50, 500, size=80).astype(float)
        bits = sizes * generator.normal(1.5, 0.3, size=80)
        low, high = bootstrap_ratio(list(bits), list(sizes), resamples=300, seed=seed)
        covered += low <= 1.5 <= high
    assert 178 <= covered <= 200  # 190 expected; the standard deviation is 3
