"""What may be published: judged conversations whose people agreed to it, and in which no personal data are seen."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, or_, select

from fonderie.chat.consent import PUBLISHES
from fonderie.chat.judged import SIDES, Contender, Conversation, Side, Turn
from fonderie.serve.database.tables import consents, contenders, conversations, thumbs, turns, votes

Find = Callable[[str], Collection[str]]
"""Which kinds of personal data a text holds."""

AT_ONCE: Final = 200
COMPLETE: Final = ("stop", "length")
"""Why an answer ended that is all the model had to say, or was let say."""


@dataclass(frozen=True)
class Ballot:
    """A vote that counts."""

    position: int
    choice: str
    reasons: Mapping[str, Sequence[str]]
    """By side."""
    at: float


@dataclass(frozen=True)
class Opinion:
    """A thumb on the last answer of a conversation."""

    is_good: bool
    reasons: Sequence[str]
    at: float


@dataclass(frozen=True)
class Judged:
    """A conversation with what was said of it."""

    conversation: Conversation
    session: int
    consent: str
    """The version of the text that the person accepted."""
    ballots: tuple[Ballot, ...] = ()
    """Of a duel."""
    opinion: Opinion | None = None
    """Of a chat."""


@dataclass(frozen=True)
class Searched:
    """What a search for personal data left."""

    clean: tuple[Judged, ...]
    excluded: tuple[Judged, ...]
    kinds: Mapping[str, int]
    """In how many of the excluded each kind was seen."""


def find_personal_data(text: str) -> Collection[str]:
    """What corpus.redact would replace, of every kind that it knows."""
    from fonderie.corpus.personal.kinds import KINDS
    from fonderie.corpus.redact import redact_text

    return redact_text(text, KINDS)[1]


def search(candidates: Sequence[Judged], find: Find) -> Searched:
    """Leave out whole conversations in which personal data are seen, and what such a one goes on from.

    Of a dialogue in the chat, each judged answer is kept with what came before it, as a conversation of its own:
    the same person wrote the address in the next one.
    """
    found = [{kind for turn in judged.conversation.turns for kind in find(turn.text)} for judged in candidates]
    begun = {
        (judged.session, _said(judged)[:length])
        for judged, kinds in zip(candidates, found, strict=True)
        if kinds and judged.opinion
        for length in range(1, len(judged.conversation.turns))
    }
    left_out = [
        bool(kinds) or (judged.opinion is not None and (judged.session, _said(judged)) in begun)
        for judged, kinds in zip(candidates, found, strict=True)
    ]
    return Searched(
        clean=tuple(judged for judged, out in zip(candidates, left_out, strict=True) if not out),
        excluded=tuple(judged for judged, out in zip(candidates, left_out, strict=True) if out),
        kinds=dict(sorted(Counter(kind for kinds in found for kind in kinds).items())),
    )


def _said(judged: Judged) -> tuple[str, ...]:
    return tuple(turn.text for turn in judged.conversation.turns)


def publishable(connection: Connection) -> Iterator[Judged]:
    """Duels with a vote that counts, and chats with a thumb, kept under words that speak of publishing them."""
    heads = (
        select(conversations, consents.c.version)
        .join(consents, consents.c.id == conversations.c.consent_id)
        .where(consents.c.publication, _agreed())
        .order_by(conversations.c.id)
    )
    rows = connection.execute(heads).all()
    for first in range(0, len(rows), AT_ONCE):
        part = rows[first : first + AT_ONCE]
        ids = [row.id for row in part]
        sides, said = _sides(connection, ids), _turns(connection, ids)
        ballots, opinions = _ballots(connection, ids), _opinions(connection, ids)
        for row in part:
            opinion = opinions.get(row.id) if row.kind == "chat" else None
            whole = Conversation(row.id, row.kind, row.locale, row.started_at, sides[row.id], tuple(said[row.id]))
            votes_on = tuple(one for one in ballots.get(row.id, ()) if _can_be_read(whole, one.position))
            if votes_on or opinion:
                yield Judged(whole, row.session_id, row.version, votes_on, opinion)


def _agreed() -> ColumnElement[bool]:
    """Words that were accepted speak of some kinds of conversation, and of no others."""
    return or_(
        *(
            (consents.c.version == version) & conversations.c.kind.in_(sorted(kinds))
            for version, kinds in PUBLISHES.items()
        )
    )


def _ballots(connection: Connection, ids: list[str]) -> dict[str, list[Ballot]]:
    found: dict[str, list[Ballot]] = defaultdict(list)
    query = select(votes).where(votes.c.conversation_id.in_(ids)).order_by(votes.c.position)
    for row in connection.execute(query):
        if not row.doubts:
            found[row.conversation_id].append(Ballot(row.position, row.choice, row.reasons, row.at))
    return found


def _opinions(connection: Connection, ids: list[str]) -> dict[str, Opinion]:
    """Of answers that are complete, and say something."""
    query = (
        select(thumbs, turns.c.conversation_id, turns.c.text, turns.c.finish_reason)
        .join(turns, turns.c.id == thumbs.c.turn_id)
        .where(turns.c.conversation_id.in_(ids))
    )
    return {
        row.conversation_id: Opinion(row.value > 0, row.reasons, row.at)
        for row in connection.execute(query)
        if row.finish_reason in COMPLETE and row.text.strip()
    }


def _sides(connection: Connection, ids: list[str]) -> dict[str, dict[Side, Contender]]:
    found: dict[str, dict[Side, Contender]] = {}
    for row in connection.execute(select(contenders).where(contenders.c.conversation_id.in_(ids))):
        who = Contender(row.name, row.digest, row.model_digest, row.settings)
        found.setdefault(row.conversation_id, {})[row.side] = who
    return found


def _turns(connection: Connection, ids: list[str]) -> dict[str, list[Turn]]:
    found: dict[str, list[Turn]] = {}
    query = select(turns).where(turns.c.conversation_id.in_(ids)).order_by(turns.c.position, turns.c.side)
    for row in connection.execute(query):
        turn = Turn(row.position, row.role, row.text, row.at, side=row.side)
        found.setdefault(row.conversation_id, []).append(turn)
    return found


def _can_be_read(whole: Conversation, position: int) -> bool:
    """A model that says nothing has answered nothing that could be read or learnt from."""
    answers: list[Any] = [whole.answer(position, side) for side in SIDES]
    before = [[turn for turn in whole.seen_by(side, position) if turn.role == "assistant"] for side in SIDES]
    apart = [turn.text for turn in before[0]] != [turn.text for turn in before[1]]
    earlier = [turn for side in before for turn in side] if apart else []
    return all(turn is not None and turn.text.strip() for turn in (*answers, *earlier))
