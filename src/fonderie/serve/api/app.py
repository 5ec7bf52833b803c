"""The application: its routes."""

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from fonderie.core.environment import installed_version
from fonderie.serve.api.access import Access
from fonderie.serve.api.chat import ChatFields, chat_answer, chat_stream
from fonderie.serve.api.completions import CompletionFields, completion_answer, completion_stream
from fonderie.serve.api.embeddings import EmbeddingFields, embedded
from fonderie.serve.api.errors import ApiError
from fonderie.serve.api.frame import Frame, handle_errors
from fonderie.serve.api.streaming import stream, while_connected
from fonderie.serve.api.tokens import DetokenizeFields, TokenizeFields, detokenized, tokenized, tokenizer_info
from fonderie.serve.served import Served


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
    handle_errors(app)
    _add_answers(app, models, access)
    _add_tokens(app, models, access)
    _add_state(app, models, access)
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


def _add_answers(app: FastAPI, models: Mapping[str, Served], access: Access) -> None:
    @app.post("/v1/chat/completions")
    async def chat(fields: ChatFields, request: Request) -> Response:
        """Continue a conversation."""
        caller, model = await access.admit(request), _named(models, fields.model)
        for message in fields.messages:
            model.check_length(message.text, "messages")
        if fields.stream:
            return await stream(access.counted(caller, chat_stream(model, fields)))
        return _json(await while_connected(request, access.counting(caller, chat_answer(model, fields))))

    @app.post("/v1/completions")
    async def completions(fields: CompletionFields, request: Request) -> Response:
        """Continue a text, or read its log-probabilities."""
        caller, model = await access.admit(request), _named(models, fields.model)
        if fields.stream:
            return await stream(access.counted(caller, completion_stream(model, fields)))
        return _json(await while_connected(request, access.counting(caller, completion_answer(model, fields))))

    @app.post("/v1/embeddings")
    async def embeddings(fields: EmbeddingFields, request: Request) -> Response:
        """Turn texts into vectors."""
        caller, model = await access.admit(request), _named(models, fields.model)
        return _json(await while_connected(request, access.counting(caller, embedded(model, fields))))


def _add_tokens(app: FastAPI, models: Mapping[str, Served], access: Access) -> None:
    @app.post("/tokenize")
    async def tokenize(fields: TokenizeFields, request: Request) -> dict[str, Any]:
        """Turn a text into token ids."""
        await access.admit(request)
        return tokenized(_named(models, fields.model), fields)

    @app.post("/detokenize")
    async def detokenize(fields: DetokenizeFields, request: Request) -> dict[str, str]:
        """Turn token ids into text."""
        await access.admit(request)
        return detokenized(_named(models, fields.model), fields)

    @app.get("/tokenizer_info")
    async def info(request: Request, model: str | None = None) -> dict[str, Any]:
        """What there is to know of a model's tokenizer; of the first model's, if none is named."""
        await access.admit(request)
        return tokenizer_info(_named(models, model or next(iter(models))))


def _add_state(app: FastAPI, models: Mapping[str, Served], access: Access) -> None:
    @app.get("/v1/models")
    async def list_models(request: Request) -> dict[str, Any]:
        """The models that answer."""
        await access.admit(request)
        return {"object": "list", "data": [_described(model) for model in models.values()]}

    @app.get("/v1/models/{name}")
    async def get_model(name: str, request: Request) -> dict[str, Any]:
        """One of them."""
        await access.admit(request)
        return _described(_named(models, name))

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
