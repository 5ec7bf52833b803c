"""Routes behind the door: a caller is admitted before a byte of the body is read, and the document says so."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Security
from fastapi.responses import Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from fonderie.serve.access import Door
from fonderie.serve.api.errors import ApiError, ErrorBody


def guarded(door: Door) -> APIRouter:
    """A router whose routes find the caller in `request.state.caller`."""

    class Admitting(APIRoute):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            if not door.rules.require_key:
                # In OpenAPI, one of two ways: by key, or by nothing.
                self.openapi_extra = {**(self.openapi_extra or {}), "security": [{}]}

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def admitted(request: Request) -> Response:
                request.state.caller = await door.admit(request)
                if self.body_field is not None:
                    _refuse_other_than_json(request)
                return await handle(request)

            return admitted

    # Only for the OpenAPI document: FastAPI would read the body first, and then ask who sends it.
    scheme = HTTPBearer(
        scheme_name="key",
        description="A key of this service, as `fonderie keys add` makes them."
        + ("" if door.rules.require_key else " Optional: without one a caller is limited by network address."),
        auto_error=False,
    )
    refused: dict[int | str, str] = {
        401: "No key, or none of this service",
        429: "Too many requests, or the day's tokens are used up; `retry-after` says when to come back",
        # FastAPI would say 422 with a shape of its own, which nobody is ever answered.
        "4XX": "What is asked cannot be answered as it is",
        "5XX": "The service, or what computes its answers, is not well",
    }
    return APIRouter(
        route_class=Admitting,
        dependencies=[Security(scheme)],
        responses={status: {"description": text, "model": ErrorBody} for status, text in refused.items()},
    )


def _refuse_other_than_json(request: Request) -> None:
    """ApiError 415: what is forgotten most often with curl, and FastAPI would say something else of."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        said = f"is {kind[:80]!r}" if kind else "is missing"
        raise ApiError(
            415,
            f"bodies here are JSON, and content-type {said}: send application/json",
            code="unsupported_media_type",
        )
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise ApiError(415, "bodies are read as they are: send no content-encoding", code="unsupported_media_type")
