"""`/admin`: what there is to do, what was used, reports to read, and the switch; for holders of an admin's key.

The key is given once, to a form. What the browser then brings is a cookie of its own, which is in memory only, ends
half an hour after the last use, or when the key is revoked, and is sent by our own pages alone (SameSite=Strict);
every form carries a token besides, so that no page of others can press a button here.
"""

import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from fonderie.chat.overview import close_report, count_open, days, open_reports
from fonderie.chat.site.pages import Site, from_our_pages
from fonderie.chat.site.people import form_of
from fonderie.chat.site.words import LANGUAGES, Language
from fonderie.serve.access import Door
from fonderie.serve.api.errors import ApiError
from fonderie.serve.guards.guards import FAILED, Guards, Side
from fonderie.serve.keys import find_key, list_keys
from fonderie.serve.served import Served
from fonderie.serve.stage import Stage, close, open_to, reopen

COOKIE = "fonderie-admin"
IDLE_SECONDS = 1_800
MOST_SESSIONS = 100
MESSAGE_CHARACTERS = 1_000
_OURS = [Depends(from_our_pages)]
_NUMBER = re.compile(r"[0-9]{1,9}")
"""Of a row: PostgreSQL's integers end at ten digits, Python's reading of them at thousands."""


@dataclass
class Session:
    """One admin's browser."""

    key: str
    """Name of the key that opened it."""
    token: str
    """What its forms carry."""
    used_at: float


@dataclass
class Admin:
    """What the page shows, and who is signed in."""

    models: Mapping[str, Served]
    door: Door
    stage: Stage
    guards: Guards
    clock: Callable[[], float] = time.time
    _sessions: dict[str, Session] = field(default_factory=dict)
    """By SHA-256 of the cookie."""

    def sign_in(self, secret: str) -> str | None:
        """A cookie for the holder of an admin's key; None for any other text. Opens a transaction of its own."""
        with self.door.database.read() as connection:
            key = find_key(connection, secret.strip())
        if key is None or key.revoked_at is not None or key.role != "admin":
            return None
        cookie, now = secrets.token_urlsafe(32), self.clock()
        alive = {name: one for name, one in self._sessions.items() if now - one.used_at <= IDLE_SECONDS}
        self._sessions = dict(sorted(alive.items(), key=lambda item: item[1].used_at)[-MOST_SESSIONS + 1 :])
        self._sessions[_hash(cookie)] = Session(key.name, secrets.token_urlsafe(24), now)
        return cookie

    def session(self, request: Request) -> Session | None:
        """Who is signed in; None for nobody, also once the key is revoked. Opens a transaction of its own."""
        name = _hash(request.cookies.get(_cookie_name(request), ""))
        found = self._sessions.get(name)
        if found is None or self.clock() - found.used_at > IDLE_SECONDS:
            return None
        with self.door.database.read() as connection:
            good = {key.name for key in list_keys(connection) if key.revoked_at is None and key.role == "admin"}
        if found.key not in good:
            del self._sessions[name]
            return None
        found.used_at = self.clock()
        return found

    def sign_out(self, request: Request) -> None:
        """End the session of a request."""
        self._sessions.pop(_hash(request.cookies.get(_cookie_name(request), "")), None)

    def shown(self) -> dict[str, Any]:
        """What the page says. Opens a transaction of its own."""
        now = self.clock()
        with self.door.database.read() as connection:
            used, waiting = days(connection, now), open_reports(connection)
            number = count_open(connection)
        engines = []
        for name, model in self.models.items():
            load = model.engine.load()
            speed = load.answer_tokens / load.busy_seconds if load.busy_seconds > 0 else None
            wait = load.seconds_before(load.waiting) if load.waiting else None
            failure = model.engine.failure
            engines.append({"name": name, "load": load, "speed": speed, "wait": wait, "failure": failure})
        return {
            "state": self.stage.current(),
            "message_limit": MESSAGE_CHARACTERS,
            "days": used,
            "reports": waiting,
            "reports_number": number,
            "engines": engines,
            "guards": self._guards(),
            "when": _when,
        }

    def _guards(self) -> list[dict[str, Any]]:
        sides: tuple[Side, Side] = ("before", "after")
        names = [*self.guards.categories, FAILED] if self.guards.categories else []
        return [
            {
                "name": name,
                **{side: (self.guards.mode(name, side), self.guards.counts[name, side]) for side in sides},
            }
            for name in names
        ]

    def turn(self, form: Mapping[str, str]) -> None:
        """Do what a button of the page says. Opens a transaction of its own; ApiError for what is no button."""
        now, act = self.clock(), form.get("act", "")
        with self.door.database.write() as connection:
            if act == "close":
                own: dict[Language, str] = {
                    language: form.get(f"message_{language}", "").strip()[:MESSAGE_CHARACTERS]
                    for language in LANGUAGES
                }
                close(connection, now, in_language=own, now="now" in form)
            elif act == "reopen":
                reopen(connection, now)
            elif act == "open":
                open_to(connection, "open", now)
            elif act == "invite":
                open_to(connection, "invite", now)
            elif act == "close_report" and _NUMBER.fullmatch(form.get("report", "")):
                close_report(connection, int(form["report"]), now)
            else:
                raise ApiError(400, "there is no such button", code="invalid_value", param="act")


def add_admin(site: Site, admin: Admin) -> None:
    """Declare the page, and what its forms lead to."""

    @site.page("/admin", always=True)
    async def page(request: Request, language: Language) -> Response:
        session = await run_in_threadpool(admin.session, request)
        if session is None:
            return site.render(request, "admin_sign_in.html.jinja", language, wrong=False)
        values = await run_in_threadpool(admin.shown)
        return site.render(request, "admin.html.jinja", language, session=session, **values)

    @site.app.post("/{language}/admin/sign-in", include_in_schema=False, dependencies=_OURS)
    async def sign_in(language: Language, request: Request) -> Response:
        try:
            admin.door.limit(request)
            secret = (await form_of(request)).get("key", "")
        except ApiError as error:
            return site.problem(request, error.status, error.code)
        cookie = await run_in_threadpool(admin.sign_in, secret)
        if cookie is None:
            return site.render(request, "admin_sign_in.html.jinja", language, status=403, wrong=True)
        response = _back(language)
        response.set_cookie(
            _cookie_name(request),
            cookie,
            max_age=IDLE_SECONDS,
            path="/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return response

    @site.app.post("/{language}/admin/turn", include_in_schema=False, dependencies=_OURS)
    async def turn(language: Language, request: Request) -> Response:
        try:
            form = await form_of(request)
            await run_in_threadpool(_check, admin, request, form)
            if form.get("act") == "sign_out":
                admin.sign_out(request)
            else:
                await run_in_threadpool(admin.turn, form)
                await admin.stage.look()  # the next page shows what was done, and not what was half a second ago
        except ApiError as error:
            return site.problem(request, error.status, error.code)
        return _back(language)


def _check(admin: Admin, request: Request, form: Mapping[str, str]) -> None:
    session = admin.session(request)
    if session is None:
        raise ApiError(403, "nobody is signed in", code="admin_only")
    if not secrets.compare_digest(form.get("token", "").encode(), session.token.encode()):
        raise ApiError(403, "this form is not one of the page that is open", code="page_expired")


def _back(language: Language) -> Response:
    return RedirectResponse(f"/{language}/admin", 303, headers={"cache-control": "no-store"})


def _cookie_name(request: Request) -> str:
    return f"__Host-{COOKIE}" if request.url.scheme == "https" else COOKIE


def _hash(cookie: str) -> str:
    return sha256(cookie.encode()).hexdigest()


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
