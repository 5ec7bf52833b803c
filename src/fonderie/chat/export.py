"""Publishing what people judged: a data set of those who agreed to it, without personal data.

    OUT/README.md                  the data card, with the head that the Hugging Face hub reads
    OUT/data/votes.parquet         one row for each vote of a duel, as docs/votes.md says; fonderie.corpus reads it
    OUT/data/thumbs.parquet        one row for each opinion of one answer of the chat
    OUT/data/preferences.parquet   of both, answers that were preferred to another, as trainings of pairs read them
    OUT/tombstones.json            conversations that an earlier export held and that may be used no more

A conversation in which personal data are recognised is left out whole. Names of conversations are drawn at random
when they are first published, and stay.
"""

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, insert, select

from fonderie.chat.judged import new_id
from fonderie.chat.publishable import AT_ONCE, Find, Judged, Searched, find_personal_data, publishable, search
from fonderie.chat.rows import (
    Licence,
    day_of,
    preferred_by_thumbs,
    preferred_by_vote,
    thumb_row,
    vote_rows,
)
from fonderie.core.errors import InputError, UsageError
from fonderie.corpus.thumbs import PREFERENCE_SCHEMA, THUMB_SCHEMA, Preferred, Thumb
from fonderie.corpus.votes import VOTE_SCHEMA, Vote
from fonderie.serve.database.base import Database
from fonderie.serve.database.tables import consents, conversations, published, tombstones

if TYPE_CHECKING:
    import pyarrow as pa

TOMBSTONES_FORMAT = 1


@dataclass(frozen=True)
class Exported:
    """What an export holds, and what it left out."""

    votes: int
    thumbs: int
    preferences: int
    conversations: int
    with_personal_data: int
    """Conversations left out, with those that they go on from."""
    personal_data: Mapping[str, int]
    """How many of them held each kind."""
    tombstones: int


@dataclass(frozen=True)
class _Rows:
    votes: tuple[Vote, ...]
    thumbs: tuple[Thumb, ...]
    preferences: tuple[Preferred, ...]


def export(database: Database, out: Path, *, licence: Licence, at: float, find: Find | None = None) -> Exported:
    """Write the data set into a new folder. UsageError if it holds something or cannot be written, InputError if
    nothing may be said.
    """
    try:
        with _new_folder(out) as staging:
            return _export(database, staging, licence=licence, at=at, find=find or find_personal_data)
    except OSError as error:
        raise UsageError(
            f"{out} cannot be written: {error.strerror or error}",
            hint="Name a folder that is yours, where there is room.",
        ) from error


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """Where to write: it has the folder's name when the block has ended well, and is gone otherwise."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(
            f"{out} is there already", hint="Name a new folder: an export that was published stays so."
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield staging
        staging.chmod(0o755)
        staging.replace(out)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _export(database: Database, out: Path, *, licence: Licence, at: float, find: Find) -> Exported:
    # Searching takes minutes where there is much: nobody who wants to be forgotten waits for it.
    with database.read() as connection:
        candidates = list(publishable(connection))
    searched = search(candidates, find)
    with database.write() as connection:
        names = _publish(connection, searched, at)
        listed = select(tombstones.c.public_id, tombstones.c.at).order_by(tombstones.c.public_id)
        buried = [(row.public_id, row.at) for row in connection.execute(listed)]
    rows = _rows([judged for judged in searched.clean if judged.conversation.id in names], names, licence)
    if not names and not buried:
        raise InputError(
            "there is no vote and no thumb that may be published",
            hint="Only those of people who agreed to publication, without personal data, are.",
        )
    done = Exported(
        votes=len(rows.votes),
        thumbs=len(rows.thumbs),
        preferences=len(rows.preferences),
        conversations=len(names),
        with_personal_data=len(searched.excluded),
        personal_data=searched.kinds,
        tombstones=len(buried),
    )
    _write(out, rows, buried, _card(rows, done, licence, at))
    return done


def counted(number: int, what: str) -> str:
    """So many of something, in English words."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _publish(connection: Connection, searched: Searched, at: float) -> dict[str, str]:
    """The public names of conversations that may still be published now; new ones for those that had none.

    What an earlier export held, and is seen to hold personal data now, gets a tombstone.
    """
    names: dict[str, str] = {}
    clean, excluded = ([judged.conversation.id for judged in part] for part in (searched.clean, searched.excluded))
    for first in range(0, len(clean), AT_ONCE):
        part = clean[first : first + AT_ONCE]
        agreed = select(conversations.c.id).join(consents, consents.c.id == conversations.c.consent_id)
        still = set(connection.scalars(agreed.where(conversations.c.id.in_(part), consents.c.publication)))
        known = select(published.c.conversation_id, published.c.public_id)
        mine = known.where(published.c.conversation_id.in_(part))
        there = {row.conversation_id: row.public_id for row in connection.execute(mine)}
        fresh = {name: new_id() for name in part if name in still and name not in there}
        if fresh:
            new = [{"conversation_id": name, "public_id": fresh[name], "first_at": at} for name in fresh]
            connection.execute(insert(published), new)
        names |= {name: public for name, public in (there | fresh).items() if name in still}
    for first in range(0, len(excluded), AT_ONCE):
        theirs = published.c.conversation_id.in_(excluded[first : first + AT_ONCE])
        for public_id in list(connection.scalars(select(published.c.public_id).where(theirs))):
            connection.execute(insert(tombstones).values(public_id=public_id, at=at))
        connection.execute(delete(published).where(theirs))
    return names


