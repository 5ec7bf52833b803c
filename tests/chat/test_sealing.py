"""Seals outlive a restart, their keys do not live for ever, and nothing else passes for them."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from fonderie.chat.site.sealing import JUDGED_DAYS, KEY_DAYS, Answered, Seals
from fonderie.chat.site.words import LANGUAGES, read_words
from fonderie.serve.database.base import Database
from fonderie.serve.database.settings import read_setting

DAY = 86_400.0
WHAT = Answered("sha256:1", {"temperature": 0.7, "seed": 3}, (("user", "Où ?"),), "Là.", "stop")


class Clock:
    now = 1_764_000_000.0

    def __call__(self) -> float:
        return self.now


def keys_of(database: Database) -> list[str]:
    with database.read() as connection:
        return [row["key"] for row in read_setting(connection, "seal_keys")]


def test_a_seal_holds_for_one_answer_and_after_a_restart(database):
    clock = Clock()
    seal = Seals(database, clock=clock).seal(WHAT)
    again = Seals(database, clock=clock)
    assert again.holds(seal, WHAT)
    assert again.seal(WHAT) == seal
    for other in (
        replace(WHAT, digest="sha256:2"),
        replace(WHAT, settings={"temperature": 0.7, "seed": 4}),
        replace(WHAT, asked=(("user", "Où ?"), ("assistant", "Là."))),
        replace(WHAT, answer="Là. "),
        replace(WHAT, reason="stopped"),
    ):
        assert not again.holds(seal, other)
    assert not again.holds("0" * 64, WHAT)
    # Boundaries count: what is moved from one part into the next is another answer.
    assert not again.holds(again.seal(replace(WHAT, answer="Là.st", reason="op")), WHAT)


@pytest.mark.parametrize("age", [0.0, KEY_DAYS * DAY - 1])
def test_an_answer_can_be_judged_for_as_long_as_the_page_says(database, age):
    """Whether its key was young or old when it was sealed."""
    clock = Clock()
    seals = Seals(database, clock=clock)
    clock.now += age
    seal = seals.seal(WHAT)
    clock.now += JUDGED_DAYS * DAY
    assert seals.holds(seal, WHAT)
    assert Seals(database, clock=clock).holds(seal, WHAT)
    clock.now += KEY_DAYS * DAY
    assert not seals.holds(seal, WHAT)
    assert not Seals(database, clock=clock).holds(seal, WHAT)
    for language in LANGUAGES:
        for key in "judging.needs", "errors.unsealed":
            assert f"{JUDGED_DAYS} " in read_words(language)[key].replace("\u00a0", " ")


def test_keys_are_drawn_anew_each_week_and_deleted_when_they_are_of_no_use(database):
    clock = Clock()
    seals, seen = Seals(database, clock=clock), set()
    for day in range(120):
        clock.now += DAY
        asyncio.run(seals.renew())
        assert seals.holds(seals.seal(WHAT), WHAT)
        seen.update(keys_of(database))
        assert len(keys_of(database)) <= (JUDGED_DAYS + KEY_DAYS) // KEY_DAYS + 1, day
    assert len(seen) == 1 + 120 // KEY_DAYS
    # A clock that was set back does not stop the drawing, nor anybody.
    clock.now -= 300 * DAY
    asyncio.run(seals.renew())
    assert seals.holds(seals.seal(WHAT), WHAT)


def test_what_another_process_sealed_after_a_new_key_holds_here_too(database):
    clock = Clock()
    answering, judging = Seals(database, clock=clock), Seals(database, clock=clock)
    clock.now += KEY_DAYS * DAY
    asyncio.run(answering.renew())
    seal = answering.seal(WHAT)
    asyncio.run(judging.renew())
    assert judging.holds(seal, WHAT)
    assert len(keys_of(database)) == 2


def test_two_that_start_at_once_have_one_key(database):
    barrier = threading.Barrier(2)

    def start() -> Seals:
        barrier.wait(10)
        return Seals(database, clock=Clock())

    with ThreadPoolExecutor() as pool:
        first, second = (future.result(20) for future in [pool.submit(start), pool.submit(start)])
    assert len(keys_of(database)) == 1
    assert second.holds(first.seal(WHAT), WHAT)
