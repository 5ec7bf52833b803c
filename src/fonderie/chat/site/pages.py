"""What every page shares: layout, languages, assets, and headers under which nothing from elsewhere can run.

A page is one path in two languages: `/fr/duel` and `/en/duel`; `/duel` leads to the one that the browser asks for.
So a page's language is in its address, and no cookie remembers it.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import jinja2
import orjson
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from fonderie.chat.site.models import demand
from fonderie.chat.site.words import LANGUAGES, Language, preferred, read_words
from fonderie.release.writing.words import number, rule_label
from fonderie.serve.api.errors import ApiError

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
"""Of every page."""
_KINDS = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "json": "application/json",
}
_IMPORT = re.compile(r'^import [^;]*"\./([\w.-]+\.js)";', re.MULTILINE)
FOREVER = "public, max-age=31536000, immutable"

Handler = Callable[[Request, Language], Awaitable[Response]]
Check = Callable[[Request, Language], Awaitable[Response | None]]
"""Asked before a page: what to show instead, such as that the service is closed; None for the page itself."""
Shown = Callable[[Request, Response], Awaitable[None]]
"""Told of every page before it is sent."""


@dataclass(frozen=True)
class Link:
    """One entry of the navigation."""

    path: str
    key: str
    """Of its words in the catalogue."""


@dataclass
class Site:
    """The frame in which pages are made; `page` adds one."""

    app: FastAPI
    operator: str = ""
    """Who is responsible for the service and how to write to them; empty if nobody said."""
    navigation: list[Link] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._assets = _read_assets()
        digest = hashlib.sha256(b"".join(name.encode() + data for name, data in sorted(self._assets.items())))
        self._prefix = f"/assets/{digest.hexdigest()[:16]}"
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader("fonderie.chat.site"),
            undefined=jinja2.StrictUndefined,
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(
            asset=self.asset,
            demand=demand,
            finding_label=rule_label,
            imported=self.imported,
            languages=LANGUAGES,
            number=number,
            operator=self.operator,
        )
        self._add_assets()
        self._add_errors()

    def asset(self, name: str) -> str:
        """The address of a script, stylesheet or picture of ours; KeyError if there is none."""
        if name not in self._assets:
            raise KeyError(name)
        return f"{self._prefix}/{name}"

    def imported(self, name: str) -> list[str]:
        """All scripts that one imports, and those import: a page names them to have them fetched at once."""
        found = [name]
        for one in found:
            names = _IMPORT.findall(self._assets[one].decode("utf-8"))
            found += [other for other in dict.fromkeys(names) if other not in found]
        return found[1:]

    def render(
        self, request: Request, template: str, language: Language, *, status: int = 200, **values: Any
    ) -> HTMLResponse:
        """A page from its template; an undefined name is an error, never a blank."""
        words = read_words(language)
        text = self._environment.get_template(template).render(
            t=words,
            words=words,
            language=language,
            here=plain_path(request.url.path),
            navigation=self.navigation,
            **values,
        )
        return HTMLResponse(text, status, headers={**HEADERS, "cache-control": "no-store"})

    def page(self, path: str, *, nav: str | None = None, always: bool = False) -> Callable[[Handler], Handler]:
        """Declare a page of both languages; `nav` is the key of its words in the navigation, if it stands there.

        One that is there `always` is shown without asking the checks.
        """

        def declare(handler: Handler) -> Handler:
            for language in LANGUAGES:
                self.app.add_api_route(
                    f"/{language}{path}",
                    self._bound(handler, language, always),
                    methods=["GET", "HEAD"],
                    include_in_schema=False,
                )
            self.app.add_api_route(path, _leads_on, methods=["GET", "HEAD"], include_in_schema=False)
            if nav is not None:
                self.navigation.append(Link(path, nav))
            return handler

        return declare

    def problem(self, request: Request, status: int, code: str) -> HTMLResponse:
        """A page that says what is wrong, by the code of the error."""
        language = language_of(request)
        words = read_words(language)
        text = words.known(f"errors.{code}", words["errors.unknown"])
        return self.render(request, "problem.html.jinja", language, status=status, code=code, text=text)

    def _bound(
        self, handler: Handler, language: Language, always: bool
    ) -> Callable[[Request], Awaitable[Response]]:
        async def page(request: Request) -> Response:
            for check in () if always else self.checks:
                instead = await check(request, language)
                if instead is not None:
                    return instead
            response = await handler(request, language)
            for shown in self.shown:
                await shown(request, response)
            return response

        return page

    def _add_errors(self) -> None:
        """What goes wrong is a page for who asked for a page; for programs it stays as the API says it."""
        for kind in (ApiError, HTTPException, SQLAlchemyError, Exception):
            self.app.exception_handler(kind)(self._error_handler(self.app.exception_handlers[kind]))

    def _error_handler(self, otherwise: Any) -> Any:
        async def handler(request: Request, error: Exception) -> Response:
            response: Response = await otherwise(request, error)
            if "text/html" not in request.headers.get("accept", ""):  # browsers send it for forms too
                return response
            code = orjson.loads(bytes(response.body))["error"]["code"]
            page = self.problem(request, response.status_code, code)
            page.headers.update({k: v for k, v in response.headers.items() if not k.startswith("content-")})
            return page

        return handler

    def _add_assets(self) -> None:
        @self.app.get("/assets/{digest}/{name}", include_in_schema=False)
        async def asset(digest: str, name: str) -> Response:
            data = self._assets.get(name)
            if data is None or f"/assets/{digest}" != self._prefix:
                raise HTTPException(404, "no such file")
            kind = _KINDS[name.rpartition(".")[2]]
            headers = {"cache-control": FOREVER, "x-content-type-options": "nosniff"}
            return Response(data, media_type=kind, headers=headers)


def _read_assets() -> Mapping[str, bytes]:
    """Every file of the assets, and the words for scripts as one file for each language."""
    found = {
        entry.name: entry.read_bytes()
        for entry in (files("fonderie.chat.site") / "assets").iterdir()
        if entry.name.rpartition(".")[2] in _KINDS
    }
    for language in LANGUAGES:
        found[f"words.{language}.json"] = orjson.dumps(dict(read_words(language)), option=orjson.OPT_SORT_KEYS)
    return found


async def _leads_on(request: Request) -> Response:
    """To the page in the language that the browser asks for."""
    language = preferred(request.headers.get("accept-language", ""))
    query = f"?{request.url.query}" if request.url.query else ""
    headers = {"vary": "accept-language", "cache-control": "no-store"}
    # One slash, whatever the path begins with: "//elsewhere" would lead to another host.
    return RedirectResponse(f"/{language}/{request.url.path.lstrip('/')}{query}", 307, headers=headers)


_PREFIX = re.compile(r"/(fr|en)(?=/|$)")


def plain_path(path: str) -> str:
    """A page's path without its language."""
    return _PREFIX.sub("", path, count=1) or "/"


def language_of(request: Request) -> Language:
    """The language of a page's address, or the one that the browser asks for."""
    match = _PREFIX.match(request.url.path)
    if match is not None:
        return "fr" if match[1] == "fr" else "en"
    return preferred(request.headers.get("accept-language", ""))


def from_our_pages(request: Request) -> None:
    """Refuse what another site makes a visitor's browser send; for routes that do something.

    Browsers say where a request comes from (Fetch Metadata, W3C): over https, and on this machine. Old ones, and
    all of them over plain http from elsewhere, say at least whose page it is (Origin, RFC 6454). Other programs
    send neither.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        ours = site in ("same-origin", "none")
    else:
        ours = origin is None or origin.partition("://")[2] == request.headers.get("host")
    if not ours:
        raise ApiError(403, "this request comes from the page of another site", code="cross_site")
