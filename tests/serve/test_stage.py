"""The switch: turned in one transaction, obeyed by who watches, closed where nobody can read it."""

import asyncio
import time

import pytest
from sqlalchemy import insert, text

from fonderie.serve.api.errors import ApiError
from fonderie.serve.database.tables import sessions
from fonderie.serve.invites import accept_invite, invited, list_invites, make_invite
from fonderie.serve.stage import Stage, close, obeyed, open_to, read_state, reopen


def test_a_switch_that_was_never_touched_is_open(database):
    with database.read() as connection:
        state = read_state(connection)
    assert (state.stage, state.closed) == ("open", None)
    Stage(database).refuse_closed()


def test_closing_and_the_stage_are_apart_and_survive_a_restart(database):
    with database.write() as connection:
        open_to(connection, "invite", 1.0)
        close(connection, 2.0, message="Une panne.", now=True)
    stage = Stage(database)
    assert stage.current().stage == "invite"
    with pytest.raises(ApiError, match=r"Une panne\.") as error:
        stage.refuse_closed()
    assert (error.value.status, error.value.code) == (503, "closed")
    assert error.value.headers == {"retry-after": "600"}
    with database.write() as connection:
        open_to(connection, "open", 3.0)
        assert read_state(connection).closed is not None
        reopen(connection, 4.0)
    again = Stage(database).current()
    assert (again.stage, again.closed) == ("open", None)


def test_who_watches_obeys_says_so_and_cuts_off_once(database):
    cut: list[float] = []

    async def main() -> None:
        stage = Stage(database, now_closed=lambda: cut.append(time.monotonic()), poll_seconds=0.02)
        async with stage.running():
            for now in (False, True):
                with database.write() as connection:
                    state = close(connection, 5.0, now=now)
                for _ in range(500):
                    await asyncio.sleep(0.01)
                    with database.read() as connection:
                        if obeyed(connection, state):
                            break
                assert stage.current() == state
                assert len(cut) == int(now)
            await asyncio.sleep(0.1)
            assert len(cut) == 1

    asyncio.run(main())


def test_a_service_that_starts_closed_says_that_it_obeys(database):
    with database.write() as connection:
        state = close(connection, 1.0)
        assert not obeyed(connection, state)
    Stage(database)
    with database.read() as connection:
        assert obeyed(connection, state)


def test_a_switch_that_cannot_be_read_is_taken_for_closed(database, caplog, monkeypatch):
    monkeypatch.setattr("fonderie.serve.stage.UNREADABLE_SECONDS", 0.1)

    async def main() -> None:
        stage = Stage(database, poll_seconds=0.02)
        async with stage.running():
            stage.refuse_closed()
            for old, new, closes in (("settings", "hidden", True), ("hidden", "settings", False)):
                with database.write() as connection:
                    connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))
                for _ in range(500):
                    await asyncio.sleep(0.01)
                    if (stage.current().closed is not None) == closes:
                        break
                assert (stage.current().closed is not None) == closes

    asyncio.run(main())
    assert "cannot be read: " in caplog.text


def test_a_code_lets_in_as_many_sessions_as_it_says_and_is_not_kept(database):
    with database.write() as connection:
        code = make_invite(connection, 1.0, uses=2, note="les relecteurs")
        for number in (1, 2, 3):
            row = {"id": number, "hash": f"{number:064x}", "created_at": 1.0, "seen_at": 1.0}
            connection.execute(insert(sessions).values(**row))
        assert not accept_invite(connection, "abcde-abcde-abcde-abcde", 1)
        assert not invited(connection, 1)
        assert accept_invite(connection, code.upper().replace("-", " "), 1)
        assert accept_invite(connection, code, 1), "a second time, which uses nothing up"
        assert accept_invite(connection, code, 2)
        assert not accept_invite(connection, code, 3)
        assert [invited(connection, number) for number in (1, 2, 3)] == [True, True, False]
        (listed,) = list_invites(connection)
        assert (listed.note, listed.uses_left) == ("les relecteurs", 0)
        kept = " ".join(str(row) for row in connection.execute(text("SELECT * FROM invites")))
    assert code not in kept
    assert code.replace("-", "") not in kept
