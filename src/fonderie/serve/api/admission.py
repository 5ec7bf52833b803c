"""Routes behind the door: a caller is admitted before a byte of the body is read, and the document says so."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Security
from fastapi.responses import Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from fonderie.serve.access import Door


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
                return await handle(request)

            return admitted

    # Only for the OpenAPI document: FastAPI would read the body first, and then ask who sends it.
    scheme = HTTPBearer(
        scheme_name="key",
        description="A key of this service, as `fonderie keys add` makes them."
        + ("" if door.rules.require_key else " Optional: without one a caller is limited by network address."),
        auto_error=False,
    )
    refused = {401: "No key, or none of this service", 429: "Too many requests, or the day's tokens are used up"}
    return APIRouter(
        route_class=Admitting,
        dependencies=[Security(scheme)],
        responses={status: {"description": text} for status, text in refused.items()},
    )
