"""The peak is a measurement: repeated, short, and of no consequence to what is computed after."""

import pytest
import torch

from fonderie.model.numerics import settle
from fonderie.train.view import peak
from fonderie.train.view.peak import matrix_peak


def test_the_peak_is_measured_once_shortly_and_in_the_trainings_type() -> None:
    settle(1)
    state = torch.get_rng_state()
    found = matrix_peak("cpu", "fp32")
    assert found.flops_per_second > 1e8
    assert found.products >= peak.FEWEST
    assert found.method.startswith(f"measured: the fastest of {found.products} matrix products in fp32 on 1 thread")
    assert torch.equal(torch.get_rng_state(), state)
    assert matrix_peak("cpu", "fp32") is found


def test_a_size_that_would_take_too_long_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    settle(1)
    peak._measure.cache_clear()
    monkeypatch.setattr(peak, "SIZES", {"cpu": (64, 6_000)})
    try:
        assert matrix_peak("cpu", "fp32").size == 64
    finally:
        peak._measure.cache_clear()
