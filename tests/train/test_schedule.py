import pytest

from fonderie.train.settings.schedule import Schedule


def rates(kind, **settings):
    schedule = Schedule(kind=kind, steps=100, peak=2.0, **settings)
    return [schedule.rate(step) for step in range(1, 101)]


@pytest.mark.parametrize("kind", ["cosine", "linear", "wsd", "wsd_linear", "constant"])
def test_warm_up_is_a_line_to_the_peak(kind):
    warm = rates(kind, warmup=10, decay=20)[:10]
    assert warm == pytest.approx([0.2 * step for step in range(1, 11)])


def test_cosine_is_half_way_down_in_the_middle():
    values = rates("cosine", final=0.1)
    assert values[0] == 2.0
    assert values[50] == pytest.approx(1.1)
    assert values[-1] == pytest.approx(0.2, abs=1e-3)
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize(("kind", "quarter"), [("wsd", 1.0), ("wsd_linear", 1.5)])
def test_wsd_is_stable_then_falls(kind, quarter):
    values = rates(kind, warmup=10, decay=40)
    assert set(values[10:61]) == {2.0}
    assert values[70] == pytest.approx(quarter)
    assert values[60:] == sorted(values[60:], reverse=True)
    assert 0 < values[-1] < 0.1


def test_linear_falls_in_a_line_from_the_end_of_warm_up():
    values = rates("linear", warmup=20, final=0.5)
    assert values[20] == 2.0
    assert values[60] == pytest.approx(1.5)
    assert values[-1] == pytest.approx(1.0125)


def test_constant_stays():
    assert set(rates("constant", warmup=10)[9:]) == {2.0}


def test_a_training_of_one_step_has_a_rate():
    for kind in ("cosine", "wsd", "wsd_linear", "constant"):
        assert Schedule(kind=kind, steps=1, peak=1.0, warmup=0, decay=0).rate(1) == 1.0
