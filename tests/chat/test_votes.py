"""Votes, thumbs and reports: kept as they were given, once, and what speaks against counting them."""

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.chat.judging import ASKED, ONE, TEXTS, TWO, contender, duel, person, voted

from fonderie.chat.doubts import History, doubts
from fonderie.chat.judged import Conversation, Turn, new_id
from fonderie.chat.matches import matches
from fonderie.chat.votes import (
    CHOICES,
    NEGATIVE,
    POSITIVE,
    REPORTS_PER_DAY,
    Ballot,
    keep_duel,
    report,
    thumb,
    vote,
)
from fonderie.serve.api.errors import ApiError
from fonderie.serve.database.base import Database, open_database
from fonderie.serve.database.tables import contenders, conversations, reports, thumbs, turns, votes


def all_votes(database: Database) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(select(votes).order_by(votes.c.id)))


def doubts_of(database: Database) -> list[str]:
    """Of the last vote."""
    return list(all_votes(database)[-1].doubts)


def test_a_vote_is_bound_to_both_releases_and_to_what_was_answered(database):
    session_id = person(database)
    sides = (contender("1", temperature=0.7), TWO)
    given = {"a": ["useful", "complete"], "b": ["incorrect"]}
    conversation = voted(
        database, session_id, duel(contenders=sides), "both_bad", reasons=given, comment="  Aucune.\n"
    )
    (row,) = all_votes(database)
    assert (row.conversation_id, row.position, row.choice) == (conversation.id, 1, "both_bad")
    assert (row.reasons, row.comment, row.seconds_to_vote, row.doubts) == (given, "Aucune.", 25.0, [])
    with database.read() as connection:
        who = list(connection.execute(select(contenders).order_by(contenders.c.side)))
        said = list(connection.execute(select(turns).order_by(turns.c.position, turns.c.side)))
    assert [(row.digest, row.model_digest, row.settings) for row in who] == [
        (side.digest, side.model_digest, dict(side.settings)) for side in sides
    ]
    assert [(row.role, row.side, row.text) for row in said] == [
        (turn.role, turn.side, turn.text) for turn in conversation.turns
    ]


def test_each_turn_has_one_vote_and_the_conversation_is_kept_once(database):
    session_id = person(database)
    first = voted(database, session_id, duel())
    more = [Turn(2, "user", "Et l'ours ?", ASKED + 40)]
    more += [
        Turn(3, "assistant", f"Il dort. {side}", ASKED + 45, side=side, finish_reason="stop") for side in ("a", "b")
    ]
    longer = replace(first, turns=(*first.turns, *more))
    other = replace(longer, id=new_id())
    voted(database, session_id, other)
    with database.read() as connection:  # what came after the vote is nobody's business yet
        assert len(list(connection.scalars(select(turns.c.id).where(turns.c.conversation_id == other.id)))) == 3
    voted(database, session_id, longer, "idk", position=3, at=ASKED + 60)
    assert [(row.position, row.choice) for row in all_votes(database)] == [(1, "a"), (1, "a"), (3, "idk")]
    with pytest.raises(ApiError) as error:
        voted(database, session_id, longer, "b", position=3, at=ASKED + 61)
    assert (error.value.status, error.value.code) == (409, "already_voted")
    with database.read() as connection:
        assert len(list(connection.scalars(select(turns.c.id)))) == 6 + 3
        assert len(list(connection.scalars(select(conversations.c.id)))) == 2


def test_what_was_kept_cannot_be_said_to_be_something_else(database):
    mine, other = person(database), person(database)
    kept = voted(database, mine, duel())
    changed = replace(kept, turns=tuple(replace(turn, text=turn.text + "!") for turn in kept.turns))
    with pytest.raises(ApiError) as error, database.write() as connection:
        keep_duel(connection, mine, TEXTS, changed)
    assert (error.value.status, error.value.code) == (409, "conversation_changed")
    with pytest.raises(ApiError) as error:
        voted(database, other, kept, "b")
    assert error.value.status == 404


def test_what_no_database_takes_is_replaced(database):
    session_id, odd = person(database), "a\0b\ud800c"
    kept = voted(database, session_id, duel(odd, odd, "b"), comment=odd)
    with database.write() as connection:
        keep_duel(connection, session_id, TEXTS, kept)  # once more: nothing has changed
        report(connection, session_id, ONE, reason="other", comment=odd, excerpt=odd, at=ASKED)
        found = [connection.scalar(select(column)) for column in (turns.c.text, votes.c.comment, reports.c.excerpt)]
    assert found == ["a\ufffdb\ufffdc"] * 3


