"""What was used, by day and caller: counted in memory, added to the database about once a second."""

import asyncio
import logging
import math
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from fonderie.serve.database.base import Database, why
from fonderie.serve.database.tables import usage

log = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
"""A process that is killed forgets this much use. Each answer on its own would wait for the disk every time."""
SAY_AGAIN_SECONDS = 60.0
"""Between two lines of the log on a database that takes nothing."""
PUBLIC = "public"
"""Everybody without a key, together."""
DAY_SECONDS = 86400


@dataclass
class Used:
    """Of one caller on one day."""

    requests: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0

    def add(self, other: "Used") -> None:
        """And these."""
        self.requests += other.requests
        self.prompt_tokens += other.prompt_tokens
        self.answer_tokens += other.answer_tokens

    @property
    def tokens(self) -> int:
        """Of prompts and answers."""
        return self.prompt_tokens + self.answer_tokens


_Counts = defaultdict[tuple[str, str], Used]
"""By day and caller."""


class Counter:
    """Counts; used in one event loop."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database, self._clock = database, clock
        self._new, self._writing = _Counts(Used), _Counts(Used)
        self._said_at = -math.inf

    def add(self, caller: str, *, requests: int = 0, prompt_tokens: int = 0, answer_tokens: int = 0) -> None:
        """Count something, on today."""
        self._new[day_of(self._clock()), caller].add(Used(requests, prompt_tokens, answer_tokens))

    def unwritten(self, caller: str) -> int:
        """Tokens of today that the database may not know of yet."""
        place = day_of(self._clock()), caller
        return sum(counts[place].tokens for counts in (self._new, self._writing) if place in counts)

    async def flush(self) -> None:
        """Add what was counted to the database; what cannot be added is kept for the next time."""
        if self._writing or not self._new:
            return
        self._writing, self._new = self._new, _Counts(Used)
        try:
            await asyncio.to_thread(self._write, dict(self._writing))
        except SQLAlchemyError as error:
            if time.monotonic() - self._said_at >= SAY_AGAIN_SECONDS:
                self._said_at = time.monotonic()
                log.error("use cannot be written down, and is kept in memory: %s", why(error))
            for place, used in self._writing.items():
                self._new[place].add(used)
        self._writing = _Counts(Used)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write about once a second for as long as the block lasts, and at its end."""

        ended = asyncio.Event()

        async def go_on() -> None:
            while not ended.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), FLUSH_SECONDS)
                await self.flush()

        task = asyncio.create_task(go_on())
        try:
            yield
        finally:
            ended.set()  # not cancelled: a write that is in its thread would end without our knowing how
            await task
            await self.flush()

    def _write(self, counted: dict[tuple[str, str], Used]) -> None:
        with self._database.write() as connection:
            for (day, caller), used in counted.items():
                add_used(connection, day, caller, used)


def add_used(connection: Connection, day: str, caller: str, used: Used) -> None:
    """Add to a day's counts; several processes may."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    values = {name: getattr(used, name) for name in ("requests", "prompt_tokens", "answer_tokens")}
    connection.execute(
        dialect.insert(usage)
        .values(day=day, caller=caller, **values)
        .on_conflict_do_update(
            index_elements=[usage.c.day, usage.c.caller],
            set_={name: usage.c[name] + value for name, value in values.items()},
        )
    )


def used_on(connection: Connection, day: str, caller: str) -> Used:
    """What the database knows of one caller's day."""
    row = connection.execute(
        select(usage.c.requests, usage.c.prompt_tokens, usage.c.answer_tokens).where(
            usage.c.day == day, usage.c.caller == caller
        )
    ).one_or_none()
    return Used() if row is None else Used(*row)


def day_of(now: float) -> str:
    """A time's day, UTC: 2026-11-26."""
    return datetime.fromtimestamp(now, UTC).date().isoformat()


def seconds_left_today(now: float) -> int:
    """Until the next day begins, UTC; 1 at least."""
    return max(1, DAY_SECONDS - int(now) % DAY_SECONDS)
