"""Around every request: its name, bounds on what comes, headers of every answer, errors in the shape clients know.

Nothing that goes wrong is logged in its own words, which may hold a conversation: its kind, where, and the request.
"""

import asyncio
import logging
import traceback
import uuid
from collections.abc import MutableMapping
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fonderie.serve.api.errors import ApiError
from fonderie.serve.api.invalid import invalid
from fonderie.serve.api.streaming import GoneError
from fonderie.serve.database.base import is_away, why

log = logging.getLogger(__name__)

BODY_LIMIT_BYTES = 4 << 20
BODY_SECONDS = 60.0
"""For a body to come as a whole: at the limit, 70 kB a second."""
HEADERS_LIMIT, HEADERS_LIMIT_BYTES = 100, 64 << 10
PLACES = 24
"""Lines of code that the log names of an error."""
DATABASE_RETRY_SECONDS = 5

USUAL = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cache-control": b"no-store",
}
"""Headers of every answer that says nothing else: JSON, errors, redirects, assets. Pages have their own policy."""


def handle_errors(app: FastAPI) -> None:
    """Every error as a response; what nobody foresaw says its kind and nothing more."""

    @app.exception_handler(ApiError)
    async def api_error(_request: Request, error: ApiError) -> JSONResponse:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def not_as_documented(_request: Request, error: RequestValidationError) -> JSONResponse:
        return invalid(error).response()

    @app.exception_handler(HTTPException)
    async def http_error(_request: Request, error: HTTPException) -> JSONResponse:
        codes = {404: "not_found", 405: "method_not_allowed", 408: "body_too_slow", 413: "body_too_large"}
        code = codes.get(error.status_code, "invalid_request")
        response = ApiError(error.status_code, str(error.detail), code=code).response()
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(SQLAlchemyError)
    async def database(_request: Request, error: SQLAlchemyError) -> JSONResponse:
        if not is_away(error):
            raise error
        log.error("the database cannot be used: %s", why(error))
        return ApiError(
            503,
            "the service cannot reach what it keeps at the moment; nothing was stored",
            code="database_away",
            retry_after_seconds=DATABASE_RETRY_SECONDS,
        ).response()

    @app.exception_handler(GoneError)
    @app.exception_handler(ClientDisconnect)
    async def gone(_request: Request, _error: Exception) -> Response:
        return Response(status_code=499)  # nobody reads it; the log counts it

    @app.exception_handler(Exception)
    async def unexpected(_request: Request, error: Exception) -> JSONResponse:
        return ApiError(500, f"an error of ours: {type(error).__name__}", code="internal_error").response()


class Frame:
    """Plain ASGI, so that streams stay streams."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse what is too large, bound what comes, see to the headers of what goes, answer what fails."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name, begun = f"req_{uuid.uuid4().hex}", False
        scope.setdefault("state", {})["request_id"] = name

        async def framed(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                _frame(message, {"x-request-id": name, **scope["state"].get("answer_headers", {})})
            await send(message)

        problem = _too_much(scope)
        if problem is not None:
            await problem.response()(scope, receive, framed)
            return
        try:
            await self._app(scope, _bounded(receive), framed)
        except Exception as error:
            log.error("an error of ours: %s in %s, at %s", type(error).__name__, name, _place(error))
            if begun:
                return  # the server ends the connection, so that the answer is not taken for a whole one
            response = await scope["app"].exception_handlers[Exception](Request(scope), error)
            await response(scope, receive, framed)


def _too_much(scope: Scope) -> ApiError | None:
    """What there is to say of a request from its head alone."""
    headers = scope["headers"]
    if len(headers) > HEADERS_LIMIT:
        return ApiError(431, f"more than {HEADERS_LIMIT} headers", code="too_many_headers")
    if sum(len(key) + len(value) for key, value in headers) > HEADERS_LIMIT_BYTES:
        return ApiError(431, f"the headers are larger than {HEADERS_LIMIT_BYTES:,} bytes", code="headers_too_large")
    length = next((value for key, value in headers if key == b"content-length"), b"0")
    if not length.isdigit() or len(length) > 20 or int(length) > BODY_LIMIT_BYTES:
        return ApiError(413, f"the body is larger than {BODY_LIMIT_BYTES:,} bytes", code="body_too_large")
    return None


def _frame(message: MutableMapping[str, object], added: dict[str, str]) -> None:
    """The headers of an answer: those it has, those of this request, and the usual ones that it has not."""
    given = [(key.lower(), value) for key, value in message["headers"]]  # type: ignore[attr-defined]
    there = {key for key, _ in given}
    lines = [(key, _here(value) if key == b"location" else value) for key, value in given]
    lines += [(key.encode("ascii"), value.encode("ascii")) for key, value in added.items()]
    lines += [line for line in USUAL.items() if line[0] not in there]
    message["headers"] = lines


def _here(location: bytes) -> bytes:
    """Where a redirect leads, without a host: Starlette takes that from the Host header, which anybody can set."""
    path = location if location.startswith(b"/") else location.partition(b"://")[2].partition(b"/")[2]
    return b"/" + path.lstrip(b"/")  # "//elsewhere" would lead to another host


def _place(error: Exception) -> str:
    """The lines of code that an error went through, the innermost first; none of its words."""
    frames = traceback.extract_tb(error.__traceback__)[-PLACES:]
    return " < ".join(f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.lineno}" for frame in reversed(frames))


def _bounded(receive: Receive) -> Receive:
    """A body without a stated length is bounded as it comes, and any body in its time."""
    seen, whole = 0, False
    until = asyncio.get_running_loop().time() + BODY_SECONDS

    async def bounded() -> Message:
        nonlocal seen, whole
        try:
            async with asyncio.timeout_at(None if whole else until):
                message = await receive()
        except TimeoutError as error:
            raise HTTPException(408, f"the body did not come within {BODY_SECONDS:.0f} seconds") from error
        seen += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if seen > BODY_LIMIT_BYTES:
            raise HTTPException(413, f"the body is larger than {BODY_LIMIT_BYTES:,} bytes")
        return message

    return bounded
