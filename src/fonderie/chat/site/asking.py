"""The routes of the chat page: ask, follow the answer, stop it. They lead to the same engine as the API's."""

import re
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Annotated, Literal

import orjson
from fastapi import Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import Field, StringConstraints

from fonderie.chat.site.pages import from_our_pages
from fonderie.chat.site.running import AtEnd, Run, Runs, Update
from fonderie.chat.site.sealing import Answered, Seals
from fonderie.serve.access import Door
from fonderie.serve.answers import Spent
from fonderie.serve.api.chat import ChatFields, chat_requests
from fonderie.serve.api.errors import ApiError
from fonderie.serve.api.fields import Fields, Message
from fonderie.serve.api.streaming import KEEP_ALIVE
from fonderie.serve.served import Served, conversation_prompt

OWNER = "fonderie-answers"
"""Cookie that says whose the running answers are. A browser forgets it when it closes; here it is never stored."""
OWNER_BYTES = 24
_OWNER_FORM = re.compile(r"[A-Za-z0-9_-]{32}")
TOKENS = 1_000
"""The longest answer unless a visitor says otherwise; never more than fits into the context."""
LARGEST_SEED = 2**53 - 1
"""JavaScript's largest whole number; larger ones would come back changed."""
SEEDS = 2**32
"""Drawn seeds are below this: short enough to be read out and typed in again."""


class Said(Fields):
    """One turn of a conversation."""

    role: Literal["user", "assistant"]
    text: Annotated[str, StringConstraints(min_length=1)]


class Settings(Fields):
    """How an answer is drawn."""

    temperature: float = Field(0.7, ge=0, le=2)
    top_p: float = Field(0.95, gt=0, le=1)
    max_tokens: int = Field(TOKENS, ge=1)
    seed: int | None = Field(None, ge=0, le=LARGEST_SEED)
    """None draws one."""


class Asking(Fields):
    """A conversation, the last turn of which is a question."""

    model: str
    turns: Annotated[list[Said], Field(min_length=1, max_length=1023)]
    settings: Settings = Field(default_factory=Settings)


def add_asking(app: FastAPI, models: Mapping[str, Served], door: Door, runs: Runs, seals: Seals) -> None:
    """Declare the routes below `/chat/answers`."""

    @app.post("/chat/answers", include_in_schema=False, dependencies=[Depends(from_our_pages)])
    async def ask(asking: Asking, request: Request) -> Response:
        caller = await door.admit_visitor(request)
        model = model_named(models, asking.model)
        settings = seeded(asking.settings)
        owner, fresh = owner_of(request)
        asked = tuple((turn.role, turn.text) for turn in asking.turns)
        await seals.renew()

        def sealed(answer: str, reason: str) -> dict[str, str]:
            return {"seal": seals.seal(Answered(model.digest, settings.model_dump(), asked, answer, reason))}

        run = await start(model, asking.turns, settings, runs, owner=owner, spent=door.meter(caller), at_end=sealed)
        said = {"id": run.id, "model": model.name, "digest": model.digest, "settings": settings.model_dump()}
        response = JSONResponse(said, 202, headers={"cache-control": "no-store"})
        if fresh:
            set_owner(response, request, owner)
        return response

    @app.get("/chat/answers/{name}", include_in_schema=False)
    async def follow(
        name: str, request: Request, last_event_id: Annotated[str, Header(max_length=12)] = "0"
    ) -> StreamingResponse:
        run = runs.find(name, owner_of(request)[0])
        if not last_event_id.isdecimal():
            raise ApiError(400, "Last-Event-ID is a number here", code="invalid_value", param="last-event-id")
        return StreamingResponse(
            _events(runs, run, int(last_event_id)),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    @app.delete("/chat/answers/{name}", include_in_schema=False, dependencies=[Depends(from_our_pages)])
    async def stop(name: str, request: Request) -> Response:
        runs.find(name, owner_of(request)[0]).stop()
        return Response(status_code=204)


def model_named(models: Mapping[str, Served], name: str) -> Served:
    """One of the models; ApiError 404 if there is none of the name."""
    found = models.get(name)
    if found is None:
        raise ApiError(404, "there is no such model here", code="model_not_found", param="model")
    return found


def seeded(settings: Settings) -> Settings:
    """The settings with a seed, so that the answer can be had again."""
    return settings.model_copy(update={"seed": secrets.randbelow(SEEDS)}) if settings.seed is None else settings


async def start(
    model: Served, turns: list[Said], settings: Settings, runs: Runs, *, owner: str, spent: Spent, at_end: AtEnd
) -> Run:
    """Put a question in line. ApiError for what cannot be asked."""
    if turns[-1].role != "user":
        raise ApiError(400, "the last turn is not a question", code="invalid_value", param="turns")
    for turn in turns:
        model.check_length(turn.text, "turns")
    room = model.engine.context - len(conversation_prompt(model, [(turn.role, turn.text) for turn in turns]))
    fields = ChatFields(
        model=model.name,
        messages=[Message(role=turn.role, content=turn.text) for turn in turns],
        temperature=settings.temperature,
        top_p=settings.top_p,
        # Without room at all `chat_requests` says so in its own words.
        max_tokens=max(1, min(settings.max_tokens, room)),
        seed=settings.seed,
    )
    return await runs.start(model, chat_requests(model, fields), owner, spent, at_end)


def owner_of(request: Request) -> tuple[str, bool]:
    """Whose answers a browser may follow, and whether this was made just now, for `set_owner`."""
    cookie = request.cookies.get(_cookie_name(request), "")
    # It is held in memory beside every answer, so nothing but what was given here is taken for one.
    return (cookie, False) if _OWNER_FORM.fullmatch(cookie) else (secrets.token_urlsafe(OWNER_BYTES), True)


def set_owner(response: Response, request: Request, owner: str) -> None:
    """Give the browser its cookie, until it closes: not for scripts, not for other sites."""
    secure = request.url.scheme == "https"
    response.set_cookie(_cookie_name(request), owner, path="/", secure=secure, httponly=True, samesite="strict")


def _cookie_name(request: Request) -> str:
    return f"__Host-{OWNER}" if request.url.scheme == "https" else OWNER


async def _events(runs: Runs, run: Run, after: int) -> AsyncIterator[bytes]:
    async with aclosing(runs.follow(run, after)) as updates:
        async for update in updates:
            yield KEEP_ALIVE if update is None else as_event(update)


def as_event(update: Update) -> bytes:
    """One server-sent event (WHATWG HTML, 9.2), numbered where a reader may go on after it."""
    number = b"" if update.number is None else b"id: %d\n" % update.number
    return number + b"event: " + update.kind.encode() + b"\ndata: " + orjson.dumps(update.data) + b"\n\n"
