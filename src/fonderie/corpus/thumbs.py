"""Thumbs, and preferences: what a public service exports beside votes, documented in docs/votes.md too.

Both have the columns that trainings elsewhere read: a thumb those of unpaired preferences (`prompt`, `completion`,
`label`), a preference those of pairs (`prompt`, `chosen`, `rejected`), which `corpus.preferences` reads as well.
"""

from typing import Annotated, Final, Literal, Self

import pyarrow as pa
from pydantic import Field, model_validator

from fonderie.corpus.votes import MESSAGES, Digest, Message, Record

THUMBS_FORMAT: Final = 1

Conversation = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class _Answered(Record):
    """What every row says of its question and its rights."""

    created: Day
    language: Annotated[str, Field(min_length=2, max_length=3)] | None = None
    """ISO 639 code of the conversation."""
    licence: Annotated[str, Field(min_length=1)]
    consent: Annotated[str, Field(min_length=1)]
    """The version of the consent text that the person accepted."""
    prompt: Annotated[tuple[Message, ...], Field(min_length=1)]
    """The conversation up to the user's message that was answered."""

    @model_validator(mode="after")
    def _ends_with_the_question(self) -> Self:
        if self.prompt[-1].role != "user":
            raise ValueError("prompt: the last message is not the user's, so that nothing was answered")
        return self


class Thumb(_Answered):
    """One person's opinion of one answer, whose model they knew."""

    format: Literal[1] = THUMBS_FORMAT
    id: Digest
    conversation: Conversation
    """A random name, of this opinion alone."""
    completion: Annotated[tuple[Message, ...], Field(min_length=1, max_length=1)]
    """The answer."""
    label: bool
    """Whether it is a good one."""
    model: Annotated[str, Field(min_length=1)]
    digest: Digest
    """The digest of the model artifact: `model_digest` in its release.json."""
    settings: str
    """How its tokens were drawn: a JSON object."""
    reasons: tuple[str, ...] = ()


class Preferred(_Answered):
    """Of two answers to one question the one that a person preferred."""

    by: Literal["vote", "thumbs"]
    """A blind vote; or a thumb up and a thumb down by the same person, who knew both models."""
    conversations: Annotated[tuple[Conversation, ...], Field(min_length=1, max_length=2)]
    chosen: Annotated[tuple[Message, ...], Field(min_length=1, max_length=1)]
    rejected: Annotated[tuple[Message, ...], Field(min_length=1, max_length=1)]
    chosen_model: Digest
    rejected_model: Digest


def _fields(*given: tuple[str, pa.DataType]) -> pa.Schema:
    # The language of a short text is nobody's guess; all else is there.
    return pa.schema([pa.field(name, kind, nullable=name == "language") for name, kind in given])


_RIGHTS = tuple((name, pa.string()) for name in ("created", "language", "licence", "consent"))
THUMB_SCHEMA: Final = _fields(
    ("format", pa.int32()),
    ("id", pa.string()),
    *_RIGHTS,
    ("conversation", pa.string()),
    ("prompt", MESSAGES),
    ("completion", MESSAGES),
    ("label", pa.bool_()),
    ("model", pa.string()),
    ("digest", pa.string()),
    ("settings", pa.string()),
    ("reasons", pa.list_(pa.string())),
)
PREFERENCE_SCHEMA: Final = _fields(
    *_RIGHTS,
    ("by", pa.string()),
    ("conversations", pa.list_(pa.string())),
    ("prompt", MESSAGES),
    ("chosen", MESSAGES),
    ("rejected", MESSAGES),
    ("chosen_model", pa.string()),
    ("rejected_model", pa.string()),
)
"""The columns of both in Parquet."""
