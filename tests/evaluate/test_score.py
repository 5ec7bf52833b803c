import numpy as np
import pytest

from fonderie.evaluate.score import bootstrap_ratio


def test_the_interval_is_of_the_ratio_of_sums_and_seeded() -> None:
    bits, sizes = [10.0, 200.0, 33.0, 80.0], [5.0, 100.0, 20.0, 30.0]
    low, high = bootstrap_ratio(bits, sizes, resamples=500, seed=1)
    assert low <= sum(bits) / sum(sizes) <= high
    assert (low, high) == bootstrap_ratio(bits, sizes, resamples=500, seed=1)
    assert (low, high) != bootstrap_ratio(bits, sizes, resamples=500, seed=2)


def test_one_document_or_equal_documents_leave_no_width() -> None:
    assert bootstrap_ratio([6.0], [3.0], resamples=100, seed=0) == (2.0, 2.0)
    assert bootstrap_ratio([6.0, 2.0], [3.0, 1.0], resamples=100, seed=0) == (2.0, 2.0)


def test_nothing_has_no_interval() -> None:
    with pytest.raises(ValueError, match="0 numerators"):
        bootstrap_ratio([], [], resamples=100, seed=0)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(5)
    covered = 0
    for seed in range(200):
        sizes = generator.integers(50, 500, size=80).astype(float)
        bits = sizes * generator.normal(1.5, 0.3, size=80)
        low, high = bootstrap_ratio(list(bits), list(sizes), resamples=300, seed=seed)
        covered += low <= 1.5 <= high
    assert 178 <= covered <= 200  # 190 expected; the standard deviation is 3
