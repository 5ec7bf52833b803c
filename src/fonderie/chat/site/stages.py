"""The switch as visitors see it: a page that says that the service is closed, one that asks for an invitation."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from fonderie.chat.site.pages import Site, from_our_pages
from fonderie.chat.site.people import form_of
from fonderie.chat.site.words import Language
from fonderie.serve.access import Door
from fonderie.serve.api.errors import ApiError
from fonderie.serve.invites import accept_invite
from fonderie.serve.sessions import begin_session, session_of, set_cookie, visit
from fonderie.serve.stage import RETRY_SECONDS, STOPPING_SECONDS, Closed, Stage


def add_stages(site: Site, door: Door, stage: Stage, clock: Callable[[], float] = time.time) -> None:
    """Put the switch before every page that is not there always, and add `/invite`."""

    async def closed(request: Request, language: Language) -> Response | None:
        if stage.draining:
            page = site.problem(request, 503, "unavailable")
            page.headers["retry-after"] = str(STOPPING_SECONDS)
            return page
        found = stage.current().closed
        return None if found is None else _closed(site, request, language, found)

    async def invited(request: Request, language: Language) -> Response | None:
        if stage.current().stage == "open":
            return None
        session = await run_in_threadpool(visit, door.database, request, clock())
        if session is not None and session.invite_id is not None:
            return None
        return RedirectResponse(f"/{language}/invite", 303, headers={"cache-control": "no-store"})

    site.checks += [closed, invited]
    _add_invite(site, door, stage, clock)


def _closed(site: Site, request: Request, language: Language, closed: Closed) -> Response:
    page = site.render(
        request,
        "closed.html.jinja",
        language,
        status=503,
        message=closed.said(language),
        since=datetime.fromtimestamp(closed.since, UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
    page.headers["retry-after"] = str(RETRY_SECONDS)
    return page


def _add_invite(site: Site, door: Door, stage: Stage, clock: Callable[[], float]) -> None:
    def shown(request: Request, language: Language, problem: str = "", status: int = 200) -> Response:
        by_invitation = stage.current().stage == "invite"
        return site.render(
            request, "invite.html.jinja", language, status=status, problem=problem, by_invitation=by_invitation
        )

    def accept(request: Request, code: str) -> tuple[bool, str | None]:
        """Whether the code was good, and the cookie of a session that was begun for it."""
        with door.database.write() as connection:
            session, cookie = session_of(connection, request), None
            if session is None:
                session, cookie = begin_session(connection, clock())
            good = accept_invite(connection, code, session.id)
            if not good:
                connection.rollback()
        return good, cookie if good else None

    @site.page("/invite", always=True)
    async def invite(request: Request, language: Language) -> Response:
        return shown(request, language)

    @site.app.post("/{language}/invite", include_in_schema=False, dependencies=[Depends(from_our_pages)])
    async def take(language: Language, request: Request) -> Response:
        try:
            door.limit(request)
            code = (await form_of(request)).get("code", "")
        except ApiError as error:
            return site.problem(request, error.status, error.code)
        good, cookie = await run_in_threadpool(accept, request, code)
        if not good:
            return shown(request, language, problem="wrong", status=403)
        response = RedirectResponse(f"/{language}/", 303, headers={"cache-control": "no-store"})
        if cookie is not None:
            set_cookie(response, request, cookie)
        return response
