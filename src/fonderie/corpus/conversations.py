"""corpus.conversations and corpus.preferences: what models are instructed with, read into documents.

Each row becomes a document like any other, with licence, source and id, through the licence gate and past the
tombstones, so that filters, redaction and deduplication apply to it. Its text is that of core/conversation.py.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from fonderie.core.conversation import CONVERSATION, PREFERENCE, format_preference, format_turns
from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.core.step import (
    TOMBSTONES,
    CallName,
    Inputs,
    Output,
    Parameters,
    Policy,
    RecipePolicy,
    Source,
    SourceFiles,
    step,
)
from fonderie.corpus.conversations_read import TURNS, Choice, pair_choice, vote_choice
from fonderie.corpus.conversations_rows import Row, read_rows
from fonderie.corpus.read import read_files, sourcing_of
from fonderie.corpus.readers.raw import Raw
from fonderie.corpus.readers.tables import raw_of
from fonderie.corpus.rights import admit, licence_of
from fonderie.corpus.tombstones import load_tombstones

MALFORMED = "malformed row"


class RowsParameters(Parameters):
    """What both readers of rows are told."""

    path: SourceFiles
    """A file or a glob: JSON Lines (.jsonl), one JSON array (.json), each also in .gz, .bz2 or .zst, or .parquet.
    On a hub: "hf://datasets/OWNER/NAME@COMMIT/data/*.parquet"."""
    licence: str | None = None
    """SPDX identifier of the content's licence; may be left out where each row states it as "licence"."""
    collection_licence: str | None = None
    """SPDX identifier of the licence of the collection, which does not license its content."""
    sourcing: SourceFiles | None = None
    """The sourcing form of this source; see docs/guide/sources.md."""
    language: str | None = Field(default=None, min_length=2, max_length=3)
    """ISO 639 code, where the rows do not state it."""
    malformed: Literal["stop", "drop"] = "stop"
    """A row that is not of its format (a role that the template does not know, an empty message, no answer) stops
    the build with its file and line, or is dropped, and the ledger says why."""
    restricted_rows: Literal["stop", "drop"] = "stop"
    """A row under a licence that the policy refuses stops the build, or is dropped."""
    source: CallName
    """The name of this source in documents, ledger and reports."""
    policy: RecipePolicy = Policy()
    """The recipe's [policy]."""

    @property
    def damaged(self) -> Literal["stop", "quarantine"]:
        """A file that cannot be read as such always stops the build."""
        return "stop"


class ConversationsParameters(RowsParameters):
    """Where conversations lie, and in which layout."""

    format: Literal["sharegpt", "messages", "alpaca"]
    """ "sharegpt": "conversations" of "from" and "value"; "messages": OpenAI's, of "role" and "content"; "alpaca":
    "instruction", "input" and "output", the first two joined by an empty line."""
    field: str | None = None
    """The field that holds the messages, or Alpaca's instruction, if it has another name."""


class PreferencesParameters(RowsParameters):
    """Where preferences lie, and in which layout."""

    format: Literal["pairs", "votes"]
    """ "pairs": "prompt", "chosen" and "rejected", as texts or as lists of messages; "votes": what people said of
    two answers, see docs/votes.md."""
    field: str | None = None
    """The field that holds the prompt of a pair, if it is not "prompt"."""
    consents: tuple[str, ...] = ()
    """Votes: the versions of the consent text that allow this training. Other votes are dropped."""

    @model_validator(mode="after")
    def _votes_have_consents(self) -> Self:
        if self.format == "votes" and not self.consents:
            raise ValueError("votes need `consents`: the versions of the consent text that allow this training")
        if self.format == "pairs" and self.consents:
            raise ValueError("consents mean nothing for pairs: they are for votes")
        if self.format == "votes" and self.field is not None:
            raise ValueError("field means nothing for votes, whose fields have fixed names")
        return self


def refuse_early(params: RowsParameters, sources: Mapping[str, tuple[Source, ...]]) -> None:
    """Judge what can be known before reading: tombstones, the sourcing form, the declared licence."""
    load_tombstones(sources.get(TOMBSTONES, ()))
    sourcing_of(params, sources)
    if params.licence is not None:
        admit(licence_of(params.licence, None, params.source), params.policy, params.source)


@step(
    "corpus.conversations",
    version=1,
    parameters=ConversationsParameters,
    produces="documents",
    preflight=refuse_early,
    obeys_tombstones=True,
)
def conversations(inputs: Inputs, params: ConversationsParameters, out: Output, machine: Machine) -> None:
    """Read conversations (ShareGPT, OpenAI messages, Alpaca) into documents of turns."""
    read_files(_conversations, inputs, params, out, machine)


@step(
    "corpus.preferences",
    version=1,
    parameters=PreferencesParameters,
    produces="documents",
    preflight=refuse_early,
    obeys_tombstones=True,
)
def preferences(inputs: Inputs, params: PreferencesParameters, out: Output, machine: Machine) -> None:
    """Read preferences between two answers (pairs, people's votes) into documents."""
    read_files(_preferences, inputs, params, out, machine)


def _conversations(path: Path, params: ConversationsParameters) -> Iterator[Raw]:
    parse, usual_field = TURNS[params.format]
    for row in read_rows(path):
        try:
            text = format_turns(parse(row.values, params.field or usual_field))
        except ValueError as error:
            yield _malformed(row, error, params)
            continue
        yield _document(row, text, CONVERSATION, {})


def _preferences(path: Path, params: PreferencesParameters) -> Iterator[Raw]:
    for row in read_rows(path):
        try:
            choice = _choice(row, params)
        except ValueError as error:
            yield _malformed(row, error, params)
            continue
        if choice.preference is None:
            yield Raw("", row.fragment, left_out=choice.left_out, detail=choice.detail)
            continue
        yield _document(row, format_preference(choice.preference), PREFERENCE, choice.metadata)


def _choice(row: Row, params: PreferencesParameters) -> Choice:
    if params.format == "votes":
        return vote_choice(row.values, params.consents)
    return pair_choice(row.values, params.field or "prompt")


def _document(row: Row, text: str, form: str, metadata: Mapping[str, str]) -> Raw:
    raw = raw_of(text, row.values, row.fragment)
    raw.metadata.update(metadata, form=form)
    return raw


def _malformed(row: Row, error: ValueError, params: RowsParameters) -> Raw:
    if params.malformed == "stop":
        raise InputError(
            f"{row.place}: {error}", hint='Mend or remove the row, or drop such rows: malformed = "drop".'
        ) from error
    return Raw("", row.fragment, left_out=MALFORMED, detail=str(error))
