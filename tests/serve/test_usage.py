import asyncio
import threading

from sqlalchemy import text

from fonderie.serve.database.tables import usage
from fonderie.serve.usage import Counter, Used, add_used, day_of, seconds_left_today, used_on

DAY = 1_800_000_000.0 - 1_800_000_000.0 % 86400


class Clock:
    now = DAY + 100

    def __call__(self) -> float:
        return self.now


def test_days_begin_at_midnight_utc():
    assert day_of(DAY) == "2027-01-15"
    assert day_of(DAY - 0.5) == "2027-01-14"
    assert seconds_left_today(DAY) == 86400
    assert seconds_left_today(DAY - 0.5) == 1


def test_what_is_counted_is_known_at_once_and_in_the_database_a_moment_later(database):
    clock = Clock()

    def written(day: str) -> Used:
        with database.read() as connection:
            return used_on(connection, day, "key:a")

    async def run() -> None:
        counter = Counter(database, clock)
        counter.add("key:a", requests=1)
        counter.add("key:a", prompt_tokens=10, answer_tokens=5)
        counter.add("public", prompt_tokens=1000)
        assert counter.unwritten("key:a") == 15
        assert written("2027-01-15") == Used()
        await counter.flush()
        assert counter.unwritten("key:a") == 0
        counter.add("key:a", answer_tokens=2)
        await counter.flush()
        assert written("2027-01-15") == Used(1, 10, 7)
        counter.add("key:a", answer_tokens=3)
        clock.now += 86400  # yesterday's last are yesterday's
        counter.add("key:a", answer_tokens=1)
        assert counter.unwritten("key:a") == 1
        await counter.flush()
        assert written("2027-01-15") == Used(1, 10, 10)
        assert written("2027-01-16") == Used(0, 0, 1)

    asyncio.run(run())


def test_all_is_written_when_the_service_ends(database):
    async def run() -> None:
        counter = Counter(database, Clock())
        async with counter.running():
            counter.add("public", requests=1, prompt_tokens=3)

    asyncio.run(run())
    with database.read() as connection:
        assert used_on(connection, "2027-01-15", "public") == Used(1, 3, 0)


def test_what_cannot_be_written_is_kept_and_said(database, caplog):
    async def run() -> None:
        counter = Counter(database, Clock())
        counter.add("public", prompt_tokens=3)
        with database.write() as connection:
            connection.execute(text("ALTER TABLE usage RENAME TO elsewhere"))
        await counter.flush()
        assert "use cannot be written down" in caplog.text
        counter.add("public", prompt_tokens=4)
        with database.write() as connection:
            connection.execute(text("ALTER TABLE elsewhere RENAME TO usage"))
        await counter.flush()

    asyncio.run(run())
    with database.read() as connection:
        assert used_on(connection, "2027-01-15", "public").prompt_tokens == 7


def test_several_processes_add_to_the_same_day(database):
    def add() -> None:
        for _ in range(20):
            with database.write() as connection:
                add_used(connection, "2027-01-15", "public", Used(1, 2, 3))

    threads = [threading.Thread(target=add) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert used_on(connection, "2027-01-15", "public") == Used(60, 120, 180)
        assert connection.execute(usage.select()).all() == [("2027-01-15", "public", 60, 120, 180)]
