"""Nothing is kept unless asked; what is withdrawn or deleted is gone, from every table and from the file."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import orjson
import pytest
from sqlalchemy import func, insert, select, update
from tests.chat.judging import ASKED, ONE, TEXTS, agree, duel, new_session, person, voted

from fonderie.chat import consent, retention
from fonderie.chat.judged import new_id
from fonderie.chat.votes import Ballot, report, thumb, vote
from fonderie.serve.api.errors import ApiError
from fonderie.serve.database.base import Database, open_database
from fonderie.serve.database.tables import conversations, metadata, published, sessions, tombstones, turns

PERSONAL = (
    "sessions",
    "consents",
    "conversations",
    "contenders",
    "turns",
    "thumbs",
    "votes",
    "reports",
    "published",
)


def counts(database: Database) -> dict[str, int]:
    with database.read() as connection:
        found = {
            name: connection.scalar(select(func.count()).select_from(metadata.tables[name])) for name in PERSONAL
        }
    return {name: count for name, count in found.items() if count}


def publish(database: Database, conversation_id: str) -> str:
    """As an export does."""
    public_id = new_id()
    with database.write() as connection:
        connection.execute(
            insert(published).values(conversation_id=conversation_id, public_id=public_id, first_at=1.0)
        )
    return public_id


def buried(database: Database) -> set[str]:
    with database.read() as connection:
        return set(connection.scalars(select(tombstones.c.public_id)))


def everything(database: Database) -> int:
    """A session of which there is something in every table."""
    session_id = person(database, publication=True)
    conversation = voted(
        database, session_id, duel("MARKED question", "MARKED one", "MARKED two"), comment="MARKED three"
    )
    publish(database, conversation.id)
    with database.write() as connection:
        thumb(
            connection, session_id, TEXTS, conversation, position=1, value=-1, comment="MARKED four", at=ASKED + 40
        )
        report(connection, session_id, ONE, reason="false", comment="MARKED five", excerpt="MARKED six", at=ASKED)
    return session_id


def test_the_words_say_the_same_in_both_languages_and_are_bound_by_their_hash():
    french, english = TEXTS["fr"], TEXTS["en"]
    assert french.words.keys() == english.words.keys()
    assert french.version == english.version == consent.TEXT_VERSION
    assert "180 jours" in french.words["retention"]
    assert "180 days" in english.words["retention"]
    # Whoever changes a word changes what people accepted: it needs a new file with a new version.
    assert {locale: text.hash for locale, text in TEXTS.items()} == {
        "fr": "8ddfc161ad33a97a01053255e9a099bfe294cc5a848c04dda096f1f65a8c31ec",
        "en": "41b3768aac45e5b90d401021a951c22fa94dfcd439e4a399a2279616299b0fc5",
    }
    assert consent.read_texts(30)["fr"].hash != french.hash
    # What people accepted before can be read as long as anything is published under it.
    kept = {path.name for path in (files("fonderie.chat")).iterdir() if path.name.startswith("consent-")}
    assert kept == {f"consent-{version}.toml" for version in consent.PUBLISHES}
    assert consent.TEXT_VERSION in consent.PUBLISHES


def test_without_consent_nothing_is_kept(database):
    with database.write() as connection:
        session_id = new_session(connection)
    for refused in (None, False):
        if refused is not None:
            with database.write() as connection:
                agree(connection, session_id, evaluation=refused)
        with pytest.raises(ApiError) as error:
            voted(database, session_id, duel())
        assert (error.value.status, error.value.code) == (428, "consent_required")
    assert counts(database).keys() == {"sessions", "consents"}


def test_a_consent_to_other_words_is_stale(database):
    session_id = person(database)
    for other in ({"version": "2020-01"}, {"text_hash": "0" * 64}):
        with database.write() as connection:
            agree(connection, session_id, evaluation=True)
            newest = consent.current(connection, session_id)
            assert newest is not None
            connection.execute(
                update(metadata.tables["consents"])
                .where(metadata.tables["consents"].c.id == newest.id)
                .values(other)
            )
        with pytest.raises(ApiError) as error:
            voted(database, session_id, duel())
        assert (error.value.status, error.value.code) == (409, "consent_stale")
    assert "conversations" not in counts(database)


def test_what_is_not_kept_cannot_be_published(database):
    session_id = person(database)
    with pytest.raises(ApiError, match="cannot be published") as error, database.write() as connection:
        agree(connection, session_id, evaluation=False, publication=True)
    assert error.value.status == 400
    with database.read() as connection:
        found = consent.current(connection, session_id)
    assert found is not None
    assert (found.evaluation, found.publication, found.locale, found.at) == (True, False, "fr", ASKED - 60)


def test_withdrawing_deletes_what_was_kept_and_nobody_elses(database):
    other = person(database)
    voted(database, other, duel())
    mine = everything(database)
    with database.write() as connection:
        agree(connection, mine, evaluation=False)
    assert counts(database) == {
        "sessions": 2,
        "consents": 3,
        "conversations": 1,
        "contenders": 2,
        "turns": 3,
        "votes": 1,
        "reports": 1,
    }
    assert len(buried(database)) == 1
    with database.read() as connection:
        assert set(connection.scalars(select(conversations.c.session_id))) == {other}


@pytest.mark.parametrize("first", ["vote", "withdrawal"])
def test_nothing_is_kept_beside_a_withdrawal(database, first):
    """Whichever of two transactions is first, the other waits for it."""
    session_id, begun = person(database), threading.Event()

    def cast() -> None:
        vote(connection, session_id, TEXTS, duel(), position=1, ballot=Ballot("a"), at=ASKED + 30)

    def withdraw() -> None:
        agree(connection, session_id, evaluation=False)

    def other() -> str:
        begun.wait(10)
        with database.write() as second:
            if first == "vote":
                agree(second, session_id, evaluation=False)
            else:
                vote(second, session_id, TEXTS, duel(), position=1, ballot=Ballot("a"), at=ASKED + 30)
        return "done"

    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(other)
        with database.write() as connection:
            (cast if first == "vote" else withdraw)()
            begun.set()
            time.sleep(0.2)
            assert not waiting.done()
        if first == "vote":
            assert waiting.result(20) == "done"
        else:
            with pytest.raises(ApiError) as error:
                waiting.result(20)
            assert error.value.code == "consent_required"
    assert "conversations" not in counts(database)


def test_withdrawing_publication_alone_is_for_good(database):
    session_id = person(database, publication=True)
    public_id = publish(database, voted(database, session_id, duel()).id)
    with database.write() as connection:
        agree(connection, session_id, evaluation=True)
    assert buried(database) == {public_id}
    with database.write() as connection:
        agree(connection, session_id, evaluation=True, publication=True)
        kept_under = connection.scalar(select(conversations.c.consent_id))
        row = connection.execute(
            select(metadata.tables["consents"]).where(metadata.tables["consents"].c.id == kept_under)
        ).one()
    assert (row.evaluation, row.publication) == (True, False)


def test_everything_there_is_of_a_session_is_shown(database):
    session_id = everything(database)
    voted(database, person(database), duel("somebody else's"))
    with database.read() as connection:
        shown = consent.my_data(connection, session_id)
    text = orjson.dumps(shown).decode()
    assert all(f"MARKED {word}" in text for word in ("question", "one", "two", "three", "four", "five", "six"))
    assert "somebody else's" not in text
    assert "doubts" not in text
    (conversation,) = shown["conversations"]
    assert [turn["seed"] for turn in conversation["turns"]] == [None, str(2**63 - 1), str(2**63 - 1)]
    assert [row["name"] for row in conversation["contenders"]] == ["little1-1.0", "little2-1.0"]
    assert len(conversation["votes"]) == len(conversation["published"]) == len(shown["consents"]) == 1
    # Every table that holds something of a session is shown: a new one cannot be forgotten.
    assert {table.name for table in metadata.sorted_tables if table.name in PERSONAL} == set(PERSONAL)
    linked = {"sessions"}
    for table in metadata.sorted_tables:
        if any(key.column.table.name in linked for key in table.foreign_keys):
            linked.add(table.name)
    assert linked == set(PERSONAL)


def test_of_a_duel_that_is_played_nobody_is_told_who_answers(database):
    session_id = person(database)
    playing, over = voted(database, session_id, duel("Encore ?")), voted(database, session_id, duel("Fini ?"))
    with database.write() as connection:
        for at in ASKED + 1, ASKED + 2:
            report(connection, session_id, ONE, reason="false", comment="", excerpt="Ceci.", at=at)
        blind = consent.Blind(frozenset({playing.id, "none"}), frozenset({ASKED + 1}))
        shown = consent.my_data(connection, session_id, blind)
    found = {one["id"]: one for one in shown["conversations"]}
    assert found[playing.id]["contenders"] == []
    assert all(turn["seed"] is turn["answer_tokens"] is None for turn in found[playing.id]["turns"])
    assert [turn["text"] for turn in found[playing.id]["turns"]] == [turn.text for turn in playing.turns]
    assert [row["name"] for row in found[over.id]["contenders"]] == ["little1-1.0", "little2-1.0"]
    assert found[over.id]["turns"][1]["answer_tokens"] == 7
    assert [row["digest"] for row in shown["reports"]] == [None, ONE.digest]
    assert [row["model"] for row in shown["reports"]] == [None, ONE.name]


def test_deleting_leaves_nothing_but_a_tombstone(database):
    session_id = everything(database)
    with database.write() as connection:
        consent.erase(connection, session_id, ASKED + 50)
    assert counts(database) == {}
    assert len(buried(database)) == 1
    with pytest.raises(ApiError) as error, database.write() as connection:
        consent.erase(connection, session_id, ASKED + 51)
    assert error.value.status == 404


def test_one_conversation_can_be_deleted_by_whose_it_is(database):
    mine, other = person(database), person(database)
    first, second = voted(database, mine, duel()), voted(database, mine, duel("Et l'ours ?"))
    with pytest.raises(ApiError) as error, database.write() as connection:
        consent.erase_conversation(connection, other, first.id, ASKED)
    assert error.value.status == 404
    with database.write() as connection:
        consent.erase_conversation(connection, mine, first.id, ASKED)
        assert set(connection.scalars(select(turns.c.conversation_id))) == {second.id}


@pytest.mark.parametrize("how", ["erase", "withdraw", "expire"])
def test_the_bytes_are_gone_from_the_files(tmp_path: Path, how):
    """Of SQLite: the database, and the log beside it. Enough rows that whole pages are given up, not only parts."""
    with open_database(f"sqlite:///{tmp_path / 'service.db'}") as database:
        session_id = everything(database)
        for number in range(30):
            voted(database, session_id, duel(f"MARKED {number} " + "long " * 900))
        keeper = person(database)
        voted(database, keeper, duel("KEPT question"))

        def bytes_there() -> bytes:
            return b"".join(path.read_bytes() for path in tmp_path.iterdir())

        assert b"MARKED" in bytes_there()
        with database.write() as connection:
            if how == "erase":
                consent.erase(connection, session_id, ASKED)
            elif how == "withdraw":
                agree(connection, session_id, evaluation=False)
                # Reports were not sent under that consent: they stay until they are deleted too.
                connection.execute(metadata.tables["reports"].delete())
            else:
                connection.execute(update(sessions).where(sessions.c.id == keeper).values(seen_at=ASKED + 1))
                assert consent.expire(connection, unseen_since=ASKED + 1, at=ASKED + 1) == 1
        assert b"MARKED" not in bytes_there()
        assert b"KEPT" in bytes_there()


def test_the_log_is_emptied_later_if_somebody_reads_meanwhile(tmp_path: Path):
    with open_database(f"sqlite:///{tmp_path / 'service.db'}") as database:
        session_id = everything(database)
        log = tmp_path / "service.db-wal"
        with database.read() as reader:
            reader.execute(select(sessions.c.id)).all()
            with database.write() as connection:
                connection.exec_driver_sql("PRAGMA busy_timeout = 50")
                consent.erase(connection, session_id, ASKED)
            assert b"MARKED" in log.read_bytes()
        with database.write() as connection:
            connection.execute(update(sessions).values(seen_at=0.0))
        assert b"MARKED" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_what_was_not_seen_for_long_enough_goes_with_its_rows(database):
    old, now = everything(database), ASKED + 200 * retention.DAY_SECONDS
    with database.write() as connection:
        young = new_session(connection, seen_at=now - 1)
        for _ in range(450):
            new_session(connection, seen_at=ASKED + 1)
    assert old != young
    assert retention.delete_old(database, 201, now) == 0
    assert retention.delete_old(database, 180, now) == 451
    assert counts(database) == {"sessions": 1}
    assert len(buried(database)) == 1


def test_the_server_deletes_at_start_and_again(database):
    clock = [ASKED]

    async def main() -> list[int]:
        found = []
        with database.write() as connection:
            new_session(connection, seen_at=ASKED - 31 * retention.DAY_SECONDS)
            new_session(connection, seen_at=ASKED - 29 * retention.DAY_SECONDS)
        async with retention.keeping_retention(database, 30, clock=lambda: clock[0], every_seconds=0.02):
            found.append(counts(database)["sessions"])
            clock[0] += 2 * retention.DAY_SECONDS
            for _ in range(500):
                await asyncio.sleep(0.01)
                if "sessions" not in counts(database):
                    break
            found.append(counts(database).get("sessions", 0))
        return found

    assert asyncio.run(main()) == [1, 0]