def test_what_is_no_vote_is_refused_by_its_field(database):
    session_id = person(database)
    refused: list[tuple[Conversation, Ballot, int, str]] = [
        (duel(), Ballot("c"), 1, "choice"),  # type: ignore[arg-type]
        (duel(), Ballot("a", {"c": ["useful"]}), 1, "reasons"),
        (duel(), Ballot("a", {"a": ["nice"]}), 1, "reasons"),
        (duel(), Ballot("a", comment="x" * 2001), 1, "comment"),
        (duel(), Ballot("a"), 0, "position"),
        (duel(), Ballot("a"), 3, "position"),
        (replace(duel(), kind="chat"), Ballot("a"), 1, "conversation"),
        (replace(duel(), contenders={"a": ONE}), Ballot("a"), 1, "conversation"),
    ]
    for conversation, ballot, position, param in refused:
        with pytest.raises(ApiError) as error, database.write() as connection:
            vote(connection, session_id, TEXTS, conversation, position=position, ballot=ballot, at=ASKED)
        assert (error.value.status, error.value.param) == (400, param)
    assert not all_votes(database)


def test_a_thumb_can_be_changed_and_taken_back(database):
    session_id = person(database)
    chat = replace(duel(), kind="chat", contenders={"a": ONE})
    chat = replace(chat, turns=tuple(turn for turn in chat.turns if turn.side != "b"))

    def judge(value: Any, **more: Any) -> list[Any]:
        with database.write() as connection:
            thumb(connection, session_id, TEXTS, chat, position=1, value=value, at=ASKED, **more)
            query = select(thumbs.c.value, thumbs.c.reasons, thumbs.c.comment)
            return [tuple(row) for row in connection.execute(query)]

    assert judge(1, reasons=[*POSITIVE, "useful"]) == [(1, list(POSITIVE), "")]
    assert judge(-1, reasons=["incorrect"], comment=" Non. ") == [(-1, ["incorrect"], "Non.")]
    for value, wrong in ((1, NEGATIVE[0]), (-1, POSITIVE[0]), (0, POSITIVE[0]), (1, "nice")):
        with pytest.raises(ApiError, match="reason"):
            judge(value, reasons=[wrong])
    assert judge(0) == []
    with pytest.raises(ApiError, match="no answer"), database.write() as connection:
        thumb(connection, session_id, TEXTS, chat, position=0, value=1, at=ASKED)


def test_a_report_needs_no_consent_and_nobody_sends_a_thousand(database):
    session_id = person(database, evaluation=False)

    def send(at: float = ASKED, **changes: str) -> int:
        given = {"reason": "false", "comment": "", "excerpt": "x", **changes}
        with database.write() as connection:
            return report(connection, session_id, ONE, at=at, **given)

    assert len({send() for _ in range(REPORTS_PER_DAY)}) == REPORTS_PER_DAY
    with pytest.raises(ApiError) as error:
        send()
    assert (error.value.status, error.value.headers) == (429, {"retry-after": "86400"})
    assert send(ASKED + 86_401)
    for wrong in ({"reason": "boring"}, {"comment": "x" * 2001}, {"excerpt": "x" * 20_001}):
        with pytest.raises(ApiError) as error:
            send(ASKED + 86_402, **wrong)
        assert error.value.param == next(iter(wrong))
    with database.read() as connection:
        assert connection.execute(select(reports.c.model, reports.c.digest).limit(1)).one() == (
            ONE.name,
            ONE.digest,
        )


# ── Doubts ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_honest_vote_has_no_doubts_whatever_it_says(database):
    session_id = person(database)
    for number, choice in enumerate(CHOICES):
        voted(database, session_id, duel(f"Question {number} ?"), choice)
    assert [row.doubts for row in all_votes(database)] == [[]] * len(CHOICES)


LONG = "mot " * 400
"""400 words: 24 s at the fastest that counts."""


