"""The table of settings: what one service has to remember of itself, a JSON value by its name."""

from typing import Any

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from fonderie.serve.database.tables import settings


def read_setting(connection: Connection, key: str, *, to_change: bool = False) -> Any:
    """A value; None if it was never written. `to_change` keeps others waiting until this transaction ends."""
    query = select(settings.c.value).where(settings.c.key == key)
    return connection.scalar(query.with_for_update() if to_change else query)


def write_setting(connection: Connection, key: str, value: Any, at: float) -> None:
    """Write a value in place of what was there."""
    row = {"value": value, "at": at}
    written = _insert(connection).values(key=key, **row)
    connection.execute(written.on_conflict_do_update(index_elements=[settings.c.key], set_=row))


def hold_setting(connection: Connection, key: str, at: float) -> Any:
    """As `read_setting` to change, of a value that may not be there yet: then it is null, and held all the same."""
    fresh = _insert(connection).values(key=key, value=None, at=at)
    connection.execute(fresh.on_conflict_do_nothing(index_elements=[settings.c.key]))
    return read_setting(connection, key, to_change=True)


def read_settings(connection: Connection, prefix: str) -> dict[str, tuple[Any, float]]:
    """Values, and when they were written, by those of their names that begin so."""
    query = select(settings.c.key, settings.c.value, settings.c.at).where(settings.c.key.startswith(prefix))
    return {key: (value, at) for key, value, at in connection.execute(query)}


def delete_settings(connection: Connection, prefix: str, *, before: float | None = None) -> None:
    """Delete values whose names begin so; with `before`, those alone that were written before a time."""
    these = settings.c.key.startswith(prefix)
    connection.execute(delete(settings).where(these if before is None else these & (settings.c.at < before)))


def _insert(connection: Connection) -> Any:
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(settings)
