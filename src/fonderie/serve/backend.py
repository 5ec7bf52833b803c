"""What answers the requests of a release: our engine, or an engine of others that is asked over HTTP."""

from typing import Protocol

from fonderie.serve.engine.engine import Limits, Load
from fonderie.serve.engine.request import Capability, Request


class NotSupportedError(ValueError):
    """This engine cannot honour a parameter, which is named."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


class Backend(Protocol):
    """Answers requests until it is closed; used from the event loop."""

    kind: str
    """Its name: "fonderie", or that of an upstream."""
    capabilities: frozenset[Capability]
    limits: Limits
    context: int
    """Tokens that it reads, the answer among them."""
    failure: str | None
    """What ended it, if anything did."""

    def submit(self, request: Request) -> int:
        """Put a request in line; returns its number, which no other request of the process has.

        NotSupportedError for what it cannot do, ValueError for what does not fit into the context, QueueFullError
        if too many wait, RuntimeError when closing.
        """
        ...

    def cancel(self, number: int) -> None:
        """Give a request up; its last event says "cancelled"."""
        ...

    def position(self, number: int) -> int | None:
        """How many are in line before a request; None if it is not in line, or not any more."""
        ...

    def load(self) -> Load:
        """What there is to do, and what has been done."""
        ...

    def close(self, *, finish: bool = True, timeout: float | None = None) -> bool:
        """Take nothing more; finish what was taken, or drop it. Returns whether all had ended in time."""
        ...

    async def problem(self) -> str | None:
        """Why it could not answer now; None if it could."""
        ...
