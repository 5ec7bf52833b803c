"""The tables. Times are seconds since 1970, UTC; nothing here holds an address of the network.

Migrations bring a database to what this file says; `tests/serve/database` compares the two. A change here is a new
file in `migrations/versions`, never an edit of one that was released.
"""

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("hash", String(64), nullable=False, unique=True),  # SHA-256 of 256 random bits: nothing to guess
    Column("role", String(8), nullable=False, server_default="user"),
    Column("per_minute", Integer),  # requests; null: as the service's default says
    Column("per_day_tokens", Integer),
    Column("created_at", Double, nullable=False),
    Column("revoked_at", Double),
    CheckConstraint("role IN ('user', 'admin')", name="role"),
)

usage = Table(
    "usage",
    metadata,
    Column("day", String(10), nullable=False),  # 2026-11-26
    Column("caller", String(72), nullable=False),  # "key:<name>" or "public": nobody without a key is told apart
    Column("requests", Integer, nullable=False),
    Column("prompt_tokens", Integer, nullable=False),
    Column("answer_tokens", Integer, nullable=False),
    PrimaryKeyConstraint("day", "caller"),
)

invites = Table(
    "invites",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("note", Text, nullable=False),
    Column("uses_left", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),  # SHA-256 of the cookie
    Column("created_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False, index=True),
    Column("invite_id", ForeignKey("invites.id", ondelete="SET NULL")),
)

consents = Table(
    "consents",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("session_id", ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("evaluation", Boolean, nullable=False),  # may be kept, to evaluate the models
    Column("publication", Boolean, nullable=False),  # may be published
    Column("version", String(16), nullable=False),
    Column("text_hash", String(64), nullable=False),
    Column("locale", String(2), nullable=False),
    Column("at", Double, nullable=False),
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("session_id", ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("consent_id", ForeignKey("consents.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(4), nullable=False),
    Column("locale", String(2), nullable=False),
    Column("started_at", Double, nullable=False, index=True),
    CheckConstraint("kind IN ('chat', 'duel')", name="kind"),
)

contenders = Table(
    "contenders",
    metadata,
    Column("conversation_id", ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    Column("side", String(1), nullable=False),  # "a" and "b" of a duel, "a" alone of a chat
    Column("name", String(200), nullable=False),
    Column("digest", String(71), nullable=False),  # of the release's release.json
    Column("model_digest", String(71), nullable=False),  # of the weights, as release.json says it
    Column("settings", JSON, nullable=False),  # sampling settings
    PrimaryKeyConstraint("conversation_id", "side"),
    CheckConstraint("side IN ('a', 'b')", name="side"),
)

turns = Table(
    "turns",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("conversation_id", ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),  # 0, 1, …; both sides' answers to one question share theirs
    Column("side", String(1), nullable=False),  # "" for what the person wrote
    Column("role", String(9), nullable=False),
    Column("text", Text, nullable=False),
    Column("finish_reason", String(16)),
    Column("answer_tokens", Integer),
    Column("seed", String(20)),  # as text: JSON readers lose digits of large integers
    Column("at", Double, nullable=False),
    UniqueConstraint("conversation_id", "position", "side"),
    CheckConstraint("role IN ('system', 'user', 'assistant')", name="role"),
    CheckConstraint("side IN ('', 'a', 'b')", name="side"),
)

thumbs = Table(
    "thumbs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("turn_id", ForeignKey("turns.id", ondelete="CASCADE"), nullable=False, unique=True),
    Column("value", Integer, nullable=False),  # 1 or -1
    Column("reasons", JSON, nullable=False),  # list of reason codes
    Column("comment", Text, nullable=False),
    Column("at", Double, nullable=False),
    CheckConstraint("value IN (1, -1)", name="value"),
)

votes = Table(
    "votes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("conversation_id", ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),  # of the two answers
    Column("choice", String(9), nullable=False),
    Column("reasons", JSON, nullable=False),  # {"a": [codes], "b": [codes]}
    Column("comment", Text, nullable=False),
    Column("seconds_to_vote", Double, nullable=False),  # from the end of the slower answer
    Column("doubts", JSON, nullable=False),  # codes of what speaks against counting it; [] counts
    Column("question_hash", String(64), nullable=False, index=True),  # of its words: the same one asked again
    Column("at", Double, nullable=False, index=True),
    UniqueConstraint("conversation_id", "position"),
    CheckConstraint("choice IN ('a', 'b', 'both_good', 'both_bad', 'idk')", name="choice"),
)

reports = Table(
    "reports",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("session_id", ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("model", String(200), nullable=False),
    Column("digest", String(71), nullable=False),
    Column("reason", String(32), nullable=False),
    Column("comment", Text, nullable=False),
    Column("excerpt", Text, nullable=False),  # what is reported, as the person chose to send it
    Column("at", Double, nullable=False),
    Column("closed_at", Double),
)

published = Table(
    "published",
    metadata,
    Column("conversation_id", ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True),
    Column("public_id", String(32), nullable=False, unique=True),
    Column("first_at", Double, nullable=False),
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("public_id", String(32), primary_key=True),
    Column("at", Double, nullable=False),
)

settings = Table(
    "settings",
    metadata,
    Column("key", String(32), primary_key=True),
    Column("value", JSON, nullable=False),
    Column("at", Double, nullable=False),
)

Index("ix_turns_conversation_id", turns.c.conversation_id)