def _rows(kept: Sequence[Judged], names: Mapping[str, str], licence: Licence) -> _Rows:
    """In an order that says nothing of when, within a day, or by whom."""
    public = {judged.conversation.id: names[judged.conversation.id] for judged in kept}
    votes = [row for one in kept for row in vote_rows(one, public[one.conversation.id], licence)]
    opinions = sorted((one.opinion.at, public[one.conversation.id], one) for one in kept if one.opinion)
    thumbs = {name: thumb_row(one, name, licence) for _, name, one in opinions}
    preferred = [
        *preferred_by_vote(votes),
        *preferred_by_thumbs(thumbs, {name: one.session for _, name, one in opinions}),
    ]
    return _Rows(
        votes=tuple(sorted(votes, key=lambda row: (row.created, row.conversation, row.turn))),
        thumbs=tuple(sorted(thumbs.values(), key=lambda row: (row.created, row.conversation))),
        preferences=tuple(sorted(preferred, key=lambda row: (row.created, row.conversations))),
    )


def _write(out: Path, rows: _Rows, buried: Sequence[tuple[str, float]], card: str) -> None:
    (out / "data").mkdir()
    _write_table(out / "data" / "votes.parquet", rows.votes, VOTE_SCHEMA)
    _write_table(out / "data" / "thumbs.parquet", rows.thumbs, THUMB_SCHEMA)
    _write_table(out / "data" / "preferences.parquet", rows.preferences, PREFERENCE_SCHEMA)
    stones = [{"conversation": name, "on": day_of(when)} for name, when in buried]
    listed = {"format": TOMBSTONES_FORMAT, "conversations": stones}
    (out / "tombstones.json").write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
    (out / "README.md").write_text(card, encoding="utf-8")


def _write_table(path: Path, rows: Sequence[Vote | Thumb | Preferred], schema: "pa.Schema") -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist([row.model_dump(mode="json") for row in rows], schema)
    pq.write_table(table, path, compression="zstd")


def _card(rows: _Rows, done: Exported, licence: Licence, at: float) -> str:
    import jinja2

    from fonderie.corpus.personal.kinds import KINDS
    from fonderie.release.cards.hub_terms import hub_licence, size_class
    from fonderie.release.writing.tables import cell

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fonderie.chat", "."),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown: `cell` escapes what releases are called
    )
    environment.filters["cell"], environment.filters["counted"] = cell, counted
    every: list[Vote | Thumb] = [*rows.votes, *rows.thumbs]
    answers: list[Any] = [answer for row in rows.votes for answer in (row.a, row.b)] + [*rows.thumbs]
    return environment.get_template("votes_card.md.jinja").render(
        day=day_of(at),
        days=sorted({row.created for row in every}),
        done=done,
        licence=licence,
        hub_licence=hub_licence(licence),
        size=size_class(len(every)),
        languages=sorted({row.language for row in every if row.language}),
        choices=Counter(row.vote for row in rows.votes),
        good=sum(row.label for row in rows.thumbs),
        by=Counter(row.by for row in rows.preferences),
        consents=sorted({row.consent for row in every}),
        models=sorted(Counter((answer.model, answer.digest, answer.settings) for answer in answers).items()),
        kinds=KINDS,
    )
