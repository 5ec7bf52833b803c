"""What benchmarks/service_load.py does to the running service, in small: the same scenarios on a tiny release."""

import asyncio

import pytest
from benchmarks.service_load import dropped, killed, malformed, service, slow, streams


@pytest.fixture(scope="module")
def running(small, tmp_path_factory):
    with service(small.release, tmp_path_factory.mktemp("service"), "--threads", "1") as found:
        yield found


@pytest.mark.slow
def test_many_streams_at_once_all_come_to_their_ends(running):
    assert asyncio.run(streams(running, 24))["streams"] == 24


@pytest.mark.slow
def test_after_many_who_left_one_is_answered_at_once(running):
    found = asyncio.run(dropped(running, 60))
    assert found.get("had ended", 0) < 30, "the answers were too short to be left"


@pytest.mark.slow
def test_who_does_not_read_holds_up_nobody(running):
    asyncio.run(slow(running, tokens=200))


@pytest.mark.slow
def test_what_is_no_request_is_told_so(running):
    assert set(asyncio.run(malformed(running))["statuses"].values()) <= {400, 404, 413, 431}


@pytest.mark.slow
def test_killed_it_has_lost_no_vote_that_was_acknowledged(small, tmp_path):
    with service(small.release, tmp_path, "--threads", "1") as found:
        asyncio.run(killed(found, 16))
