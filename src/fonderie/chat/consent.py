"""What people agreed to have kept: the words they accepted, withdrawing, and deleting for real.

Two separate consents (GDPR, articles 4(11) and 7): to have judged conversations kept for evaluation, and to have
duels published. The newest row of a session counts; every conversation is bound to the row it was kept under.
Whatever was published and is deleted, or may no longer be published, leaves a tombstone.
"""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

from sqlalchemy import ColumnElement, Connection, Table, delete, insert, literal, select, update

from fonderie.serve.api.errors import ApiError, bad
from fonderie.serve.database.base import forget
from fonderie.serve.database.tables import (
    consents,
    contenders,
    conversations,
    published,
    reports,
    sessions,
    thumbs,
    tombstones,
    turns,
    votes,
)

Locale = Literal["fr", "en"]
LOCALES: Final[tuple[Locale, ...]] = get_args(Locale)

TEXT_VERSION: Final = "2026-11-26"
PUBLISHES: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {"2026-11": frozenset({"duel"}), "2026-11-26": frozenset({"duel", "chat"})}
)
"""By version, the kinds of conversation that the words of its second consent speak of."""
RETENTION_DAYS: Final = 180
"""After the last visit; `--retention-days` says otherwise. As long as the cookie by which people reach theirs."""


@dataclass(frozen=True)
class Text:
    """The words of a consent in one language."""

    version: str
    locale: Locale
    words: Mapping[str, str]
    """By what they are: title, intro, evaluation, evaluation_more, publication, publication_more, withdrawal, …"""

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the words as they were shown, 64 hexadecimal digits."""
        shown = "\n".join(f"{name}: {text}" for name, text in self.words.items())
        return hashlib.sha256(f"{self.version} {self.locale}\n{shown}".encode()).hexdigest()


Texts = Mapping[Locale, Text]


def read_texts(retention_days: int = RETENTION_DAYS) -> Texts:
    """The words that are in force, in every language."""
    source = (files("fonderie.chat") / f"consent-{TEXT_VERSION}.toml").read_text(encoding="utf-8")
    table: dict[str, Any] = tomllib.loads(source)
    return {
        locale: Text(
            version=table["version"],
            locale=locale,
            words=MappingProxyType(
                {name: text.replace("{days}", f"{retention_days}") for name, text in table[locale].items()}
            ),
        )
        for locale in LOCALES
    }


@dataclass(frozen=True)
class Consent:
    """What a session agreed to."""

    id: int
    evaluation: bool
    publication: bool
    version: str
    text_hash: str
    locale: str
    at: float
    """Seconds since 1970."""

    def of(self, texts: Texts) -> bool:
        """Whether it was given to the words that are in force."""
        return any((self.version, self.text_hash) == (text.version, text.hash) for text in texts.values())


def current(connection: Connection, session_id: int) -> Consent | None:
    """The newest consent of a session; None if it was never asked."""
    query = (
        select(
            consents.c.id,
            consents.c.evaluation,
            consents.c.publication,
            consents.c.version,
            consents.c.text_hash,
            consents.c.locale,
            consents.c.at,
        )
        .where(consents.c.session_id == session_id)
        .order_by(consents.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else Consent(*row)


def require(connection: Connection, session_id: int, texts: Texts) -> Consent:
    """The consent to keep for evaluation, which stays as it is until this transaction ends.

    ApiError 428 if there is none, 409 if it was given to other words than those in force.
    """
    hold(connection, session_id)
    found = current(connection, session_id)
    if found is None or not found.evaluation:
        raise ApiError(428, "nothing is kept without consent to it", code="consent_required")
    if not found.of(texts):
        raise ApiError(409, "the text that was accepted has changed since", code="consent_stale")
    return found


def give(
    connection: Connection, session_id: int, text: Text, *, evaluation: bool, publication: bool, at: float
) -> Consent:
    """Record what a session accepts from now on; False withdraws.

    Without `evaluation`, the conversations that were kept are deleted with what was said of them; without
    `publication`, those that were kept can never be published again. ApiError 404 if there is no such session, 400
    for publication alone: what is not kept cannot be published.
    """
    if publication and not evaluation:
        raise bad("what is not kept cannot be published", "publication", "publication_needs_evaluation")
    hold(connection, session_id)
    row: dict[str, Any] = {"session_id": session_id, "evaluation": evaluation, "publication": publication, "at": at}
    row |= {"version": text.version, "text_hash": text.hash, "locale": text.locale}
    key = connection.execute(insert(consents).values(row)).inserted_primary_key
    assert key is not None
    mine = conversations.c.session_id == session_id
    if not evaluation:
        _erase_conversations(connection, mine, at)
    elif not publication:
        _bury(connection, mine, at)
        # They are kept under what is accepted now: to publish again later does not reach back.
        connection.execute(update(conversations).where(mine).values(consent_id=key[0]))
    return Consent(key[0], evaluation, publication, text.version, text.hash, text.locale, at)


@dataclass(frozen=True)
class Blind:
    """What belongs to duels that are still being played: who answers them is told to nobody."""

    conversations: frozenset[str] = frozenset()
    reported_at: frozenset[float] = frozenset()
    """When reports of them were sent."""


NOTHING_BLIND: Final = Blind()


def my_data(connection: Connection, session_id: int, blind: Blind = NOTHING_BLIND) -> dict[str, Any]:
    """Everything that there is of a session, ready for JSON; times as seconds since 1970.

    But what speaks against counting a vote: who reads that learns how to vote unnoticed. Nor, until a duel ends,
    who answers it, or by what that could be found: seeds, by asking again, and counts of tokens.
    """
    mine = select(conversations.c.id).where(conversations.c.session_id == session_id)

    def rows(table: Table, which: ColumnElement[bool], *left_out: str) -> list[dict[str, Any]]:
        shown = [column for column in table.c if column.name not in ("session_id", "hash", *left_out)]
        query = select(*shown).where(which).order_by(*table.primary_key)
        # SQLAlchemy's names are of a class of their own, which orjson does not take for text.
        names = ["".join([*column.name]) for column in shown]
        return [dict(zip(names, row, strict=True)) for row in connection.execute(query)]

    def of(table: Table, *left_out: str) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for row in rows(table, table.c.conversation_id.in_(mine), *left_out):
            found.setdefault(row.pop("conversation_id"), []).append(row)
        return found

    parts = {
        "contenders": of(contenders),
        "turns": of(turns),
        "votes": of(votes, "doubts", "question_hash"),
        "published": of(published),
    }
    ours = select(turns.c.id).where(turns.c.conversation_id.in_(mine))
    kept = rows(conversations, conversations.c.session_id == session_id)
    for name in blind.conversations:
        parts["contenders"].pop(name, None)
        parts["turns"][name] = [
            {**turn, "seed": None, "answer_tokens": None} for turn in parts["turns"].get(name, ())
        ]
    sent = [
        {**row, "model": None, "digest": None} if row["at"] in blind.reported_at else row
        for row in rows(reports, reports.c.session_id == session_id)
    ]
    return {
        "session": rows(sessions, sessions.c.id == session_id),
        "consents": rows(consents, consents.c.session_id == session_id),
        "conversations": [
            {**row, **{name: by_id.get(row["id"], []) for name, by_id in parts.items()}} for row in kept
        ],
        "thumbs": rows(thumbs, thumbs.c.turn_id.in_(ours)),
        "reports": sent,
    }


def erase(connection: Connection, session_id: int, at: float) -> None:
    """Delete everything that there is of a session, and the session; its bytes are gone with the transaction."""
    hold(connection, session_id)
    _erase_conversations(connection, conversations.c.session_id == session_id, at)
    connection.execute(delete(reports).where(reports.c.session_id == session_id))
    connection.execute(delete(consents).where(consents.c.session_id == session_id))
    connection.execute(delete(sessions).where(sessions.c.id == session_id))
    forget(connection)


def erase_conversation(connection: Connection, session_id: int, conversation_id: str, at: float) -> None:
    """Delete one conversation with what was said of it; ApiError 404 if it is none of this session's."""
    mine = (conversations.c.session_id == session_id) & (conversations.c.id == conversation_id)
    if _erase_conversations(connection, mine, at) == 0:
        raise ApiError(404, "there is no such conversation of yours", code="not_found")


