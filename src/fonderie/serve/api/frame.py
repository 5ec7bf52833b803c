"""Around every request: its name, bounds on what comes, and every error in the one shape that clients know."""

import uuid

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fonderie.serve.api.errors import ApiError
from fonderie.serve.api.streaming import GoneError

BODY_LIMIT_BYTES = 4 << 20
HEADERS_LIMIT = 100


def handle_errors(app: FastAPI) -> None:
    """Every error as a response; what nobody foresaw says its kind and nothing more."""

    @app.exception_handler(ApiError)
    async def api_error(_request: Request, error: ApiError) -> JSONResponse:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        return _invalid(error).response()

    @app.exception_handler(HTTPException)
    async def http_error(_request: Request, error: HTTPException) -> JSONResponse:
        codes = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}
        code = codes.get(error.status_code, "invalid_request")
        response = ApiError(error.status_code, str(error.detail), code=code).response()
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(GoneError)
    async def gone(_request: Request, _error: GoneError) -> Response:
        return Response(status_code=499)  # nobody reads it; the log counts it

    @app.exception_handler(Exception)
    async def unexpected(_request: Request, error: Exception) -> JSONResponse:
        return ApiError(500, f"an error of ours: {type(error).__name__}", code="internal_error").response()


def _invalid(error: RequestValidationError) -> ApiError:
    """The first problem, by the name of its field; the request's own text is not repeated."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"] if part not in ("body", "query")]
    param = place[0] if place else None
    kind = str(first["type"])
    if kind == "json_invalid":
        return ApiError(400, "the body is not JSON", code="invalid_json")
    if kind == "extra_forbidden":
        name = ".".join(place)
        return ApiError(400, f"{name} is not supported here", code="unsupported_parameter", param=name)
    message = str(first["msg"]).removeprefix("Value error, ")
    if kind == "missing":
        return ApiError(400, f"{'.'.join(place) or 'the body'} is missing", code="missing_field", param=param)
    return ApiError(400, f"{'.'.join(place)}: {message}" if place else message, code="invalid_value", param=param)


class Frame:
    """Plain ASGI, so that streams stay streams."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse what is too large, bound what comes, and put the request's name into the response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = f"req_{uuid.uuid4().hex}"
        scope.setdefault("state", {})["request_id"] = name
        headers = scope["headers"]

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = {"x-request-id": name, **scope["state"].get("answer_headers", {})}
                lines = [(key.encode("ascii"), value.encode("ascii")) for key, value in added.items()]
                message["headers"] = [*message["headers"], *lines]
            await send(message)

        problem = None
        if len(headers) > HEADERS_LIMIT:
            problem = ApiError(431, f"more than {HEADERS_LIMIT} headers", code="too_many_headers")
        length = next((value for key, value in headers if key == b"content-length"), b"0")
        if not length.isdigit() or int(length) > BODY_LIMIT_BYTES:
            problem = ApiError(413, f"the body is larger than {BODY_LIMIT_BYTES:,} bytes", code="body_too_large")
        if problem is not None:
            await problem.response()(scope, receive, named)
            return
        await self._app(scope, _bounded(receive), named)


def _bounded(receive: Receive) -> Receive:
    """A body without a stated length is bounded as it comes."""
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > BODY_LIMIT_BYTES:
            raise HTTPException(413, f"the body is larger than {BODY_LIMIT_BYTES:,} bytes")
        return message

    return bounded
