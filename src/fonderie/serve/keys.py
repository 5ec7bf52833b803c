"""Keys of the interface: random, shown once, kept as a hash."""

import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from sqlalchemy import Connection, insert, select, update

from fonderie.core.errors import UsageError
from fonderie.serve.database.tables import api_keys

PREFIX = "fonderie-"
"""By which people and scanners of leaked secrets know one."""
KEY_BYTES = 32
LENGTH = len(PREFIX) + len(secrets.token_urlsafe(KEY_BYTES))
NAME_LENGTH = 64

Role = Literal["user", "admin"]


@dataclass(frozen=True)
class Key:
    """One key, without its secret."""

    id: int
    name: str
    role: Role
    per_minute: int | None
    """Requests; None: as the service's default says."""
    per_day_tokens: int | None
    """Of prompts and answers together; None: as many as it likes."""
    created_at: float
    revoked_at: float | None

    @property
    def caller(self) -> str:
        """As its use is counted."""
        return f"key:{self.name}"


_COLUMNS = (
    *(api_keys.c.id, api_keys.c.name, api_keys.c.role, api_keys.c.per_minute, api_keys.c.per_day_tokens),
    *(api_keys.c.created_at, api_keys.c.revoked_at),
)


def add_key(
    connection: Connection,
    name: str,
    now: float,
    *,
    role: Role = "user",
    per_minute: int | None = None,
    per_day_tokens: int | None = None,
) -> str:
    """A new key's secret, which nobody can have again. UsageError for a name that is taken, or none."""
    if not name.strip() or not name.isprintable() or len(name) > NAME_LENGTH:
        raise UsageError(f"{name[:80]!r} is no name for a key: 1 to {NAME_LENGTH} printable characters")
    if _named(connection, name) is not None:
        raise UsageError(
            f"there is a key called {name} already",
            hint="A name is used once, for a revoked key too: the counts of use go by it.",
        )
    secret = PREFIX + secrets.token_urlsafe(KEY_BYTES)
    connection.execute(
        insert(api_keys).values(
            name=name,
            hash=_hash(secret),
            role=role,
            per_minute=per_minute,
            per_day_tokens=per_day_tokens,
            created_at=now,
        )
    )
    return secret


def list_keys(connection: Connection) -> list[Key]:
    """Every key, revoked ones too, in the order they were made."""
    return [Key(*row) for row in connection.execute(select(*_COLUMNS).order_by(api_keys.c.id))]


def revoke_key(connection: Connection, name: str, now: float) -> None:
    """End a key; a service that runs refuses it from the next request on. UsageError if there is none."""
    found = _named(connection, name)
    if found is None:
        raise UsageError(f"there is no key called {name[:80]}", hint="fonderie keys list")
    if found.revoked_at is not None:
        raise UsageError(f"the key {name} was revoked already")
    connection.execute(update(api_keys).where(api_keys.c.id == found.id).values(revoked_at=now))


def find_key(connection: Connection, secret: str) -> Key | None:
    """The key of a secret, revoked or not; None if nobody was given it."""
    if not secret.startswith(PREFIX) or len(secret) != LENGTH:
        return None
    # No salt and no slow hash: there is nothing to guess in 256 random bits. And no time to measure: what is looked
    # up is the hash, of which nobody who tries a secret can choose the first bytes.
    row = connection.execute(select(*_COLUMNS).where(api_keys.c.hash == _hash(secret))).one_or_none()
    return None if row is None else Key(*row)


def _named(connection: Connection, name: str) -> Key | None:
    row = connection.execute(select(*_COLUMNS).where(api_keys.c.name == name)).one_or_none()
    return None if row is None else Key(*row)


def _hash(secret: str) -> str:
    return sha256(secret.encode("utf-8")).hexdigest()
