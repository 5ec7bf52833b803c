"""Sessions and conversations to judge, as the service would hold them."""

import itertools
from typing import Any

from sqlalchemy import Connection, insert

from fonderie.chat import consent
from fonderie.chat.judged import Contender, Conversation, Turn, new_id
from fonderie.chat.votes import Ballot, vote
from fonderie.serve.database.base import Database
from fonderie.serve.database.tables import sessions

TEXTS = consent.read_texts()
NUMBERS = itertools.count(1)
ASKED = 1_764_000_000.0
"""2025-11-24T16:00:00Z."""


def contender(letter: str, name: str = "", **settings: Any) -> Contender:
    return Contender(
        name or f"little{letter}-1.0", f"sha256:{letter * 64}", f"sha256:{letter * 63}0", settings or {}
    )


ONE, TWO = contender("1"), contender("2")


def new_session(connection: Connection, *, seen_at: float = ASKED) -> int:
    row = {"hash": f"{next(NUMBERS):064x}", "created_at": seen_at, "seen_at": seen_at}
    key = connection.execute(insert(sessions).values(row)).inserted_primary_key
    assert key is not None
    return int(key[0])


def person(database: Database, *, evaluation: bool = True, publication: bool = False) -> int:
    """A session that has consented so."""
    with database.write() as connection:
        session_id = new_session(connection)
        agree(connection, session_id, evaluation=evaluation, publication=publication)
    return session_id


def agree(connection: Connection, session_id: int, *, evaluation: bool, publication: bool = False) -> None:
    consent.give(connection, session_id, TEXTS["fr"], evaluation=evaluation, publication=publication, at=ASKED - 60)


def duel(
    question: str = "Où est le renard ?",
    a: str = "Il est dans la forêt.",
    b: str = "Je ne sais pas.",
    *,
    contenders: tuple[Contender, Contender] = (ONE, TWO),
    asked: float = ASKED,
    reason: str = "stop",
) -> Conversation:
    """One question with its two answers, five seconds later."""
    turns = [Turn(0, "user", question, asked)]
    for side, text in (("a", a), ("b", b)):
        turns.append(
            Turn(1, "assistant", text, asked + 5, side=side, finish_reason=reason, answer_tokens=7, seed=2**63 - 1)
        )  # type: ignore[arg-type]
    return Conversation(new_id(), "duel", "fr", asked, dict(zip("ab", contenders, strict=True)), tuple(turns))  # type: ignore[arg-type]


def voted(
    database: Database,
    session_id: int,
    conversation: Conversation,
    choice: Any = "a",
    *,
    position: int = 1,
    at: float = ASKED + 30,
    **more: Any,
) -> Conversation:
    with database.write() as connection:
        vote(connection, session_id, TEXTS, conversation, position=position, ballot=Ballot(choice, **more), at=at)
    return conversation
