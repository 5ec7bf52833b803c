"""What people think of answers: votes in duels, thumbs, reports; each committed before it is acknowledged.

Nothing here is kept without the consent to keep for evaluation, but reports, which people send of their own accord.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from sqlalchemy import Connection, delete, func, insert, select, update

from fonderie.chat import consent
from fonderie.chat.consent import Texts
from fonderie.chat.doubts import History, doubts, question_hash
from fonderie.chat.judged import SIDES, Contender, Conversation, keep, storable
from fonderie.serve.api.errors import ApiError, bad
from fonderie.serve.database.tables import conversations, reports, thumbs, turns, votes

Choice = Literal["a", "b", "both_good", "both_bad", "idk"]
CHOICES: Final[tuple[Choice, ...]] = get_args(Choice)

POSITIVE: Final = ("useful", "complete", "creative", "clear_formatting")
NEGATIVE: Final = ("incorrect", "superficial", "instructions_not_followed")
"""Reasons, as compar:IA asks for them, so that data sets can be compared."""
REPORT_REASONS: Final = ("dangerous", "hateful", "sexual", "personal_data", "copyright", "false", "other")

COMMENT_LIMIT: Final = 2_000
EXCERPT_LIMIT: Final = 20_000
"""Characters."""
REPORTS_PER_DAY: Final = 20
"""Of one session; a person who has more to say has a page to say it on."""
DAY_SECONDS: Final = 86_400.0


@dataclass(frozen=True)
class Ballot:
    """What the person says of two answers."""

    choice: Choice
    reasons: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By side, reason codes of either sign."""
    comment: str = ""


def keep_duel(connection: Connection, session_id: int, texts: Texts, conversation: Conversation) -> None:
    """Store a duel as far as it went; ApiError 428 or 409 without consent to the words in force."""
    keep(connection, session_id, consent.require(connection, session_id, texts), conversation)


def vote(
    connection: Connection,
    session_id: int,
    texts: Texts,
    conversation: Conversation,
    *,
    position: int,
    ballot: Ballot,
    at: float,
) -> None:
    """Store a vote on the two answers at a position, with the conversation up to there.

    ApiError 428 or 409 (`consent_stale`) without consent, 400 for a ballot or a duel that is none, 409
    (`already_voted`) for a second vote on the same answers: by then the names are known.
    """
    _check_ballot(ballot)
    if conversation.kind != "duel" or conversation.contenders.keys() != set(SIDES):
        raise bad("only a duel is voted on", "conversation")
    answers = [conversation.answer(position, side) for side in SIDES]
    if None in answers:
        raise bad("there are no two answers at this place", "position")
    keep_duel(connection, session_id, texts, conversation.until(position))
    one = (votes.c.conversation_id == conversation.id) & (votes.c.position == position)
    if connection.scalar(select(votes.c.id).where(one)) is not None:
        raise ApiError(409, "these two answers have your vote already", code="already_voted")
    hashed = question_hash(conversation, position)
    row = {
        "conversation_id": conversation.id,
        "position": position,
        "choice": ballot.choice,
        "reasons": {side: list(ballot.reasons.get(side, ())) for side in SIDES},
        "comment": storable(ballot.comment.strip()),
        "seconds_to_vote": max(0.0, at - max(answer.at for answer in answers if answer)),
        "doubts": doubts(
            conversation, position, ballot.choice, _history(connection, session_id, hashed, at), at=at
        ),
        "question_hash": hashed,
        "at": at,
    }
    connection.execute(insert(votes).values(row))


