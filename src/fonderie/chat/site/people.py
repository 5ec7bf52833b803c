"""What a visitor decides of their own traces: two consents, and a page to see, export and delete what is kept."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal
from urllib.parse import parse_qs

import orjson
from fastapi import Depends, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from fonderie.chat import consent
from fonderie.chat.consent import Blind, Consent, Texts
from fonderie.chat.judged import storable
from fonderie.chat.site.asking import owner_of
from fonderie.chat.site.pages import Site, from_our_pages
from fonderie.chat.site.words import Language
from fonderie.release.writing.document import Speaker, typeset
from fonderie.serve.access import Door
from fonderie.serve.api.errors import ApiError
from fonderie.serve.database.base import Database
from fonderie.serve.sessions import (
    Session,
    begin_session,
    clear_cookie,
    cookie_of,
    session_of,
    set_cookie,
    visit,
)

log = logging.getLogger(__name__)

Standing = Literal["none", "refused", "stale", "evaluation", "publication"]
"""What a visitor's consent comes to now."""
NOTES = ("saved", "withdrawn", "deleted", "deleted_one")
"""What the page of a visitor's data can say that it has just done."""
_OURS = [Depends(from_our_pages)]


@dataclass
class People:
    """What the pages about consent share."""

    door: Door
    database: Database
    texts: Texts
    retention_days: int
    forget: Callable[[str], None]
    """Drops what is in memory of a visitor, by the cookie of their running answers."""
    blind: Callable[[], Blind]
    """What nobody may be told yet; asked in the event loop."""
    clock: Callable[[], float] = time.time

    def standing(self, request: Request) -> tuple[Standing, Consent | None]:
        """A visitor's consent as it stands; opens transactions of its own."""
        session = visit(self.database, request, self.clock())
        if session is None:
            return "none", None
        with self.database.read() as connection:
            found = consent.current(connection, session.id)
        return standing_of(found, self.texts), found

    def seen(self, request: Request) -> str | None:
        """Note a visit, whatever page it is to; the cookie of a visitor who is known."""
        return cookie_of(request) if visit(self.database, request, self.clock()) else None

    def give(self, request: Request, language: Language, evaluation: bool, publication: bool) -> str | None:
        """Record what a visitor accepts; the cookie of a session that was begun for it."""
        now, cookie = self.clock(), None
        with self.database.write() as connection:
            session = session_of(connection, request)
            if session is None:
                if not evaluation and not publication:
                    return None  # nothing is kept, and there is nobody to remember it of
                session, cookie = begin_session(connection, now)
            found = consent.current(connection, session.id)
            same = found is not None and (found.evaluation, found.publication) == (evaluation, publication)
            if not same or (found is not None and not found.of(self.texts)):
                text = self.texts[language]
                consent.give(connection, session.id, text, evaluation=evaluation, publication=publication, at=now)
        return cookie

    def erase(self, request: Request) -> None:
        """Delete everything of a visitor; nothing happens where there is nothing."""
        with self.database.write() as connection:
            session = session_of(connection, request)
            if session is not None:
                consent.erase(connection, session.id, self.clock())

    def erase_one(self, request: Request, name: str) -> None:
        """Delete one conversation of a visitor; ApiError 404 if it is none of theirs."""
        name = storable(name)  # an address can hold a NUL, which PostgreSQL does not take for text
        with self.database.write() as connection:
            consent.erase_conversation(connection, _known(connection, request).id, name, self.clock())

    def data(self, request: Request, blind: Blind) -> dict[str, Any] | None:
        """All that is kept of a visitor; None for one who is not known."""
        with self.database.read() as connection:
            session = session_of(connection, request)
            return None if session is None else consent.my_data(connection, session.id, blind)


def standing_of(found: Consent | None, texts: Texts) -> Standing:
    """What a consent comes to under the words that are in force."""
    if found is None:
        return "none"
    if not found.evaluation:
        return "refused"
    if not found.of(texts):
        return "stale"
    return "publication" if found.publication else "evaluation"


def add_people(site: Site, people: People) -> None:
    """Declare the pages `/consent` and `/my-data`, and what their forms lead to."""

    async def seen(request: Request, response: Response) -> None:
        """What is kept goes so many days after the last visit: so long the cookie has to last that leads to it."""
        try:
            cookie = await run_in_threadpool(people.seen, request)
        except SQLAlchemyError as error:
            # Its text may hold what could not be written. Whoever wants to talk does not need us to remember it.
            log.error("a visit could not be noted (%s)", type(error).__name__)
            return
        if cookie is not None:
            set_cookie(response, request, cookie, days=people.retention_days)

    site.shown.append(seen)
    _add_consent(site, people)
    _add_data(site, people)
    _add_deletion(site, people)


