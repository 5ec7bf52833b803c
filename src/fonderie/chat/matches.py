"""The votes that count, as the ranking reads them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, select

from fonderie.chat.judged import Contender
from fonderie.chat.style import STYLE, style, style_difference
from fonderie.serve.database.tables import contenders, conversations, turns, votes

Outcome = Literal["a", "b", "both_good", "both_bad"]


@dataclass(frozen=True)
class Match:
    """One vote that counts."""

    a: str
    b: str
    """Keys of the contenders."""
    outcome: Outcome
    session: int
    style: tuple[float, ...] = (0.0,) * len(STYLE)
    """a's less b's, as `style_difference` gives it."""


@dataclass(frozen=True)
class Matches:
    """Everything that a ranking is made of."""

    rows: tuple[Match, ...]
    """In the order in which they were voted."""
    contenders: Mapping[str, Contender]
    """By key; with those that no vote counts for yet."""
    undecided: int
    """Votes for "I don't know", which the ranking leaves out."""
    doubted: int
    """Votes that something speaks against, which it leaves out too."""


def matches(connection: Connection, without: Collection[str] = ()) -> Matches:
    """Every vote in the database, but those on some conversations."""
    left, right, on_a, on_b = contenders.alias(), contenders.alias(), turns.alias(), turns.alias()
    query = (
        select(
            votes.c.choice,
            votes.c.doubts,
            votes.c.conversation_id,
            conversations.c.session_id,
            on_a.c.text,
            on_b.c.text,
            *(side.c[name] for side in (left, right) for name in ("name", "digest", "model_digest", "settings")),
        )
        .join(conversations, conversations.c.id == votes.c.conversation_id)
        .order_by(votes.c.id)
    )
    for side, name in ((left, "a"), (right, "b")):
        query = query.join(side, (side.c.conversation_id == conversations.c.id) & (side.c.side == name))
    for turn, name in ((on_a, "a"), (on_b, "b")):
        here = (turn.c.conversation_id == votes.c.conversation_id) & (turn.c.position == votes.c.position)
        query = query.join(turn, here & (turn.c.side == name))
    rows: list[Match] = []
    known: dict[str, Contender] = {}
    undecided = doubted = 0
    for choice, doubts, conversation, session, text_a, text_b, *both in connection.execute(query):
        if conversation in without:
            continue
        a, b = Contender(*both[:4]), Contender(*both[4:])
        known |= {a.key: a, b.key: b}
        if doubts:
            doubted += 1
        elif choice == "idk":
            undecided += 1
        else:
            rows.append(Match(a.key, b.key, choice, session, style_difference(style(text_a), style(text_b))))
    return Matches(tuple(rows), known, undecided, doubted)