def thumb(
    connection: Connection,
    session_id: int,
    texts: Texts,
    conversation: Conversation,
    *,
    position: int,
    value: Literal[1, -1, 0],
    side: str = "a",
    reasons: Iterable[str] = (),
    comment: str = "",
    at: float,
) -> None:
    """Store what a person thinks of one answer, in place of what they thought before; 0 takes it back.

    ApiError as `vote` raises them; reasons must be of the value's sign.
    """
    known, reasons = (POSITIVE if value > 0 else NEGATIVE if value < 0 else ()), list(dict.fromkeys(reasons))
    _check_reasons(reasons, known)
    _check_length(comment, "comment", COMMENT_LIMIT)
    if conversation.answer(position, side) is None:
        raise bad("there is no answer at this place", "position")
    agreed = consent.require(connection, session_id, texts)
    keep(connection, session_id, agreed, conversation.until(position))
    here = (turns.c.conversation_id == conversation.id) & (turns.c.position == position) & (turns.c.side == side)
    turn_id = connection.scalar(select(turns.c.id).where(here))
    row = {"value": value, "reasons": reasons, "comment": storable(comment.strip()), "at": at}
    one = thumbs.c.turn_id == turn_id
    if value == 0:
        connection.execute(delete(thumbs).where(one))
    elif connection.execute(update(thumbs).where(one).values(row)).rowcount == 0:
        connection.execute(insert(thumbs).values(turn_id=turn_id, **row))


def report(
    connection: Connection,
    session_id: int,
    contender: Contender,
    *,
    reason: str,
    comment: str,
    excerpt: str,
    at: float,
) -> int:
    """Store a report, as the person chose to send it; its number. ApiError 429 for too many a day."""
    if reason not in REPORT_REASONS:
        raise bad(f"reason {reason[:32]!r} is none of {', '.join(REPORT_REASONS)}", "reason")
    _check_length(comment, "comment", COMMENT_LIMIT)
    _check_length(excerpt, "excerpt", EXCERPT_LIMIT)
    consent.hold(connection, session_id)
    today = (reports.c.session_id == session_id) & (reports.c.at > at - DAY_SECONDS)
    if (connection.scalar(select(func.count()).select_from(reports).where(today)) or 0) >= REPORTS_PER_DAY:
        raise ApiError(
            429, "that is a lot of reports for a day", code="too_many_reports", retry_after_seconds=int(DAY_SECONDS)
        )
    row = {"session_id": session_id, "model": contender.name, "digest": contender.digest, "reason": reason}
    row |= {"comment": storable(comment.strip()), "excerpt": storable(excerpt), "at": at}
    key = connection.execute(insert(reports).values(row)).inserted_primary_key
    assert key is not None
    return int(key[0])


def _history(connection: Connection, session_id: int, hashed: str, at: float) -> History:
    """What a vote is judged against: this session's own votes, and others on the same question."""
    mine = votes.c.conversation_id.in_(select(conversations.c.id).where(conversations.c.session_id == session_id))
    day = select(func.count()).select_from(votes).where(mine, votes.c.at > at - DAY_SECONDS)
    own = select(func.count()).select_from(votes).where(mine, votes.c.question_hash == hashed)
    month = (votes.c.question_hash == hashed) & (votes.c.at > at - History.WINDOW_DAYS * DAY_SECONDS)
    last = select(votes.c.choice).where(mine, votes.c.choice.in_(SIDES)).order_by(votes.c.at.desc())
    return History(
        votes_today=connection.scalar(day) or 0,
        own_on_question=connection.scalar(own) or 0,
        all_on_question=connection.scalar(select(func.count()).select_from(votes).where(month)) or 0,
        last_sides=tuple(connection.scalars(last.limit(History.SIDES_LOOKED_AT))),
    )


def _check_ballot(ballot: Ballot) -> None:
    if ballot.choice not in CHOICES:
        raise bad(f"choice {ballot.choice[:16]!r} is none of {', '.join(CHOICES)}", "choice")
    unknown = set(ballot.reasons) - set(SIDES)
    if unknown:
        raise bad("reasons are of side a or b", "reasons")
    for codes in ballot.reasons.values():
        _check_reasons(codes, (*POSITIVE, *NEGATIVE))
    _check_length(ballot.comment, "comment", COMMENT_LIMIT)


def _check_reasons(codes: Iterable[str], known: Sequence[str]) -> None:
    for code in codes:
        if code not in known:
            raise bad(f"reason {code[:32]!r} is none of {', '.join(known) or 'none'}", "reasons")


def _check_length(text: str, param: str, most: int) -> None:
    if len(text) > most:
        raise bad(f"{param} has {len(text):,} characters; {most:,} are taken", param)
