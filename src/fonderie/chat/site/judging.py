"""Thumbs and reports under the answers of the chat page.

A conversation lives in the visitor's browser, so a thumb brings it along. That the model said what is judged is
shown by a seal: the service gives one with the end of each answer, and nobody else can make it.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field, StringConstraints
from starlette.concurrency import run_in_threadpool

from fonderie.chat import consent, votes
from fonderie.chat.consent import Locale, Texts
from fonderie.chat.judged import Contender, Conversation, Turn
from fonderie.chat.site.asking import Said, Settings, model_named
from fonderie.chat.site.pages import from_our_pages
from fonderie.chat.site.sealing import JUDGED_DAYS, Answered, Seals
from fonderie.serve.access import Door
from fonderie.serve.api.errors import ApiError, bad
from fonderie.serve.api.fields import Fields
from fonderie.serve.database.base import Database
from fonderie.serve.served import Served
from fonderie.serve.sessions import begin_session, session_of, set_cookie

Seal = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Thumb(Fields):
    """What somebody thinks of an answer."""

    model: str
    turns: Annotated[list[Said], Field(min_length=2, max_length=1024)]
    """The conversation, to the judged answer."""
    settings: Settings
    finish_reason: Annotated[str, StringConstraints(max_length=16)]
    """Why the answer ended, as the service said it."""
    seal: Seal
    locale: Locale
    value: Literal[1, -1, 0]
    """0 takes it back."""
    reasons: Annotated[list[str], Field(max_length=16)] = Field(default_factory=list)
    comment: str = ""


class Reporting(Fields):
    """What somebody wants those who run the service to see."""

    reason: str
    comment: str = ""
    excerpt: str
    """As the person chose to send it."""


class Report(Reporting):
    """The same of an answer of the chat page."""

    model: str


@dataclass
class Judging:
    """What thumbs and reports share."""

    models: Mapping[str, Served]
    door: Door
    database: Database
    texts: Texts
    seals: Seals
    retention_days: int
    clock: Callable[[], float] = time.time

    def thumb(self, request: Request, served: Served, thumb: Thumb) -> None:
        """Keep a thumb with its conversation, or delete both. ApiError 428 or 409 without consent."""
        at = self.clock()
        with self.database.write() as connection:
            session = session_of(connection, request)
            if session is None:
                raise ApiError(428, "nothing is kept without consent", code="consent_required")
            judged = _conversation(served, thumb, session.id, at)
            if thumb.value == 0:
                consent.erase_conversation(connection, session.id, judged.id, at)
                return
            votes.thumb(
                connection,
                session.id,
                self.texts,
                judged,
                position=len(thumb.turns) - 1,
                value=thumb.value,
                reasons=thumb.reasons,
                comment=thumb.comment,
                at=at,
            )


def keep_report(database: Database, request: Request, who: Contender, report: Reporting, at: float) -> str | None:
    """Keep a report; the cookie of a session that was begun for it, so that the person can delete it again."""
    cookie = None
    with database.write() as connection:
        session = session_of(connection, request)
        if session is None:
            session, cookie = begin_session(connection, at)
        votes.report(
            connection,
            session.id,
            who,
            reason=report.reason,
            comment=report.comment,
            excerpt=report.excerpt,
            at=at,
        )
    return cookie


def add_judging(app: FastAPI, judging: Judging) -> None:
    """Declare `/chat/thumbs` and `/chat/reports`."""

    @app.post("/chat/thumbs", include_in_schema=False, dependencies=[Depends(from_our_pages)])
    async def thumb(given: Thumb, request: Request) -> Response:
        await judging.door.admit_visitor(request)
        served = model_named(judging.models, given.model)
        *before, answer = given.turns
        if answer.role != "assistant":
            raise bad("the last turn is not an answer", "turns")
        asked = tuple((turn.role, turn.text) for turn in before)
        what = Answered(served.digest, given.settings.model_dump(), asked, answer.text, given.finish_reason)
        await judging.seals.renew()  # another process may have drawn a key, and sealed with it
        if not judging.seals.holds(given.seal, what):
            raise ApiError(
                409,
                f"this answer was not given here, or by another release, or more than {JUDGED_DAYS} days ago",
                code="unsealed",
            )
        await run_in_threadpool(judging.thumb, request, served, given)
        return Response(status_code=204)

    @app.post("/chat/reports", include_in_schema=False, dependencies=[Depends(from_our_pages)])
    async def report(given: Report, request: Request) -> Response:
        await judging.door.admit_visitor(request)
        served = model_named(judging.models, given.model)
        who, at = Contender.of(served), judging.clock()
        cookie = await run_in_threadpool(keep_report, judging.database, request, who, given, at)
        response = JSONResponse({}, 201, headers={"cache-control": "no-store"})
        if cookie is not None:
            set_cookie(response, request, cookie, days=judging.retention_days)
        return response


def _conversation(served: Served, thumb: Thumb, session_id: int, at: float) -> Conversation:
    """As it is kept, under a name made of session and seal: an answer judged again is the same conversation."""
    drawn: dict[str, Any] = thumb.settings.model_dump(exclude={"seed"})
    last = len(thumb.turns) - 1
    turns = tuple(
        Turn(
            position,
            turn.role,
            turn.text,
            at,
            side="a" if turn.role == "assistant" else "",
            finish_reason=thumb.finish_reason if position == last else None,
            seed=thumb.settings.seed if position == last else None,
        )
        for position, turn in enumerate(thumb.turns)
    )
    name = hashlib.sha256(f"{session_id} {thumb.seal}".encode()).hexdigest()[:32]
    return Conversation(name, "chat", thumb.locale, at, {"a": Contender.of(served, drawn)}, turns)
