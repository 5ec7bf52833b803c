"""The proof of work: for whom it was asked, in time, and once."""

import itertools

import pytest

from fonderie.chat.work import LIFETIME_SECONDS, MOST_BITS, Work, zero_bits
from fonderie.core.errors import UsageError
from fonderie.serve.api.errors import ApiError


def solve(challenge: str, bits: int) -> str:
    return next(str(number) for number in itertools.count() if zero_bits(challenge, str(number)) >= bits)


def refused(work: Work, session_id: int, challenge: str | None, answer: str | None) -> str:
    with pytest.raises(ApiError) as error:
        work.check(session_id, challenge, answer)
    assert error.value.status == 403
    return error.value.code


def test_zero_bits_are_those_of_sha256():
    # `printf 'a:0' | sha256sum` begins with 0x…; counted from the first digit.
    import hashlib

    for number in range(300):
        digest = hashlib.sha256(f"a:{number}".encode()).hexdigest()
        bits = bin(int("1" + digest, 16))[3:]
        assert zero_bits("a", str(number)) == len(bits) - len(bits.lstrip("0"))


def test_no_work_is_asked_for_unless_it_is_wanted():
    work = Work(0)
    assert work.challenge(1) is None
    work.check(1, None, None)


def test_a_solved_puzzle_is_taken_once_from_whom_it_was_asked():
    work = Work(8)
    challenge = work.challenge(1)
    assert challenge is not None
    answer = solve(challenge, 8)
    wrong = next(str(n) for n in itertools.count() if zero_bits(challenge, str(n)) < 8)
    assert refused(work, 1, None, None) == "work_required"
    assert refused(work, 2, challenge, answer) == "work_unknown"
    assert refused(work, 1, challenge, wrong) == "work_wrong"
    assert refused(work, 1, challenge, answer + "é" * 70) == "work_wrong"
    assert refused(work, 1, challenge.replace("8.", "1.", 1), answer) == "work_unknown"
    assert refused(work, 1, "", answer) == "work_unknown"
    assert refused(work, 1, "é.\ud800", answer) == "work_unknown"
    assert refused(Work(8), 1, challenge, answer) == "work_unknown"  # another process
    work.check(1, challenge, answer)
    assert refused(work, 1, challenge, answer) == "work_expired"


def test_a_puzzle_runs_out_and_is_forgotten():
    now = [0.0]
    work = Work(1, clock=lambda: now[0])
    for _ in range(3):
        challenge = work.challenge(1)
        assert challenge is not None
        work.check(1, challenge, solve(challenge, 1))
    late = work.challenge(1)
    assert late is not None
    now[0] = LIFETIME_SECONDS + 1
    assert refused(work, 1, late, solve(late, 1)) == "work_expired"
    assert not work._taken


@pytest.mark.parametrize("bits", [-1, MOST_BITS + 1])
def test_more_than_anybody_would_wait_for_is_refused(bits):
    with pytest.raises(UsageError, match=f"between 0 and {MOST_BITS}"):
        Work(bits)
