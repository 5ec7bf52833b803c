"""Server-sent events, and answers to people who leave."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any, TypeVar

import orjson
from fastapi import Request as HttpRequest
from fastapi.responses import StreamingResponse

from fonderie.serve.api.errors import ApiError

Result = TypeVar("Result")
DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
_LINE_ENDS = tuple((chr(code).encode(), rb"\u%04x" % code) for code in (0x85, 0x2028, 0x2029))
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


class GoneError(Exception):
    """Nobody waits for the answer any more."""


def data(value: Any) -> bytes:
    """One event."""
    return b"data: " + on_one_line(orjson.dumps(value)) + b"\n\n"


def on_one_line(written: bytes) -> bytes:
    """JSON without what only some take for the end of a line, such as httpx and others that read lines of text."""
    for character, escaped in _LINE_ENDS:
        written = written.replace(character, escaped)
    return written


async def stream(http: HttpRequest, events: AsyncIterator[bytes]) -> StreamingResponse:
    """A response of events. The first is awaited here, so that what is refused at once has its status.

    An error later on is an event of its own, after which the stream ends without [DONE]: clients raise it. Who
    leaves before the first event is forgotten at once too (GoneError).
    """
    first = await while_connected(http, anext(events))

    async def body() -> AsyncIterator[bytes]:
        try:
            yield first
            async for event in events:
                yield event
        except ApiError as error:
            yield data(error.body)
        finally:
            await events.aclose()  # type: ignore[attr-defined]

    return StreamingResponse(body(), media_type="text/event-stream", headers=_HEADERS)


async def while_connected(http: HttpRequest, work: Awaitable[Result]) -> Result:
    """Do the work, or give it up when the client leaves (GoneError)."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(http))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise GoneError
        return task.result()
    finally:
        for other in (task, gone):
            other.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(http: HttpRequest) -> None:
    """Until the client leaves; the body has been read, so nothing else can come."""
    while (await http.receive())["type"] != "http.disconnect":
        pass
