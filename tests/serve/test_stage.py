"""The switch: turned in one transaction, obeyed by who watches, closed where nobody can read it."""

import asyncio
import time
from contextlib import nullcontext

import pytest
from sqlalchemy import insert, select, text

from fonderie.serve.api.errors import ApiError
from fonderie.serve.database.tables import sessions, settings
from fonderie.serve.invites import accept_invite, invited, list_invites, make_invite
from fonderie.serve.stage import ALIVE_SECONDS, Serving, Stage, close, open_to, read_state, reopen, serving


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
                        if serving(connection, state, time.time()) == Serving(1, 0):
                            break
                assert stage.current() == state
                assert len(cut) == int(now)
            await asyncio.sleep(0.1)
            assert len(cut) == 1

    asyncio.run(main())


def test_every_process_that_serves_has_to_obey_and_who_is_gone_is_not_waited_for(database):
    now = [1000.0]
    with database.write() as connection:
        state = close(connection, 1.0)
        assert serving(connection, state, now[0]) == Serving(0, 0)
    first = Stage(database, clock=lambda: now[0])
    with database.read() as connection:
        assert serving(connection, state, now[0]) == Serving(1, 0), "one that starts closed says that it obeys"
    second = Stage(database, clock=lambda: now[0])
    with database.write() as connection:
        state = reopen(connection, 2.0)
        assert serving(connection, state, now[0]) == Serving(2, 2)

    async def look(stage, *, and_end=False):
        async with stage.running() if and_end else nullcontext():
            await stage.look()

    asyncio.run(look(first))
    with database.read() as connection:
        assert serving(connection, state, now[0]) == Serving(2, 1)
        assert serving(connection, state, now[0] + ALIVE_SECONDS + 1) == Serving(0, 0), "killed, a minute ago"
    asyncio.run(look(second, and_end=True))
    with database.read() as connection:
        assert serving(connection, state, now[0]) == Serving(1, 0), "it has said goodbye"


def test_a_process_gives_signs_of_life_and_forgets_who_died_long_ago(database, monkeypatch):
    monkeypatch.setattr("fonderie.serve.stage.SIGN_SECONDS", 0.0)
    now = [1000.0]

    async def main() -> None:
        Stage(database, clock=lambda: 1.0)  # dies without a word
        stage = Stage(database, clock=lambda: now[0])
        now[0] += 2 * 86_400
        async with stage.running():
            await stage.look()
            with database.read() as connection:
                assert serving(connection, stage.current(), now[0]) == Serving(1, 0)

    asyncio.run(main())
    with database.read() as connection:
        assert connection.execute(select(settings)).all() == []


def test_a_message_has_words_for_each_language_or_for_all(database):
    with database.write() as connection:
        close(connection, 1.0, in_language={"fr": "Une panne.", "en": ""})
        closed = read_state(connection).closed
        assert [closed.said(language) for language in ("fr", "en", None)] == ["Une panne."] * 3
        close(connection, 1.0, message="Hm.", in_language={"fr": "Une panne."})
        closed = read_state(connection).closed
        assert [closed.said(language) for language in ("fr", "en", None)] == ["Une panne.", "Hm.", "Hm."]
        close(connection, 1.0, in_language={"fr": "Une panne.", "en": "An outage."})
        closed = read_state(connection).closed
    assert [closed.said(language) for language in ("fr", "en")] == ["Une panne.", "An outage."]
    with pytest.raises(ApiError, match=r"Une panne\. / An outage\.") as error:
        Stage(database).refuse_closed()
    assert error.value.more == {"messages": {"fr": "Une panne.", "en": "An outage."}}


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
    assert caplog.text.count("cannot be read") == 1, "and not twice a second"


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
