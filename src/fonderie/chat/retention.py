"""Sessions that were not seen for long enough are deleted, with everything of theirs: at start, and daily."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from fonderie.chat.consent import expire
from fonderie.serve.database.base import why

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fonderie.serve.database.base import Database

log = logging.getLogger(__name__)

DAY_SECONDS = 86_400.0
AGAIN_SECONDS = 600.0
"""After the database could not be written."""


def delete_old(database: "Database", retention_days: int, now: float) -> int:
    """Delete every session not seen for so many days; how many there were.

    A few at a time, so that nobody who votes meanwhile waits for long.
    """
    deleted = 0
    while True:
        with database.write() as connection:
            found = expire(connection, unseen_since=now - retention_days * DAY_SECONDS, at=now)
        deleted += found
        if not found:
            return deleted


@asynccontextmanager
async def keeping_retention(
    database: "Database",
    retention_days: int,
    *,
    clock: Callable[[], float] = time.time,
    every_seconds: float = DAY_SECONDS,
) -> "AsyncIterator[None]":
    """Delete what is old now, before anybody is answered, and daily for as long as the block lasts."""
    await asyncio.to_thread(delete_old, database, retention_days, clock())
    task = asyncio.create_task(_daily(database, retention_days, clock, every_seconds))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _daily(
    database: "Database", retention_days: int, clock: Callable[[], float], every_seconds: float
) -> None:
    wait = every_seconds
    while True:
        await asyncio.sleep(wait)
        try:
            deleted = await asyncio.to_thread(delete_old, database, retention_days, clock())
        except SQLAlchemyError as error:
            log.error("what is old could not be deleted (%s); it is tried again", why(error))
            wait = min(AGAIN_SECONDS, every_seconds)
        else:
            log.info("%d sessions deleted that were not seen for %d days", deleted, retention_days)
            wait = every_seconds
