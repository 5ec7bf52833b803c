"""Answers that outlive the page which asked for them: a reload finds its answer again and loses nothing.

They are in memory alone: while they run, and some minutes longer, so that a page that was away for a moment finds
the end. Whoever asks for one must hold its name, which nobody can guess, and be the visitor who asked for it.
"""

import asyncio
import math
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from fonderie.serve.answers import Asked, Spent
from fonderie.serve.api.errors import ApiError
from fonderie.serve.api.generating import Choice, asked, taken
from fonderie.serve.engine.request import Finished, Piece, Request
from fonderie.serve.guards.guards import Guards
from fonderie.serve.served import Served

POSITION_SECONDS = 0.5
"""How often a place in line is looked up."""
KEEP_ALIVE_SECONDS = 10.0


AtEnd = Callable[[str, str], Mapping[str, Any]]
"""What the end of an answer says besides, made of its whole text and the reason that it ended."""


@dataclass(frozen=True)
class Bounds:
    """How long answers are kept for those who are away, and how much of them."""

    alone_seconds: float = 20.0
    """An answer that nobody has been reading for so long is given up: a reload takes two, a tunnel rarely more."""
    kept_seconds: float = 300.0
    """A finished answer can be fetched for so long."""
    kept: int = 1_000
    """Finished answers; the oldest go first."""
    kept_characters: int = 16 << 20


@dataclass(frozen=True)
class Update:
    """What a page is told; `number` counts what it then has of the answer, None for what is no part of it."""

    kind: str
    """waiting, text, end or error."""
    data: dict[str, Any]
    number: int | None = None


@dataclass
class Run:
    """One answer as it grows, with any number of readers."""

    id: str
    owner: str
    """Whose it is: what `Runs.find` is asked with."""
    answers: Asked
    pieces: list[str] = field(default_factory=list)
    position: int | None = None
    seconds: float | None = None
    """About how long it will be in line; None if nobody knows."""
    last: Update | None = None
    """Its end, once it has ended."""
    finished: Finished | None = None
    """How the engine ended it; None if it never said."""
    ended_at: float | None = None
    """Seconds since 1970."""
    stopped: str = ""
    """Why it was ended from outside: "stopped" by the visitor, "left" by everybody; empty unless it was."""
    readers: int = 0
    alone: asyncio.TimerHandle | None = None
    """What gives it up, unless somebody comes to read it."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def text(self) -> str:
        """What has been said so far."""
        return "".join(self.pieces)

    def stop(self, why: str = "stopped") -> None:
        """End it with what it has said; one that has ended is left alone."""
        if self.last is None:
            self.stopped = why
            self.answers.give_up()

    def wake(self) -> None:
        """Tell the readers that there is something new."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def updates(self, after: int) -> AsyncGenerator[Update | None]:
        """What comes after so many pieces of text, to the end; None when nothing has come for a while."""
        after, position = min(after, len(self.pieces)), None
        while True:
            if after < len(self.pieces):
                text, after = "".join(self.pieces[after:]), len(self.pieces)
                yield Update("text", {"text": text}, after)
            elif self.last is not None:
                yield self.last
                return
            elif self.position != position:
                position = self.position
                seconds = None if self.seconds is None else math.ceil(self.seconds)
                yield Update("waiting", {"position": position, "seconds": seconds})
            else:
                try:
                    async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                        await self._changed.wait()
                except TimeoutError:
                    yield None


def _notices(guards: Guards, end: Finished | None) -> dict[str, Any]:
    """What the guards tell people of an answer, each notice by language."""
    names = [] if end is None else [*end.warnings, *([end.blocked_by] if end.blocked_by else [])]
    found = [dict(guards.messages(name)) for name in names if guards.messages(name)]
    return {"notices": found} if found else {}


class Runs:
    """The answers that are running, or have ended not long ago; used in one event loop."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.bounds = bounds or Bounds()
        self._runs: dict[str, Run] = {}
        self._ended: list[Run] = []
        """The oldest first."""
        self._kept_characters = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def find(self, name: str, owner: str) -> Run:
        """An answer by its name; ApiError 404 if there is none, or it is another's: nobody learns which."""
        run = self._runs.get(name)
        if run is None or not secrets.compare_digest(run.owner.encode(), owner.encode()):
            raise ApiError(404, "there is no such answer, or it was forgotten meanwhile", code="answer_not_found")
        return run

    async def start(
        self,
        served: Served,
        requests: Sequence[Request],
        owner: str,
        spent: Spent,
        at_end: AtEnd = lambda _text, _reason: {},
    ) -> Run:
        """Ask for one answer; it is in line when this returns. ApiError if it is refused."""
        async with AsyncExitStack() as stack:
            answers = await stack.enter_async_context(asked(served, list(requests), spent))
            run = Run(secrets.token_urlsafe(24), owner, answers)
            run.position, run.seconds = answers.position, answers.seconds_to_wait
            # From here the task leaves the block, and not this function.
            task = asyncio.create_task(self._answer(run, stack.pop_all(), at_end, served.guards))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._runs[run.id] = run
        self._leave_alone(run)
        return run

    async def follow(self, run: Run, after: int) -> AsyncGenerator[Update | None]:
        """The updates of an answer, which is not given up as long as somebody is here."""
        run.readers += 1
        if run.alone is not None:
            run.alone.cancel()
        try:
            async for update in run.updates(after):
                yield update
        finally:
            run.readers -= 1
            self._leave_alone(run)

    async def _answer(self, run: Run, stack: AsyncExitStack, at_end: AtEnd, guards: Guards) -> None:
        choice = Choice()
        code = "internal_error"
        try:
            async with stack:
                async for item in taken(run.answers, [choice], POSITION_SECONDS):
                    if item is not None and isinstance(item[1], Piece) and item[1].text:
                        run.pieces.append(item[1].text)
                    run.position, run.seconds = run.answers.position, run.answers.seconds_to_wait
                    run.wake()
            code = ""
        except ApiError as error:
            code = "" if run.stopped else error.code
        finally:
            reason = run.stopped or ("stopped" if choice.end is None else choice.end.reason)
            more = {} if code else {**at_end(run.text, reason), **_notices(guards, choice.end)}
            self._finish(run, choice.end, code, {"reason": reason, **more})

    def _finish(self, run: Run, end: Finished | None, code: str, more: Mapping[str, Any]) -> None:
        run.position, run.finished, run.ended_at = None, end, time.time()
        if code:
            run.last = Update("error", {"code": code}, len(run.pieces) + 1)
        else:
            tokens = {} if end is None else {"prompt_tokens": end.prompt_tokens, "answer_tokens": end.answer_tokens}
            run.last = Update("end", {**more, **tokens}, len(run.pieces) + 1)
        run.wake()
        if run.alone is not None:
            run.alone.cancel()
        self._ended.append(run)
        self._kept_characters += len(run.text)
        asyncio.get_running_loop().call_later(self.bounds.kept_seconds, self._forget, run)
        while len(self._ended) > self.bounds.kept or self._kept_characters > self.bounds.kept_characters:
            self._forget(self._ended[0])

    def _forget(self, run: Run) -> None:
        if self._runs.pop(run.id, None) is not None:
            self._ended.remove(run)
            self._kept_characters -= len(run.text)

    def _leave_alone(self, run: Run) -> None:
        """Give the answer up unless somebody comes to read it in time."""
        if run.readers == 0 and run.last is None:
            run.alone = asyncio.get_running_loop().call_later(self.bounds.alone_seconds, run.stop, "left")
