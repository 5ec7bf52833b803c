"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table."""
    _make_access()
    _make_people()
    _make_answers()
    _make_judgements()


def _make_access() -> None:
    """What the service itself keeps."""
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=8), server_default="user", nullable=False),
        sa.Column("per_minute", sa.Integer(), nullable=True),
        sa.Column("per_day_tokens", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.CheckConstraint("role IN ('user', 'admin')", name=op.f("ck_api_keys_role")),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("hash", name="uq_api_keys_hash"),
        sa.UniqueConstraint("name", name="uq_api_keys_name"),
    )
    op.create_table(
        "invites",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("uses_left", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_invites"),
        sa.UniqueConstraint("hash", name="uq_invites_hash"),
    )
    op.create_table(
        "settings",
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_settings"),
    )
    op.create_table(
        "tombstones",
        sa.Column("public_id", sa.String(length=32), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("public_id", name="pk_tombstones"),
    )
    op.create_table(
        "usage",
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("caller", sa.String(length=72), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=False),
        sa.Column("answer_tokens", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day", "caller", name="pk_usage"),
    )


def _make_people() -> None:
    """Sessions, and what belongs to one."""
    op.create_table(
        "sessions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.Column("invite_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["invite_id"], ["invites.id"], name="fk_sessions_invite_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("hash", name="uq_sessions_hash"),
    )
    op.create_index("ix_sessions_seen_at", "sessions", ["seen_at"], unique=False)
    op.create_table(
        "consents",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.Integer(), nullable=False),
        sa.Column("evaluation", sa.Boolean(), nullable=False),
        sa.Column("publication", sa.Boolean(), nullable=False),
        sa.Column("version", sa.String(length=16), nullable=False),
        sa.Column("text_hash", sa.String(length=64), nullable=False),
        sa.Column("locale", sa.String(length=2), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_consents_session_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_consents"),
    )
    op.create_index("ix_consents_session_id", "consents", ["session_id"], unique=False)
    op.create_table(
        "conversations",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("session_id", sa.Integer(), nullable=False),
        sa.Column("consent_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=4), nullable=False),
        sa.Column("locale", sa.String(length=2), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.CheckConstraint("kind IN ('chat', 'duel')", name=op.f("ck_conversations_kind")),
        sa.ForeignKeyConstraint(
            ["consent_id"], ["consents.id"], name="fk_conversations_consent_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name="fk_conversations_session_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_conversations"),
    )
    op.create_index("ix_conversations_session_id", "conversations", ["session_id"], unique=False)
    op.create_index("ix_conversations_started_at", "conversations", ["started_at"], unique=False)
    op.create_table(
        "reports",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("excerpt", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("closed_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_reports_session_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_reports"),
    )
    op.create_index("ix_reports_session_id", "reports", ["session_id"], unique=False)


def _make_answers() -> None:
    """What belongs to a conversation."""
    op.create_table(
        "contenders",
        sa.Column("conversation_id", sa.String(length=32), nullable=False),
        sa.Column("side", sa.String(length=1), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("model_digest", sa.String(length=71), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.CheckConstraint("side IN ('a', 'b')", name=op.f("ck_contenders_side")),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name="fk_contenders_conversation_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("conversation_id", "side", name="pk_contenders"),
    )
    op.create_table(
        "published",
        sa.Column("conversation_id", sa.String(length=32), nullable=False),
        sa.Column("public_id", sa.String(length=32), nullable=False),
        sa.Column("first_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name="fk_published_conversation_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("conversation_id", name="pk_published"),
        sa.UniqueConstraint("public_id", name="uq_published_public_id"),
    )
    op.create_table(
        "turns",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("conversation_id", sa.String(length=32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("side", sa.String(length=1), nullable=False),
        sa.Column("role", sa.String(length=9), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("finish_reason", sa.String(length=16), nullable=True),
        sa.Column("answer_tokens", sa.Integer(), nullable=True),
        sa.Column("seed", sa.String(length=20), nullable=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.CheckConstraint("role IN ('system', 'user', 'assistant')", name=op.f("ck_turns_role")),
        sa.CheckConstraint("side IN ('', 'a', 'b')", name=op.f("ck_turns_side")),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name="fk_turns_conversation_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_turns"),
        sa.UniqueConstraint("conversation_id", "position", "side", name="uq_turns_conversation_id"),
    )
    op.create_index("ix_turns_conversation_id", "turns", ["conversation_id"], unique=False)


def _make_judgements() -> None:
    """What people thought of answers."""
    op.create_table(
        "thumbs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("turn_id", sa.Integer(), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.CheckConstraint("value IN (1, -1)", name=op.f("ck_thumbs_value")),
        sa.ForeignKeyConstraint(["turn_id"], ["turns.id"], name="fk_thumbs_turn_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_thumbs"),
        sa.UniqueConstraint("turn_id", name="uq_thumbs_turn_id"),
    )
    op.create_table(
        "votes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("conversation_id", sa.String(length=32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("choice", sa.String(length=9), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("seconds_to_vote", sa.Double(), nullable=False),
        sa.Column("doubts", sa.JSON(), nullable=False),
        sa.Column("question_hash", sa.String(length=64), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.CheckConstraint("choice IN ('a', 'b', 'both_good', 'both_bad', 'idk')", name=op.f("ck_votes_choice")),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name="fk_votes_conversation_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_votes"),
        sa.UniqueConstraint("conversation_id", "position", name="uq_votes_conversation_id"),
    )
    op.create_index("ix_votes_at", "votes", ["at"], unique=False)
    op.create_index("ix_votes_question_hash", "votes", ["question_hash"], unique=False)


def downgrade() -> None:
    """Remove every table."""
    op.drop_table("thumbs")
    op.drop_index("ix_votes_question_hash", table_name="votes")
    op.drop_index("ix_votes_at", table_name="votes")
    op.drop_table("votes")
    op.drop_index("ix_turns_conversation_id", table_name="turns")
    op.drop_table("turns")
    op.drop_table("published")
    op.drop_table("contenders")
    op.drop_index("ix_conversations_started_at", table_name="conversations")
    op.drop_index("ix_conversations_session_id", table_name="conversations")
    op.drop_table("conversations")
    op.drop_index("ix_reports_session_id", table_name="reports")
    op.drop_table("reports")
    op.drop_index("ix_consents_session_id", table_name="consents")
    op.drop_table("consents")
    op.drop_index("ix_sessions_seen_at", table_name="sessions")
    op.drop_table("sessions")
    op.drop_table("usage")
    op.drop_table("tombstones")
    op.drop_table("settings")
    op.drop_table("invites")
    op.drop_table("api_keys")
