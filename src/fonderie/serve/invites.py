"""Codes that let people in while the service is open to the invited only; kept as SHA-256, shown once."""

import hashlib
import secrets
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from fonderie.serve.database.tables import invites, sessions

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without letters and digits that look alike: people copy codes from paper."""
_GROUPS, _GROUP = 4, 5
"""20 characters of 31: 99 random bits, so that no salt is needed against guessing."""


@dataclass(frozen=True)
class Invite:
    """A code as it is listed: never the code itself."""

    id: int
    note: str
    uses_left: int
    created_at: float


def make_invite(connection: Connection, at: float, *, uses: int = 1, note: str = "") -> str:
    """A new code for so many sessions, as abcde-fghjk-mnpqr-stuvw."""
    code = "-".join("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))
    connection.execute(insert(invites).values(hash=_hash(code), note=note, uses_left=uses, created_at=at))
    return code


def list_invites(connection: Connection) -> list[Invite]:
    """Every code that was made, the oldest first."""
    columns = (invites.c.id, invites.c.note, invites.c.uses_left, invites.c.created_at)
    return [Invite(*row) for row in connection.execute(select(*columns).order_by(invites.c.id))]


def find_invite(connection: Connection, code: str) -> int | None:
    """The id of a code that has uses left; None for any other text."""
    found: int | None = connection.scalar(
        select(invites.c.id).where(invites.c.hash == _hash(code), invites.c.uses_left > 0)
    )
    return found


def accept_invite(connection: Connection, code: str, session_id: int) -> bool:
    """Bind a session to a code, which uses it up once; whether the code was good.

    A session that is bound already stays so, and uses nothing up.
    """
    if invited(connection, session_id):
        return True
    invite = find_invite(connection, code)
    if invite is None:
        return False
    # In one statement with its condition: of two who come at once with the last use, one gets it.
    used = connection.execute(
        update(invites)
        .where(invites.c.id == invite, invites.c.uses_left > 0)
        .values(uses_left=invites.c.uses_left - 1)
    )
    if used.rowcount != 1:
        return False
    connection.execute(update(sessions).where(sessions.c.id == session_id).values(invite_id=invite))
    return True


def invited(connection: Connection, session_id: int) -> bool:
    """Whether a session has been let in by a code."""
    found = connection.scalar(select(sessions.c.invite_id).where(sessions.c.id == session_id))
    return found is not None


def _hash(code: str) -> str:
    """Of the code without case, spaces and dashes, which people lose."""
    plain = "".join(character for character in code.casefold() if character.isalnum())
    return hashlib.sha256(plain.encode()).hexdigest()
