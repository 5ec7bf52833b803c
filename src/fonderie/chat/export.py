"""Publishing votes: a data set of the duels whose people agreed to it, without personal data.

    OUT/README.md               the data card, with the head that the Hugging Face hub reads
    OUT/data/votes.parquet      one row for each vote, as docs/votes.md says; fonderie.corpus reads it
    OUT/tombstones.json         conversations that an earlier export held and that may be used no more

A conversation in which personal data are recognised is left out whole. Names of conversations are drawn at random
when they are first published, and stay.
"""

import hashlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import Connection, delete, insert, select

from fonderie.chat.judged import SIDES, Contender, Conversation, Side, Turn, new_id
from fonderie.core.errors import InputError, UsageError
from fonderie.corpus.votes import VOTE_SCHEMA, Answer, Message, Vote
from fonderie.serve.database.base import Database
from fonderie.serve.database.tables import (
    consents,
    contenders,
    conversations,
    published,
    tombstones,
    turns,
    votes,
)

Licence = Literal["CC-BY-4.0", "etalab-2.0"]
"""Those that the text of the consent names, and no other."""
Find = Callable[[str], Collection[str]]
"""Which kinds of personal data a text holds."""

TOMBSTONES_FORMAT: Final = 1
_AT_ONCE: Final = 200


@dataclass(frozen=True)
class Judged:
    """A conversation with the votes on it that count."""

    conversation: Conversation
    consent: str
    """The version of the text that the person accepted."""
    votes: tuple[tuple[int, str, Mapping[str, Sequence[str]], float], ...]
    """Position, choice, reasons by side, and when."""


@dataclass(frozen=True)
class Exported:
    """What an export holds, and what it left out."""

    rows: int
    conversations: int
    with_personal_data: int
    """Conversations left out."""
    personal_data: Mapping[str, int]
    """How many of them held each kind."""
    tombstones: int