@pytest.mark.parametrize(
    ("conversation", "seconds", "expected"),
    [
        (duel(), 5.4, ["too_fast"]),
        (duel(), 5.6, []),
        (duel(a=LONG), 23, ["too_fast"]),
        (duel(a=LONG), 25, []),
        (duel(reason="error"), 30, ["unfinished"]),
        (duel(reason="cancelled"), 30, ["unfinished"]),
        (duel(reason="length"), 30, []),
        (duel(a="Oui.", b=" Oui.\n"), 30, ["same_answer"]),
        (duel(contenders=(ONE, ONE)), 30, ["same_contender"]),
        (duel(contenders=(ONE, contender("1", temperature=1.0))), 30, []),
        (duel("Es-tu little1-1.0 ?"), 30, ["names_a_model"]),
        (duel(a="Je suis Little1, un assistant."), 30, ["names_a_model"]),
        (duel(a="Je suis ChatGPT."), 30, ["names_a_model"]),
        (duel(b="I'm an AI model trained by Google."), 30, ["names_a_model"]),
        (duel(a="En tant qu'assistant, je m'appelle Lucie."), 30, ["names_a_model"]),
        (duel(a="J’ai été créé par Mistral AI."), 30, ["names_a_model"]),
        # People, winds, animals, and companies that are merely spoken of.
        (duel("Qui a fondé OpenAI ?", "Je suis sûr que Claude Monet a peint Giverny.", "Le mistral souffle."), 30, []),
        (duel(a="Je suis Claude, le voisin, et j'ai un llama."), 30, []),
        (duel(a="Elle est nommée Lucie."), 30, []),
    ],
)  # fmt: skip
def test_each_doubt_by_what_causes_it(conversation, seconds, expected):
    assert doubts(conversation, 1, "a", History(), at=ASKED + seconds) == expected


def test_the_same_question_again_counts_once_for_each_and_seldom_for_all(database):
    people = [person(database) for _ in range(12)]
    for number, session_id in enumerate(people):
        # Spaces, case and punctuation do not make another question.
        voted(database, session_id, duel(f"OÙ est  le renard{' ?' * (number % 3)}"))
        assert doubts_of(database) == (["question_too_common"] if number >= 10 else [])
    voted(database, people[0], duel("où est le renard"))
    assert doubts_of(database) == ["own_question_again", "question_too_common"]
    # After another question it is another one, too.
    further = [Turn(2, "user", "Où est le renard ?", ASKED + 40)]
    further += [
        Turn(3, "assistant", f"Là {side}", ASKED + 45, side=side, finish_reason="stop") for side in ("a", "b")
    ]
    opened = duel("Bonjour !")
    voted(database, people[0], replace(opened, turns=(*opened.turns, *further)), position=3, at=ASKED + 60)
    assert doubts_of(database) == []
    later = ASKED + 31 * 86_400
    voted(database, person(database), duel("où est le renard", asked=later), at=later + 30)
    assert doubts_of(database) == []


def test_more_than_anybody_reads_in_a_day_and_always_the_same_side(database):
    session_id = person(database)
    for number in range(50):
        voted(database, session_id, duel(f"Question {number} ?", asked=ASKED + number), "b", at=ASKED + number + 30)
        assert doubts_of(database) == (["one_side"] if number >= 15 else [])
    voted(database, session_id, duel("Une de plus ?", asked=ASKED + 60), "a", at=ASKED + 90)
    assert doubts_of(database) == ["over_daily_cap"]
    voted(database, session_id, duel("Demain ?", asked=ASKED + 90_000), "b", at=ASKED + 90_030)
    assert doubts_of(database) == []


def test_only_votes_without_doubts_are_matches(database):
    session_id = person(database)
    voted(database, session_id, duel("Une liste ?", a="# Titre\n\n- **un**\n- deux", b="un deux trois quatre"))
    voted(database, session_id, duel("Deux ?", contenders=(TWO, ONE)), "both_good")
    voted(database, session_id, duel("Trois ?"), "idk")
    voted(database, session_id, duel("Quatre ?"), at=ASKED + 5)
    with database.read() as connection:
        found = matches(connection)
    assert (found.undecided, found.doubted) == (1, 1)
    assert found.contenders == {ONE.key: ONE, TWO.key: TWO}
    first, second = found.rows
    assert (first.a, first.b, first.outcome, first.session) == (ONE.key, TWO.key, "a", session_id)
    assert first.style == (2 / 10, 1.0, 1.0, 1.0)  # 6 words against 4
    assert (second.a, second.b, second.outcome) == (TWO.key, ONE.key, "both_good")


# ── Kept for good ───────────────────────────────────────────────────────────────────────────────────────────────


def _vote_and_say_so(url: str, session_id: int, line: Any) -> None:
    database = open_database(url)
    for number in range(10_000):
        voted(database, session_id, duel(f"Question {number} ?"))
        line.send(number)


def test_a_killed_process_loses_no_vote_that_it_acknowledged(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'service.db'}"
    with open_database(url) as database:
        session_id = person(database)
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_vote_and_say_so, args=(url, session_id, theirs))
    process.start()
    theirs.close()
    acknowledged = [ours.recv() for _ in range(25)]
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(30)
    while True:  # what was said before the end
        try:
            acknowledged.append(ours.recv())
        except EOFError:
            break
    with open_database(url) as database:
        kept = all_votes(database)
    assert len(acknowledged) <= len(kept) <= len(acknowledged) + 1
