"""The application: routes, who may ask, and every error in the one shape that clients know."""

import uuid
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fonderie.core.environment import installed_version
from fonderie.serve.api.access import Access, Caller
from fonderie.serve.api.chat import ChatFields, chat_answer, chat_stream
from fonderie.serve.api.completions import CompletionFields, completion_answer, completion_stream
from fonderie.serve.api.embeddings import EmbeddingFields, embedded
from fonderie.serve.api.errors import ApiError
from fonderie.serve.api.streaming import GoneError, stream, while_connected
from fonderie.serve.api.tokens import DetokenizeFields, TokenizeFields, detokenized, tokenized, tokenizer_info
from fonderie.serve.served import Served

BODY_LIMIT_BYTES = 4 << 20
HEADERS_LIMIT = 100


def make_api(models: Mapping[str, Served], access: Access) -> FastAPI:
    """The interface over some models; the first is the one that is asked where a client names none."""
    app = FastAPI(
        title="Fonderie",
        version=installed_version("fonderie") or "unknown",
        summary="Really open language models, behind the interface that OpenAI's clients speak",
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(Frame)
    _handle_errors(app)

    def served(name: str) -> Served:
        found = models.get(name)
        if found is None:
            raise ApiError(
                404,
                f"there is no model {name[:80]!r} here; there is {', '.join(models)}",
                code="model_not_found",
                param="model",
            )
        return found

    async def admitted(request: Request) -> Caller:
        return await access.admit(request)

    @app.get("/v1/models")
    async def list_models(request: Request) -> dict[str, Any]:
        """The models that answer."""
        await admitted(request)
        return {"object": "list", "data": [_described(model) for model in models.values()]}

    @app.get("/v1/models/{name}")
    async def get_model(name: str, request: Request) -> dict[str, Any]:
        """One of them."""
        await admitted(request)
        return _described(served(name))

    @app.post("/v1/chat/completions")
    async def chat(fields: ChatFields, request: Request) -> Response:
        """Continue a conversation."""
        caller, model = await admitted(request), served(fields.model)
        for message in fields.messages:
            model.check_length(message.text, "messages")
        if fields.stream:
            return await stream(access.counted(caller, chat_stream(model, fields)))
        return _json(await while_connected(request, access.counting(caller, chat_answer(model, fields))))

    @app.post("/v1/completions")
    async def completions(fields: CompletionFields, request: Request) -> Response:
        """Continue a text, or read its log-probabilities."""
        caller, model = await admitted(request), served(fields.model)
        if isinstance(fields.prompt, str):
            model.check_length(fields.prompt, "prompt")
        if fields.stream:
            return await stream(access.counted(caller, completion_stream(model, fields)))
        return _json(await while_connected(request, access.counting(caller, completion_answer(model, fields))))

    @app.post("/v1/embeddings")
    async def embeddings(fields: EmbeddingFields, request: Request) -> Response:
        """Turn texts into vectors."""
        caller, model = await admitted(request), served(fields.model)
        return _json(await while_connected(request, access.counting(caller, embedded(model, fields))))

    @app.post("/tokenize")
    async def tokenize(fields: TokenizeFields, request: Request) -> dict[str, Any]:
        """Turn a text into token ids."""
        await admitted(request)
        return tokenized(served(fields.model), fields)

    @app.post("/detokenize")
    async def detokenize(fields: DetokenizeFields, request: Request) -> dict[str, str]:
        """Turn token ids into text."""
        await admitted(request)
        return detokenized(served(fields.model), fields)

    @app.get("/tokenizer_info")
    async def info(request: Request, model: str | None = None) -> dict[str, Any]:
        """What there is to know of a model's tokenizer; of the first model's, if none is named."""
        await admitted(request)
        return tokenizer_info(served(model or next(iter(models))))

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether the process answers at all."""
        return {"status": "ok"}

    @app.get("/ready")
    async def ready() -> JSONResponse:
        """Whether every engine can answer."""
        failed = {name: model.engine.failure for name, model in models.items() if model.engine.failure}
        if failed:
            return JSONResponse({"status": "failed", "models": failed}, 503)
        return JSONResponse({"status": "ready"})

    return app


def _described(model: Served) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "model",
        "created": model.created,
        "owned_by": "fonderie",
        "max_model_len": model.engine.context,
        "digest": model.digest,
        "licence": model.index.licence,
    }


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")


def _handle_errors(app: FastAPI) -> None:
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
    """Around every request: its name, and bounds on headers and body. Plain ASGI, so that streams stay streams."""

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
                message["headers"] = [*message["headers"], (b"x-request-id", name.encode())]
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