def export(database: Database, out: Path, *, licence: Licence, at: float, find: Find | None = None) -> Exported:
    """Write the data set into a new folder; UsageError if it holds something, InputError if nothing may be said."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(
            f"{out} is there already", hint="Name a new folder: an export that was published stays so."
        )
    search, clean, found = find or find_personal_data, [], Counter[str]()
    excluded = []
    # Searching takes minutes where there is much: nobody who wants to be forgotten waits for it.
    with database.read() as connection:
        candidates = list(_publishable(connection))
    for judged in candidates:
        kinds = {kind for turn in judged.conversation.turns for kind in search(turn.text)}
        found.update(kinds)
        if kinds:
            excluded.append(judged.conversation.id)
        else:
            clean.append(judged)
    with database.write() as connection:
        names = _publish(connection, [judged.conversation.id for judged in clean], excluded, at)
        listed = select(tombstones.c.public_id, tombstones.c.at).order_by(tombstones.c.public_id)
        buried = [(row.public_id, row.at) for row in connection.execute(listed)]
    rows = sorted(
        (row for judged in clean if judged.conversation.id in names for row in _rows(judged, names, licence)),
        key=lambda row: (row.created, row.conversation, row.turn),
    )
    if not rows and not buried:
        raise InputError(
            "there is no vote that may be published",
            hint="Only votes of people who agreed to publication, without personal data, are.",
        )
    done = Exported(
        rows=len(rows),
        conversations=len({row.conversation for row in rows}),
        with_personal_data=len(excluded),
        personal_data=dict(sorted(found.items())),
        tombstones=len(buried),
    )
    _write(out, rows, buried, _card(rows, done, licence, at))
    return done


def find_personal_data(text: str) -> Collection[str]:
    """What corpus.redact would replace, of every kind that it knows."""
    from fonderie.corpus.personal.kinds import KINDS
    from fonderie.corpus.redact import redact_text

    return redact_text(text, KINDS)[1]


# ── What may be published ───────────────────────────────────────────────────────────────────────────────────────


def _publishable(connection: Connection) -> Iterator[Judged]:
    """Duels kept under a consent to publish, with at least one vote that counts."""
    heads = (
        select(conversations.c.id, conversations.c.locale, conversations.c.started_at, consents.c.version)
        .join(consents, consents.c.id == conversations.c.consent_id)
        .where(consents.c.publication, conversations.c.kind == "duel")
        .order_by(conversations.c.id)
    )
    rows = connection.execute(heads).all()
    for first in range(0, len(rows), _AT_ONCE):
        part = rows[first : first + _AT_ONCE]
        ids = [row.id for row in part]
        ballots, sides, said = _ballots(connection, ids), _sides(connection, ids), _turns(connection, ids)
        for row in part:
            if row.id in ballots:
                whole = Conversation(row.id, "duel", row.locale, row.started_at, sides[row.id], tuple(said[row.id]))
                yield Judged(whole, row.version, tuple(ballots[row.id]))


def _ballots(connection: Connection, ids: list[str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    query = select(votes).where(votes.c.conversation_id.in_(ids)).order_by(votes.c.position)
    for row in connection.execute(query):
        if not row.doubts:
            found.setdefault(row.conversation_id, []).append((row.position, row.choice, row.reasons, row.at))
    return found


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


def _publish(connection: Connection, clean: list[str], excluded: list[str], at: float) -> dict[str, str]:
    """The public names of conversations that may still be published now; new ones for those that had none.

    What an earlier export held, and is seen to hold personal data now, gets a tombstone.
    """
    names: dict[str, str] = {}
    for first in range(0, len(clean), _AT_ONCE):
        part = clean[first : first + _AT_ONCE]
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
    for first in range(0, len(excluded), _AT_ONCE):
        theirs = published.c.conversation_id.in_(excluded[first : first + _AT_ONCE])
        for public_id in list(connection.scalars(select(published.c.public_id).where(theirs))):
            connection.execute(insert(tombstones).values(public_id=public_id, at=at))
        connection.execute(delete(published).where(theirs))
    return names


# ── Rows ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _rows(judged: Judged, names: Mapping[str, str], licence: Licence) -> Iterator[Vote]:
    name, whole = names[judged.conversation.id], judged.conversation
    for position, choice, reasons, at in judged.votes:
        texts = {side: answer.text for side in SIDES if (answer := whole.answer(position, side))}
        # A model that says nothing has answered nothing that could be read or learnt from.
        if len(texts) < len(SIDES) or not all(text.strip() for text in texts.values()):
            continue
        seen = {side: whole.seen_by(side, position) for side in SIDES}
        before = {side: tuple(turn.text for turn in seen[side] if turn.role == "assistant") for side in SIDES}
        apart = before["a"] != before["b"]
        if apart and not all(text.strip() for side in SIDES for text in before[side]):
            continue
        asked = [turn for turn in seen["a"] if turn.text.strip() and not (apart and turn.role == "assistant")]
        turn_number = sum(turn.role == "user" for turn in seen["a"]) - 1
        answers = {
            side: Answer(
                content=texts[side],
                model=whole.contenders[side].name,
                digest=whole.contenders[side].model_digest,
                settings=json.dumps(dict(whole.contenders[side].settings), sort_keys=True),
                before=before[side] if apart else (),
                reasons=tuple(reasons.get(side, ())),
            )
            for side in SIDES
        }
        yield Vote(
            id="sha256:" + hashlib.sha256(f"{name} {turn_number}".encode()).hexdigest(),
            created=_day(at),
            language=_language(*(turn.text for turn in asked), *texts.values()),
            licence=licence,
            consent=judged.consent,
            conversation=name,
            turn=turn_number,
            messages=tuple(Message(role=turn.role, content=turn.text) for turn in asked),
            a=answers["a"],
            b=answers["b"],
            vote=choice,
        )


def _language(*texts: str) -> str | None:
    """ISO 639 code, of what was said and not of the page it was said on; None where nobody could tell."""
    from fonderie.corpus.measures import UNDETERMINED, language

    found = language(" ".join(texts))
    return None if found == UNDETERMINED else found


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()


# ── Files ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _write(
    out: Path,
    rows: list[Vote],
    buried: Sequence[tuple[str, float]],
    card: str,
) -> None:
    """All of it or nothing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    out.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        (staging / "data").mkdir()
        table = pa.Table.from_pylist([row.model_dump(mode="json") for row in rows], VOTE_SCHEMA)
        pq.write_table(table, staging / "data" / "votes.parquet", compression="zstd")
        stones = [{"conversation": name, "on": _day(when)} for name, when in buried]
        listed = {"format": TOMBSTONES_FORMAT, "conversations": stones}
        (staging / "tombstones.json").write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
        (staging / "README.md").write_text(card, encoding="utf-8")
        staging.chmod(0o755)
        staging.replace(out)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _card(rows: Sequence[Vote], done: Exported, licence: Licence, at: float) -> str:
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
    environment.filters["cell"] = cell
    models = Counter((answer.model, answer.digest, answer.settings) for row in rows for answer in (row.a, row.b))
    return environment.get_template("votes_card.md.jinja").render(
        day=_day(at),
        days=sorted({row.created for row in rows}),
        done=done,
        licence=licence,
        hub_licence=hub_licence(licence),
        size=size_class(len(rows)),
        languages=sorted({row.language for row in rows if row.language}),
        choices=Counter(row.vote for row in rows),
        consents=sorted({row.consent for row in rows}),
        models=sorted(models.items()),
        kinds=KINDS,
    )
