"""Whether the service is open: to everyone or to the invited, or closed; said by one process, obeyed by another.

The state is one row of the table `settings`: it survives a restart, and any process that reaches the database can
close the service: `fonderie serve --close`, or the admin's page. Each process that serves looks twice a second, and
has a row of its own, in which it repeats the change that it has obeyed: so it is known when all of them have.
A switch that nobody can read any more is taken for closed.
"""

import asyncio
import logging
import math
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from fonderie.serve.api.errors import ApiError
from fonderie.serve.database.base import Database, why
from fonderie.serve.database.settings import delete_settings, read_setting, read_settings, write_setting

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""Between two looks at the switch: with the wake-up of a thread and a transaction, well within a second."""
UNREADABLE_SECONDS = 15.0
"""So long after the last time that the switch could be read, the service counts as closed."""
SAY_AGAIN_SECONDS = 60.0
"""Between two lines of the log on a switch that cannot be read."""
RETRY_SECONDS = 600
"""When a client may ask again of a closed service; those that retry by themselves give up on so long a wait."""
STOPPING_SECONDS = 30
"""When a client may ask again of a process that ends: another is there by then, if one is to come."""

DAY_SECONDS = 86_400.0
SIGN_SECONDS = 15.0
"""Between two signs of life of a process that serves."""
ALIVE_SECONDS = 60.0
"""So long after its last sign of life a process counts as gone; one that was killed cannot say goodbye. Clocks of
several machines may be apart by as much, less a sign."""

_STATE, _SERVING = "state", "serving."

StageName = Literal["open", "invite"]
Language = Literal["fr", "en"]


class Closed(BaseModel):
    """Why nobody is answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    message: str
    """What the operator says, shown as written; empty for the standing text alone."""
    in_language: dict[Language, str] = Field(default_factory=dict)
    """What those read instead whose language it is."""
    since: float
    """Seconds since 1970."""
    now: bool
    """Whether answers that were running were cut off, instead of finished."""

    def said(self, language: Language | None = None) -> str:
        """The operator's message to readers of a language; without one of theirs, what there is."""
        own = self.in_language.get(language, "") if language else ""
        return own or self.message or " / ".join(dict.fromkeys(self.in_language.values()))


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
    found = read_setting(connection, _STATE, to_change=to_change)
    return State() if found is None else State.model_validate(found)


def open_to(connection: Connection, stage: StageName, at: float) -> State:
    """Set the stage; a closed service stays closed."""
    return _change(connection, at, stage=stage)


def close(
    connection: Connection,
    at: float,
    *,
    message: str = "",
    in_language: Mapping[Language, str] | None = None,
    now: bool = False,
) -> State:
    """Close; with `now`, running answers are cut off."""
    own = {language: text for language, text in (in_language or {}).items() if text}
    return _change(connection, at, closed=Closed(message=message, in_language=own, since=at, now=now))


def reopen(connection: Connection, at: float) -> State:
    """End the closing; the stage is as it was."""
    return _change(connection, at, closed=None)


@dataclass(frozen=True)
class Serving:
    """The processes that serve."""

    number: int
    behind: int
    """Those that have not taken up what the switch says."""


def serving(connection: Connection, state: State, at: float) -> Serving:
    """How many processes serve on this database, and how many of them have not obeyed yet."""
    alive = [
        value["change"] == state.change
        for value, sign in read_settings(connection, _SERVING).values()
        if abs(at - sign) <= ALIVE_SECONDS
    ]
    return Serving(len(alive), alive.count(False))


def _change(connection: Connection, at: float, **values: Any) -> State:
    before = read_state(connection, to_change=True)
    state = before.model_copy(update={**values, "change": secrets.token_hex(8)})
    write_setting(connection, _STATE, state.model_dump(), at)
    return state


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
        self._name = f"{_SERVING}{secrets.token_hex(8)}"
        self._state = self._read()
        self._sign(self._state)
        self._read_at = self._signed_at = time.monotonic()
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
            said = closed.said()
            error = ApiError(
                503,
                f"the service is closed{f': {said}' if said else ''}",
                code="closed",
                retry_after_seconds=RETRY_SECONDS,
            )
            if closed.in_language:
                error.more["messages"] = dict(closed.in_language)
            raise error

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
            await asyncio.to_thread(self._say_goodbye)

    async def look(self) -> None:
        """Look at the switch now, obey, and say so where those who turned it can read it."""
        state = await asyncio.to_thread(self._read)
        before, self._state, self._read_at = self._state, state, time.monotonic()
        changed = state.change != before.change
        if changed and state.closed is not None and state.closed.now:
            self._now_closed()
        if changed or self._read_at - self._signed_at > SIGN_SECONDS:
            self._signed_at = self._read_at  # if it cannot be written, it is not tried at every look
            await asyncio.to_thread(self._sign, state)

    async def _watch(self) -> None:
        said_at = -math.inf
        while True:
            await asyncio.sleep(self._poll)
            try:
                await self.look()
            except Exception as error:  # whatever it is, the next look may succeed; if not, the service closes
                if time.monotonic() - said_at >= SAY_AGAIN_SECONDS:
                    said_at = time.monotonic()
                    what = why(error) if isinstance(error, SQLAlchemyError) else type(error).__name__
                    log.error("the switch of the service cannot be read, or obeying it be noted: %s", what)

    def _read(self) -> State:
        with self._database.read() as connection:
            return read_state(connection)

    def _sign(self, state: State) -> None:
        """Note that this process is there, and what it has obeyed."""
        with self._database.write() as connection:
            write_setting(connection, self._name, {"change": state.change}, self._clock())

    def _say_goodbye(self) -> None:
        try:
            with self._database.write() as connection:
                delete_settings(connection, self._name)
                # Nor will those that were killed.
                delete_settings(connection, _SERVING, before=self._clock() - DAY_SECONDS)
        except SQLAlchemyError as error:
            log.error("that this process ends could not be noted: %s", why(error))
