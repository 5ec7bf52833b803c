"""A conversation as the service holds it while it runs, and as it is kept once somebody judges it."""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Self

from sqlalchemy import Connection, insert, select

from fonderie.chat.consent import Consent, Locale
from fonderie.serve.api.errors import ApiError
from fonderie.serve.database.tables import contenders, conversations, turns

if TYPE_CHECKING:
    from fonderie.serve.served import Served

Kind = Literal["chat", "duel"]
Side = Literal["a", "b"]
SIDES: tuple[Side, ...] = ("a", "b")


def new_id() -> str:
    """A random name: 128 bits in 32 hexadecimal digits."""
    return secrets.token_hex(16)


_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def storable(text: str) -> str:
    """A text without what databases refuse: NUL, and the half characters that JSON can hold."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


@dataclass(frozen=True)
class Contender:
    """What answers on one side: a release by its digests, and how its tokens are drawn."""

    name: str
    digest: str
    """Of release.json: everything that the release is."""
    model_digest: str
    """Of the weights, as release.json says it."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Sampling settings that are not the interface's defaults."""

    @property
    def key(self) -> str:
        """What tells it from every other: the release's digest, and the settings."""
        return f"{self.digest} {json.dumps(dict(self.settings), sort_keys=True)}"

    @classmethod
    def of(cls, served: "Served", settings: Mapping[str, Any] | None = None) -> Self:
        """A release as it is served."""
        return cls(served.name, served.digest, served.index.model_digest, settings or {})


@dataclass(frozen=True)
class Turn:
    """One message."""

    position: int
    """0, 1, …; both sides' answers to one question share theirs."""
    role: Literal["system", "user", "assistant"]
    text: str
    at: float
    """Seconds since 1970, by the server's clock: when the person asked, or when the answer was complete."""
    side: Literal["", "a", "b"] = ""
    """Who answers: "a" alone in a chat; "" for what the person wrote."""
    finish_reason: str | None = None
    answer_tokens: int | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Conversation:
    """A conversation up to what is judged."""

    id: str
    kind: Kind
    locale: Locale
    started_at: float
    contenders: Mapping[Side, Contender]
    """By side: "a" and "b" of a duel, "a" alone of a chat."""
    turns: tuple[Turn, ...]

    def answer(self, position: int, side: str) -> Turn | None:
        """What a side answered at a position."""
        return next((turn for turn in self.turns if (turn.position, turn.side) == (position, side)), None)

    def question(self, position: int) -> Turn | None:
        """What the person had asked before an answer."""
        asked = [turn for turn in self.turns if turn.role == "user" and turn.position < position]
        return max(asked, key=lambda turn: turn.position, default=None)

    def until(self, position: int) -> "Conversation":
        """The same without what came later."""
        return replace(self, turns=tuple(turn for turn in self.turns if turn.position <= position))

    def seen_by(self, side: str, position: int) -> list[Turn]:
        """What a side had before it when it answered: what the person wrote, and its own answers, in order."""
        before = [turn for turn in self.turns if turn.position < position and turn.side in ("", side)]
        return sorted(before, key=lambda turn: turn.position)


def keep(connection: Connection, session_id: int, consent: Consent, conversation: Conversation) -> None:
    """Store a conversation, or the turns of one that are new; the consent is one that `consent.require` returned.

    ApiError 404 for another session's, 409 if a turn is stored otherwise than it is said to be now.
    """
    owner = connection.scalar(select(conversations.c.session_id).where(conversations.c.id == conversation.id))
    if owner is None:
        _keep_head(connection, session_id, consent, conversation)
    elif owner != session_id:
        raise ApiError(404, "there is no such conversation of yours", code="not_found")
    query = select(turns.c.position, turns.c.side, turns.c.text).where(turns.c.conversation_id == conversation.id)
    there = {(position, side): text for position, side, text in connection.execute(query)}
    for turn in conversation.turns:
        if there.get((turn.position, turn.side), storable(turn.text)) != storable(turn.text):
            raise ApiError(409, f"turn {turn.position} was kept with another text", code="conversation_changed")
    fresh = [
        {
            "conversation_id": conversation.id,
            "position": turn.position,
            "side": turn.side,
            "role": turn.role,
            "text": storable(turn.text),
            "finish_reason": turn.finish_reason,
            "answer_tokens": turn.answer_tokens,
            "seed": None if turn.seed is None else str(turn.seed),
            "at": turn.at,
        }
        for turn in conversation.turns
        if (turn.position, turn.side) not in there
    ]
    if fresh:
        connection.execute(insert(turns), fresh)


def _keep_head(connection: Connection, session_id: int, consent: Consent, conversation: Conversation) -> None:
    connection.execute(
        insert(conversations).values(
            id=conversation.id,
            session_id=session_id,
            consent_id=consent.id,
            kind=conversation.kind,
            locale=conversation.locale,
            started_at=conversation.started_at,
        )
    )
    connection.execute(
        insert(contenders),
        [
            {
                "conversation_id": conversation.id,
                "side": side,
                "name": contender.name,
                "digest": contender.digest,
                "model_digest": contender.model_digest,
                "settings": dict(contender.settings),
            }
            for side, contender in conversation.contenders.items()
        ],
    )