def _add_consent(site: Site, people: People) -> None:
    @site.page("/consent", always=True)
    async def consent_page(request: Request, language: Language) -> Response:
        standing, found = await run_in_threadpool(people.standing, request)
        given = found if standing in ("evaluation", "publication") else None
        return site.render(
            request,
            "consent.html.jinja",
            language,
            text=people.texts[language],
            wording=_typeset(people.texts[language].words, language),
            evaluation=given is not None and given.evaluation,
            publication=given is not None and given.publication,
        )

    @site.app.post("/{language}/consent", include_in_schema=False, dependencies=_OURS)
    async def give(language: Language, request: Request) -> Response:
        scripted = request.headers.get("accept", "") == "application/json"
        try:
            form = await form_of(request)
            text = people.texts[language]
            if (form.get("version"), form.get("hash")) != (text.version, text.hash):
                raise ApiError(409, "the text has changed since it was shown: read it again", code="consent_stale")
            evaluation, publication = "evaluation" in form, "publication" in form
            if evaluation:
                # Withdrawing is possible while the service is closed, and from wherever.
                await people.door.admit_visitor(request)
            cookie = await run_in_threadpool(people.give, request, language, evaluation, publication)
        except ApiError as error:
            if scripted:
                raise
            return site.problem(request, error.status, error.code)
        standing = ("publication" if publication else "evaluation") if evaluation else "refused"
        note = "saved" if evaluation else "withdrawn"
        response: Response = JSONResponse({"standing": standing}) if scripted else _to_data(language, note)
        if cookie is not None:
            set_cookie(response, request, cookie, days=people.retention_days)
        return response


def _add_data(site: Site, people: People) -> None:
    @site.page("/my-data", nav="data.nav", always=True)
    async def data_page(request: Request, language: Language) -> Response:
        standing, found = await run_in_threadpool(people.standing, request)
        data = await run_in_threadpool(people.data, request, people.blind())
        note = request.query_params.get("done", "")
        return await run_in_threadpool(
            site.render,
            request,
            "my_data.html.jinja",
            language,
            standing=standing,
            consent=found,
            data=data,
            days=people.retention_days,
            note=note if note in NOTES else "",
            day=partial(day_of, Speaker("common", language)),
        )

    @site.app.get("/my-data.json", include_in_schema=False)
    async def export(request: Request) -> Response:
        data = await run_in_threadpool(people.data, request, people.blind())
        headers = {
            "content-disposition": 'attachment; filename="fonderie-my-data.json"',
            "cache-control": "no-store",
        }
        body = orjson.dumps(data or {}, option=orjson.OPT_INDENT_2)
        return Response(body, media_type="application/json", headers=headers)


def _add_deletion(site: Site, people: People) -> None:
    @site.app.post("/{language}/my-data/delete", include_in_schema=False, dependencies=_OURS)
    async def erase(language: Language, request: Request) -> Response:
        if "sure" not in await form_of(request):
            return _to_data(language, "")
        await run_in_threadpool(people.erase, request)
        people.forget(owner_of(request)[0])
        response = _to_data(language, "deleted")
        clear_cookie(response, request)
        return response

    @site.app.post("/{language}/my-data/delete/{name}", include_in_schema=False, dependencies=_OURS)
    async def erase_one(language: Language, name: str, request: Request) -> Response:
        try:
            await run_in_threadpool(people.erase_one, request, name)
        except ApiError as error:
            return site.problem(request, error.status, error.code)
        return _to_data(language, "deleted_one")


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form as browsers send it by default, each once; ApiError 400 for bytes that are no text."""
    try:
        text = (await request.body()).decode("ascii")
        fields = parse_qs(
            text, keep_blank_values=True, strict_parsing=bool(text), errors="strict", max_num_fields=20
        )
    except ValueError as error:
        raise ApiError(400, "the form cannot be read", code="invalid_value") from error
    return {name: values[-1] for name, values in fields.items()}


def day_of(speaker: Speaker, seconds: float) -> str:
    """A time as a day, UTC, in words."""
    return speaker.day(datetime.fromtimestamp(seconds, UTC).date())


def _typeset(words: Mapping[str, str], language: Language) -> Mapping[str, str]:
    """The words as they are printed: their spaces only differ from those that were hashed."""
    return {key: typeset(text) for key, text in words.items()} if language == "fr" else words


def _known(connection: Connection, request: Request) -> Session:
    session = session_of(connection, request)
    if session is None:
        raise ApiError(404, "there is no such session", code="session_unknown")
    return session


def _to_data(language: Language, note: str) -> RedirectResponse:
    query = f"?done={note}" if note else ""
    return RedirectResponse(f"/{language}/my-data{query}", 303, headers={"cache-control": "no-store"})
