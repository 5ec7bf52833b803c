"""A visitor's session: a random cookie, of which only the hash is kept; made only when something needs it.

Nothing in it says who somebody is. It binds what belongs together: a consent, an invitation, a running answer.
"""

import secrets
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import Connection, insert, select, update
from starlette.requests import HTTPConnection
from starlette.responses import Response

from fonderie.serve.database.base import Database
from fonderie.serve.database.tables import sessions

COOKIE = "fonderie"
SECURE_COOKIE = f"__Host-{COOKIE}"
"""Over https: browsers take a cookie of this prefix only from the host itself, for all its paths, over https
(RFC 6265bis, section 4.1.3)."""
COOKIE_DAYS = 180
"""From the last page that was visited; a service that keeps what it keeps for another time says so."""
MOST_COOKIE_DAYS = 395
"""The 13 months that the CNIL allows a cookie of this kind (guidelines of 17 September 2020, § 50); browsers cut it
down to 400 days."""
COOKIE_BYTES = 32
TOUCH_SECONDS = 86400
"""A visit is noted by the day: retention needs no more, and reading a page writes nothing most of the time."""


@dataclass(frozen=True)
class Session:
    """One browser, as far as it wants to be known."""

    id: int
    created_at: float
    seen_at: float
    invite_id: int | None


def cookie_of(request: HTTPConnection) -> str | None:
    """The session's cookie. Over https the plain name does not count: a neighbouring host could have set it."""
    return request.cookies.get(_name(request))


def session_of(connection: Connection, request: HTTPConnection) -> Session | None:
    """The session of a request; None if it brings no cookie, or one that is not known."""
    cookie = cookie_of(request)
    if not cookie:
        return None
    row = connection.execute(
        select(sessions.c.id, sessions.c.created_at, sessions.c.seen_at, sessions.c.invite_id).where(
            sessions.c.hash == _hash(cookie)
        )
    ).one_or_none()
    return None if row is None else Session(*row)


def visit(database: Database, request: HTTPConnection, now: float) -> Session | None:
    """The session of a request, and that it was seen today; opens transactions of its own."""
    if not cookie_of(request):
        return None
    with database.read() as connection:
        found = session_of(connection, request)
    if found is not None and now - found.seen_at >= TOUCH_SECONDS:
        with database.write() as connection:
            connection.execute(update(sessions).where(sessions.c.id == found.id).values(seen_at=now))
    return found


def begin_session(connection: Connection, now: float, *, invite_id: int | None = None) -> tuple[Session, str]:
    """A new session, and its cookie for `set_cookie`, which nobody can have again."""
    cookie = secrets.token_urlsafe(COOKIE_BYTES)
    # The hash needs no salt: there is nothing to guess in 256 random bits.
    (made,) = connection.execute(
        insert(sessions)
        .values(hash=_hash(cookie), created_at=now, seen_at=now, invite_id=invite_id)
        .returning(sessions.c.id)
    ).one()
    return Session(made, now, now, invite_id), cookie


def set_cookie(response: Response, request: HTTPConnection, cookie: str, *, days: int = COOKIE_DAYS) -> None:
    """Give the browser its cookie: not for scripts, not for other sites, and over https only over https."""
    response.set_cookie(
        _name(request),
        cookie,
        max_age=days * 86400,
        path="/",
        secure=_is_secure(request),
        httponly=True,
        samesite="lax",
    )


def clear_cookie(response: Response, request: HTTPConnection) -> None:
    """Take it away again."""
    response.delete_cookie(_name(request), path="/", secure=_is_secure(request), httponly=True, samesite="lax")


def _is_secure(request: HTTPConnection) -> bool:
    # Behind a proxy, what a trusted one says of its own side: see `fonderie.serve.access.trusted_proxies`.
    return request.url.scheme == "https"


def _name(request: HTTPConnection) -> str:
    return SECURE_COOKIE if _is_secure(request) else COOKIE


def _hash(cookie: str) -> str:
    return sha256(cookie.encode("utf-8")).hexdigest()
