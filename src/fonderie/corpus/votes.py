"""Votes: what people said of two answers to the same question, as a public service exports them.

One vote a row, as JSON Lines or Parquet, with these fields and no others. The format, with an example and what
each field is for, is documented in docs/votes.md; a service writes rows through `Vote`, so that they can be read.
"""

from typing import Annotated, Final, Literal, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, model_validator

VOTES_FORMAT: Final = 1

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Choice = Literal["a", "b", "both_good", "both_bad", "idk"]


class Record(BaseModel):
    """A row, or a part of one: its fields and no others."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(Record):
    """One message of the conversation."""

    role: Literal["system", "user", "assistant"]
    content: Annotated[str, Field(min_length=1)]


class Answer(Record):
    """What one model answered."""

    content: Annotated[str, Field(min_length=1)]
    model: Annotated[str, Field(min_length=1)]
    """Name and version, as the service showed or hid it."""
    digest: Digest
    """The digest of the model artifact: `model_digest` in its release.json."""
    settings: str
    """How its tokens were drawn: a JSON object."""
    before: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """What it had answered to the earlier questions, the oldest first, where the other had answered otherwise; else
    empty, and `messages` holds what both had answered."""
    reasons: tuple[str, ...] = ()
    """What the person said of this answer, besides preferring one."""


class Vote(Record):
    """One person's vote on two answers."""

    format: Literal[1] = VOTES_FORMAT
    id: Digest
    """A random name, never one made from the person; withdrawal goes by it."""
    created: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    """The day, and no time of day: a time tells persons apart."""
    language: Annotated[str, Field(min_length=2, max_length=3)] | None = None
    """ISO 639 code of the conversation."""
    licence: Annotated[str, Field(min_length=1)]
    """SPDX identifier of the licence that the person gave for their messages and the vote."""
    consent: Annotated[str, Field(min_length=1)]
    """The version of the consent text that the person accepted."""
    conversation: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    """A random name that the votes of one conversation share."""
    turn: Annotated[int, Field(ge=0)]
    """Which of its questions, counted from 0."""
    messages: Annotated[tuple[Message, ...], Field(min_length=1)]
    """The conversation up to the user's message that both models answered."""
    a: Answer
    b: Answer
    vote: Choice
    """Which answer was better, or that both were good, or both bad, or that the person does not know."""

    @model_validator(mode="after")
    def _ends_with_the_question(self) -> Self:
        if self.messages[-1].role != "user":
            raise ValueError("messages: the last one is not the user's, so that nothing was answered")
        return self


MESSAGES = pa.list_(pa.struct([pa.field("role", pa.string()), pa.field("content", pa.string())]))
_ANSWER = pa.struct(
    [pa.field(name, pa.string(), nullable=False) for name in ("content", "model", "digest", "settings")]
    + [pa.field(name, pa.list_(pa.string()), nullable=False) for name in ("before", "reasons")]
)
VOTE_SCHEMA = pa.schema(
    [
        pa.field("format", pa.int32(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("created", pa.string(), nullable=False),
        pa.field("language", pa.string()),
        pa.field("licence", pa.string(), nullable=False),
        pa.field("consent", pa.string(), nullable=False),
        pa.field("conversation", pa.string(), nullable=False),
        pa.field("turn", pa.int32(), nullable=False),
        pa.field("messages", MESSAGES, nullable=False),
        pa.field("a", _ANSWER, nullable=False),
        pa.field("b", _ANSWER, nullable=False),
        pa.field("vote", pa.string(), nullable=False),
    ]
)
"""The columns of the same in Parquet."""
