"""An HTTP server that drains in the open: told to stop, it says so to who asks, until what runs has finished.

uvicorn alone closes its port at once. A balancer in front of several processes then sees connections refused for as
long as the last answer takes, instead of a 503 on /ready that tells it to ask another.
"""

import time
from collections.abc import Callable

import uvicorn

CLOSING_SECONDS = 1
"""How long connections may take to close once nothing runs on them."""


class DrainingServer(uvicorn.Server):
    """Stops when no request runs any more, or after `seconds`; a second Ctrl-C stops it at once."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], None], seconds: float) -> None:
        super().__init__(config)
        self._drain, self._seconds = drain, seconds
        self._until: float | None = None

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second; whether to close the port."""
        if not await super().on_tick(counter):
            return False
        if self._until is None:
            self._until = time.monotonic() + self._seconds
            self._drain()
        return self.force_exit or not self.server_state.tasks or time.monotonic() >= self._until
