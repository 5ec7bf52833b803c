"""The application: its routes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import orjson
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.concurrency import run_in_threadpool

from fonderie.core.environment import installed_version
from fonderie.serve.access import Door
from fonderie.serve.answers import Spent
from fonderie.serve.api.admission import guarded
from fonderie.serve.api.chat import ChatFields, chat_answer, chat_stream
from fonderie.serve.api.completions import CompletionFields, completion_answer, completion_stream
from fonderie.serve.api.embeddings import EmbeddingFields, embedded
from fonderie.serve.api.errors import ApiError
from fonderie.serve.api.frame import Frame, handle_errors
from fonderie.serve.api.gates import gate_of
from fonderie.serve.api.responses import ResponsesFields, response_answer, response_stream
from fonderie.serve.api.streaming import stream, while_connected
from fonderie.serve.api.tokens import DetokenizeFields, TokenizeFields, detokenized, tokenized, tokenizer_info
from fonderie.serve.metrics import CONTENT_TYPE, Measured, Metrics
from fonderie.serve.served import Served

Asking = TypeVar("Asking", ChatFields, CompletionFields, ResponsesFields)
During = Callable[[], AbstractAsyncContextManager[None]]
"""Something that runs beside the answers, from the server's beginning to its end."""


def make_api(
    models: Mapping[str, Served], door: Door, during: Sequence[During] = (), *, open_metrics: bool = False
) -> FastAPI:
    """The interface over some models, behind a door; the first is asked where a client names none.

    /metrics is for holders of an admin's key; with `open_metrics` for everybody.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for running in (door.running, *during):
                await stack.enter_async_context(running())
            yield

    app = FastAPI(
        title="Fonderie",
        version=installed_version("fonderie") or "unknown",
        summary="Really open language models, behind the interface that OpenAI's clients speak",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_middleware(Frame)
    handle_errors(app)
    router = guarded(door)
    _add_answers(router, models, door)
    _add_tokens(router, models)
    _add_models(router, models)
    app.include_router(router)
    _add_state(app, models, door)
    _add_metrics(app, models, door, open_metrics)
    return app


def _named(models: Mapping[str, Served], name: str) -> Served:
    found = models.get(name)
    if found is None:
        raise ApiError(
            404,
            f"there is no model {name[:80]!r} here; there is {', '.join(models)}",
            code="model_not_found",
            param="model",
        )
    return found


def _add_answers(app: APIRouter, models: Mapping[str, Served], door: Door) -> None:
    async def answered(
        request: Request,
        fields: Asking,
        whole: Callable[[Served, Asking, Spent], Awaitable[dict[str, Any]]],
        streamed: Callable[[Served, Asking, Spent], AsyncIterator[bytes]],
    ) -> Response:
        model, spent = _named(models, fields.model), door.meter(request.state.caller)
        if fields.stream:
            return await stream(request, streamed(model, fields, spent))
        return _json(await while_connected(request, whole(model, fields, spent)))

    @app.post("/v1/chat/completions")
    async def chat(fields: ChatFields, request: Request) -> Response:
        """Continue a conversation."""
        return await answered(request, fields, chat_answer, chat_stream)

    @app.post("/v1/completions")
    async def completions(fields: CompletionFields, request: Request) -> Response:
        """Continue a text, or read its log-probabilities."""
        return await answered(request, fields, completion_answer, completion_stream)

    @app.post("/v1/responses")
    async def responses(fields: ResponsesFields, request: Request) -> Response:
        """Continue a conversation, as OpenAI's newer interface writes it; nothing is stored."""
        return await answered(request, fields, response_answer, response_stream)

    @app.post("/v1/embeddings")
    async def embeddings(fields: EmbeddingFields, request: Request) -> Response:
        """Turn texts into vectors."""
        model = _named(models, fields.model)
        return _json(await while_connected(request, embedded(model, fields, door.meter(request.state.caller))))


def _add_tokens(app: APIRouter, models: Mapping[str, Served]) -> None:
    @app.post("/tokenize")
    async def tokenize(fields: TokenizeFields) -> dict[str, Any]:
        """Turn a text into token ids."""
        return await asyncio.to_thread(tokenized, _named(models, fields.model), fields)

    @app.post("/detokenize")
    async def detokenize(fields: DetokenizeFields) -> dict[str, str]:
        """Turn token ids into text."""
        return detokenized(_named(models, fields.model), fields)

    @app.get("/tokenizer_info")
    async def info(model: str | None = None) -> dict[str, Any]:
        """What there is to know of a model's tokenizer; of the first model's, if none is named."""
        return tokenizer_info(_named(models, model or next(iter(models))))


def _add_models(app: APIRouter, models: Mapping[str, Served]) -> None:
    gates = {name: gate_of(model) for name, model in models.items()}

    def described(name: str) -> dict[str, Any]:
        return {**_described(_named(models, name)), "gate": gates[name]}

    @app.get("/v1/models")
    async def list_models() -> dict[str, Any]:
        """The models that answer."""
        return {"object": "list", "data": [described(name) for name in models]}

    @app.get("/v1/models/{name}")
    async def get_model(name: str) -> dict[str, Any]:
        """One of them."""
        return described(name)


def _add_state(app: FastAPI, models: Mapping[str, Served], door: Door) -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether the process answers at all."""
        return {"status": "ok"}

    @app.get("/ready")
    async def ready() -> JSONResponse:
        """Whether the service is open and every engine can answer."""
        if door.stage is not None and (door.stage.draining or door.stage.current().closed):
            return JSONResponse({"status": "draining" if door.stage.draining else "closed"}, 503)
        problems = {name: await model.engine.problem() for name, model in models.items()}
        failed = {name: problem for name, problem in problems.items() if problem is not None}
        if failed:
            return JSONResponse({"status": "failed", "models": failed}, 503)
        return JSONResponse({"status": "ready"})


def _add_metrics(app: FastAPI, models: Mapping[str, Served], door: Door, open_to_all: bool) -> None:
    metrics = Metrics(models, door.database)
    app.add_middleware(Measured, metrics=metrics)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def show_metrics(request: Request) -> Response:
        """What is counted of the service, in Prometheus' text; for an admin's key, unless it is open to all."""
        if not open_to_all:
            await door.admit_admin(request)
        return Response(await run_in_threadpool(metrics.text), media_type=CONTENT_TYPE)


def _described(model: Served) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "model",
        "created": model.created,
        "owned_by": "fonderie",
        "max_model_len": model.engine.context,
        "digest": model.digest,
        "licence": model.index.licence,
        "engine": model.engine.kind,
        "capabilities": sorted(model.engine.capabilities),
    }


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
