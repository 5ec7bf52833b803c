"""A bound on the whole of an exchange over HTTP, where a client's own timeouts bound each silence alone.

A server that sends a byte now and then, of headers too, would otherwise be listened to for as long as it likes.
"""

import contextlib
import socket
import threading
from collections.abc import Mapping
from typing import Any


class Watchdog:
    """Ends a connection when its time is up; a context manager, for one connection that is not kept alive.

    Give `trace` to the request as its extension of that name (httpcore's). What was broken off may look like the
    end of an answer whose length was not stated: ask `bitten` before it is believed.
    """

    def __init__(self, seconds: float) -> None:
        self.bitten = False
        self._seconds = seconds
        self._stream: Any = None
        self._timer: threading.Timer | None = None

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Learn of the connection, and of the encrypted one made of it."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._stream = info["return_value"]

    def allow(self, seconds: float) -> None:
        """From now on so long; what was left is forgotten."""
        self.stop()
        self._timer = threading.Timer(seconds, self._bite)
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        """Let the connection be."""
        if self._timer is not None:
            self._timer.cancel()

    def _bite(self) -> None:
        self.bitten = True
        sock = self._stream.get_extra_info("socket") if self._stream is not None else None
        if sock is not None:
            # Closing alone would not wake a thread that reads.
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> "Watchdog":
        self.allow(self._seconds)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