def expire(connection: Connection, *, unseen_since: float, at: float, most: int = 200) -> int:
    """Delete up to `most` sessions not seen since a time, with everything of theirs; how many there were."""
    query = select(sessions.c.id).where(sessions.c.seen_at < unseen_since).order_by(sessions.c.id).limit(most)
    old = list(connection.scalars(query.with_for_update()))
    if old:
        _erase_conversations(connection, conversations.c.session_id.in_(old), at)
        for table in (reports, consents):
            connection.execute(delete(table).where(table.c.session_id.in_(old)))
        connection.execute(delete(sessions).where(sessions.c.id.in_(old)))
        forget(connection)
    return len(old)


def hold(connection: Connection, session_id: int) -> None:
    """Keep a session's other transactions waiting, so that nothing is kept while its consent is withdrawn.

    ApiError 404 if there is no such session.
    """
    if connection.scalar(select(sessions.c.id).where(sessions.c.id == session_id).with_for_update()) is None:
        raise ApiError(404, "there is no such session", code="session_unknown")


def _erase_conversations(connection: Connection, which: ColumnElement[bool], at: float) -> int:
    _bury(connection, which, at)
    # Contenders, turns, thumbs and votes go with their conversation.
    count = connection.execute(delete(conversations).where(which)).rowcount
    forget(connection)
    return count


def _bury(connection: Connection, which: ColumnElement[bool], at: float) -> None:
    """What was published and may be no more: a tombstone each, and no way to be published under the same name."""
    ids = select(conversations.c.id).where(which)
    theirs = published.c.conversation_id.in_(ids)
    gone = select(published.c.public_id, literal(at)).where(theirs)
    connection.execute(insert(tombstones).from_select(["public_id", "at"], gone))
    connection.execute(delete(published).where(theirs))
