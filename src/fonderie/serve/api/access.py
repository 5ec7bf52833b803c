"""Who may ask, and how much: what the routes need to know of it."""

from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from fastapi import Request

Result = TypeVar("Result")


@dataclass(frozen=True)
class Caller:
    """Somebody who was let in."""

    name: str
    """The key's name, or the address; never the key."""


class Access(Protocol):
    """A door."""

    async def admit(self, request: Request) -> Caller:
        """Let a request in; ApiError 401, 403, 429 or 503 if not."""
        ...

    def counted(self, caller: Caller, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """A stream, counted to its caller while it lasts."""
        ...

    async def counting(self, caller: Caller, work: Coroutine[Any, Any, Result]) -> Result:
        """A whole answer, counted to its caller while it lasts."""
        ...


class Open:
    """Everybody may ask, as much as the queue takes: for one's own machine."""

    async def admit(self, request: Request) -> Caller:
        """Let in."""
        return Caller(request.client.host if request.client else "unknown")

    def counted(self, caller: Caller, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:  # noqa: ARG002
        """As it is."""
        return events

    async def counting(self, caller: Caller, work: Coroutine[Any, Any, Result]) -> Result:  # noqa: ARG002
        """As it is."""
        return await work
