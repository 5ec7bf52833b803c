"""Whether the service is open: to everyone or to the invited, or closed; said by one process, obeyed by another.

The state is one row of the table `settings`: it survives a restart, and any process that reaches the database can
close the service: `fonderie serve --close`, or the admin's page. The process that serves looks twice a second.
A switch that nobody can read any more is taken for closed.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from fonderie.serve.api.errors import ApiError
from fonderie.serve.database.base import Database
from fonderie.serve.database.tables import settings

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""Between two looks at the switch: with the wake-up of a thread and a transaction, well within a second."""
UNREADABLE_SECONDS = 15.0
"""So long after the last time that the switch could be read, the service counts as closed."""
RETRY_SECONDS = 600
"""When a client may ask again of a closed service; those that retry by themselves give up on so long a wait."""
STOPPING_SECONDS = 30
"""When a client may ask again of a process that ends: another is there by then, if one is to come."""

_STATE, _OBEYED = "state", "obeyed"

StageName = Literal["open", "invite"]


class Closed(BaseModel):
    """Why nobody is answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    message: str
    """What the operator says, shown as written; empty for the standing text alone."""
    since: float
    """Seconds since 1970."""
    now: bool
    """Whether answers that were running were cut off, instead of finished."""


class State(BaseModel):
    """What the switch says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: StageName = "open"
    """To whom it is open when it is not closed: "invite" asks for a code on the pages, for a key on the API."""
    closed: Closed | None = None
    change: str = ""
    """Names the change that led here; the process that serves repeats it once it has obeyed."""


def read_state(connection: Connection, *, to_change: bool = False) -> State:
    """What the switch says; open to everyone where it was never touched."""
    query = select(settings.c.value).where(settings.c.key == _STATE)
    found = connection.scalar(query.with_for_update() if to_change else query)
    return State() if found is None else State.model_validate(found)


def open_to(connection: Connection, stage: StageName, at: float) -> State:
    """Set the stage; a closed service stays closed."""
    return _change(connection, at, stage=stage)


def close(connection: Connection, at: float, *, message: str = "", now: bool = False) -> State:
    """Close; with `now`, running answers are cut off."""
    return _change(connection, at, closed=Closed(message=message, since=at, now=now))


def reopen(connection: Connection, at: float) -> State:
    """End the closing; the stage is as it was."""
    return _change(connection, at, closed=None)


def obeyed(connection: Connection, state: State) -> bool:
    """Whether the process that serves has taken this state up."""
    found = connection.scalar(select(settings.c.value).where(settings.c.key == _OBEYED))
    return bool(found is not None and found["change"] == state.change)


def _change(connection: Connection, at: float, **values: Any) -> State:
    before = read_state(connection, to_change=True)
    state = before.model_copy(update={**values, "change": secrets.token_hex(8)})
    _put(connection, _STATE, state.model_dump(), at)
    return state


def _put(connection: Connection, key: str, value: dict[str, Any], at: float) -> None:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    row = {"value": value, "at": at}
    connection.execute(
        dialect.insert(settings)
        .values(key=key, **row)
        .on_conflict_do_update(index_elements=[settings.c.key], set_=row)
    )


class Stage:
    """The switch as the process that serves sees it; made and asked in its event loop.

    `now_closed` is called when it is closed with `now`, to cut off what runs.
    """

    def __init__(
        self,
        database: Database,
        *,
        now_closed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._database, self._now_closed, self._clock, self._poll = database, now_closed, clock, poll_seconds
        self._state = self._read()
        self._acknowledge(self._state)
        self._read_at = time.monotonic()
        self.draining = False
        """Whether the process is about to end, and takes nothing more."""

    def current(self) -> State:
        """What the switch said when it was looked at last; closed if that is too long ago."""
        if time.monotonic() - self._read_at > UNREADABLE_SECONDS:
            return self._state.model_copy(
                update={"closed": Closed(message="", since=self._clock(), now=False), "change": ""}
            )
        return self._state

    def refuse_closed(self) -> None:
        """ApiError 503 while the service is closed, or the process is about to end."""
        if self.draining:
            raise ApiError(
                503,
                "the service is stopping, and finishes what runs",
                code="unavailable",
                retry_after_seconds=STOPPING_SECONDS,
            )
        closed = self.current().closed
        if closed is not None:
            raise ApiError(
                503,
                f"the service is closed{f': {closed.message}' if closed.message else ''}",
                code="closed",
                retry_after_seconds=RETRY_SECONDS,
            )

    def drain(self) -> None:
        """Take nothing more: the process is about to end."""
        self.draining = True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look at the switch twice a second for as long as the block lasts."""
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def look(self) -> None:
        """Look at the switch now, obey, and say so where those who turned it can read it."""
        state = await asyncio.to_thread(self._read)
        before, self._state, self._read_at = self._state, state, time.monotonic()
        if state.change == before.change:
            return
        if state.closed is not None and state.closed.now:
            self._now_closed()
        await asyncio.to_thread(self._acknowledge, state)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._poll)
            try:
                await self.look()
            except Exception as error:  # whatever it is, the next look may succeed; if not, the service closes
                log.error("the switch of the service cannot be read: %s", type(error).__name__)

    def _read(self) -> State:
        with self._database.read() as connection:
            return read_state(connection)

    def _acknowledge(self, state: State) -> None:
        if state.change:
            with self._database.write() as connection:
                _put(connection, _OBEYED, {"change": state.change}, self._clock())
