"""What an honest difference may be."""

import numpy as np
import pytest

from fonderie.audit.replay.report import Deviation
from fonderie.audit.replay.tolerance import calibrate, deviation, first_beyond


def test_a_deviation_is_relative_to_what_the_segment_changed() -> None:
    start, theirs = np.zeros(4, np.float32), np.full(4, 2, np.float32)
    found = deviation(
        start=start, ours=theirs * np.float32(1.01), theirs=theirs, our_losses=[3.0, 2.5], their_losses=[3.0, 2.75]
    )
    assert found.weights == pytest.approx(0.01, rel=1e-4)
    assert found.losses == (0.0, 0.25)


def test_weights_that_never_moved_have_no_scale() -> None:
    still = np.ones(4, np.float32)
    alike = deviation(start=still, ours=still, theirs=still, our_losses=[1.0], their_losses=[1.0])
    apart = deviation(start=still, ours=still + 1, theirs=still, our_losses=[1.0], their_losses=[1.0])
    assert (alike.weights, apart.weights) == (0, np.inf)


def repeat(weights: float, *losses: float) -> Deviation:
    return Deviation(weights=weights, losses=losses)


def test_the_tolerance_is_a_multiple_of_the_widest_honest_repeat_and_never_falls() -> None:
    repeats = {"a": repeat(1e-4, 0, 1e-4, 0), "b": repeat(3e-4, 0, 0, 1e-5)}
    found = calibrate(repeats, repeat(0.5, 0, 1e-2, 1e-2), [5.0, 5.0, 5.0], factor=10)
    assert found.weights == pytest.approx(3e-3)
    assert found.losses[1:] == pytest.approx((1e-3, 1e-3))
    # Nothing was seen to differ at the first step, and a few units of the last place are always allowed.
    assert 0 < found.losses[0] < 1e-5
    assert found.control_rejected


def test_a_tolerance_that_would_pass_the_control_says_so() -> None:
    found = calibrate({"a": repeat(0.1, 1e-2)}, repeat(0.2, 5e-2), [5.0], factor=10)
    assert not found.control_rejected


def test_one_loss_is_enough_to_reject_the_control() -> None:
    assert calibrate({"a": repeat(0.1, 0, 0)}, repeat(0.2, 0, 1e-2), [5.0, 5.0], factor=10).control_rejected


def test_what_is_not_a_number_is_never_within() -> None:
    assert first_beyond([0.0, float("nan")], [1.0, 1.0]) == 1
    assert first_beyond([0.0, 1.0], [1.0, 1.0]) is None
