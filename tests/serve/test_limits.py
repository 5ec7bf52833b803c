import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fonderie.serve.limits import Buckets, duration, network_of

WAITS = st.lists(st.floats(0, 90), max_size=60)


@given(st.integers(1, 50), WAITS)
def test_never_more_is_granted_than_a_minutes_worth_and_what_time_brings(per_minute, waits):
    buckets, now, granted = Buckets(), 1e9, 0
    for wait in waits:
        now += wait
        taken = buckets.take("a", per_minute, now)
        granted += taken.retry_seconds is None
        assert granted <= per_minute + (now - 1e9) * per_minute / 60 + 1e-3
        assert 0 <= taken.remaining < per_minute


@given(st.integers(1, 50), WAITS)
def test_who_waits_as_long_as_told_is_granted(per_minute, waits):
    buckets, now = Buckets(), 1e9
    for wait in waits:
        now += wait / 30
        taken = buckets.take("a", per_minute, now)
        if taken.retry_seconds is not None:
            assert 1 <= taken.retry_seconds <= math.ceil(60 / per_minute)
            now += taken.retry_seconds
            assert buckets.take("a", per_minute, now).retry_seconds is None


@given(st.integers(1, 50))
def test_a_minute_later_all_is_there_again(per_minute):
    buckets = Buckets()
    for _ in range(3 * per_minute):
        taken = buckets.take("a", per_minute, 1e9)
    assert taken.retry_seconds is not None
    assert (taken.limit, taken.remaining, taken.full_seconds) == (per_minute, 0, 60)
    again = [buckets.take("a", per_minute, 1e9 + 60.1).retry_seconds for _ in range(per_minute + 1)]
    assert again == [None] * per_minute + [math.ceil(60 / per_minute)]


def test_a_clock_that_is_set_back_takes_nothing_away_and_gives_nothing():
    buckets = Buckets()
    assert buckets.take("a", 2, 1000).remaining == 1
    assert buckets.take("a", 2, 500).remaining == 0
    assert buckets.take("a", 2, 501).retry_seconds is not None


def test_names_have_their_own_and_no_more_than_some_are_remembered():
    buckets = Buckets(most=3)
    for name in "abc":
        assert buckets.take(name, 1, 0).retry_seconds is None
    assert buckets.take("a", 1, 0).retry_seconds == 60  # used last now, and without success
    assert buckets.take("d", 1, 0).retry_seconds is None  # "b" is forgotten for it
    assert len(buckets) == 3
    assert [buckets.take(name, 1, 0).retry_seconds for name in "adb"] == [60, 60, None]


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unknown", "unknown"),
        ("x" * 1000, "x" * 64),
    ],
)
def test_a_caller_is_an_address_or_a_network_of_one_owner(host, network):
    assert network_of(host) == network


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (59, "59s"), (360, "6m0s"), (3661, "1h1m1s")])
def test_durations_are_written_as_clients_read_them(seconds, text):
    assert duration(seconds) == text
