"""One connection, within bounds that uvicorn leaves open: how large a request may be before anybody looks at it,
and how long its head may take to come.

Without them whoever opens connections and sends a byte now and then holds one for as long as they like, and one
header without an end is kept in memory (CWE-400; Slowloris, 2009). What nobody reads, the kernel ends.
"""

import asyncio
import json
import socket
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fonderie.serve.api.errors import ApiError

HEAD_SECONDS = 20.0
"""From the connection, or a request's first byte, to the end of its headers."""
HEAD_LIMIT_BYTES = 64 << 10
"""Of a request's line and headers; browsers and proxies stop at a quarter of it."""
MESSAGE_LIMIT_BYTES = 32 << 20
"""Of all that a request sends: many times the body that is taken, since a body may come in chunks of one byte."""
REST_SECONDS, REST_LIMIT_BYTES = 5.0, 1 << 20
"""Of what is left of a request that has its answer already: so long it is read and thrown away, and so much of
headers. A connection that ended at once would take the answer with it (RFC 9112, section 9.6)."""
UNREAD_SECONDS = 60
"""After which a connection ends whose other end takes nothing in, or is no longer there (RFC 5482)."""


class Connection(HttpToolsProtocol):
    """Ends what is too large or too slow; all the rest is uvicorn's."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._taken, self._in_head = 0, True
        """Bytes of the request that is coming, as far as they came apart from what was before it."""
        self._begun = False
        """Whether anything ever came."""
        self._whole = True
        """Whether all of the request has come."""
        self._refused = False
        """Whether nothing more is read, but thrown away."""
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the first request its time."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, and count it."""
        self._taken += len(data)
        if not self._refused:
            super().data_received(data)
        if self.transport.is_closing():
            return
        if self._taken > (REST_LIMIT_BYTES if self._refused else MESSAGE_LIMIT_BYTES):
            self.transport.abort()
        elif self._in_head and self._taken > HEAD_LIMIT_BYTES and not self._refused:
            self._refuse(431, "the headers are too large", "headers_too_large")

    def on_message_begin(self) -> None:
        """Give a request its time."""
        super().on_message_begin()
        self._taken, self._in_head, self._begun, self._whole = 0, True, True, False
        self._wait()

    def on_headers_complete(self) -> None:
        """From here on the application bounds what comes."""
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of it is there."""
        self._whole = True
        self._stop_waiting()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait a little for the rest of a request that was answered before all of it had come."""
        super().on_response_complete()
        if not self._whole and not self._in_head and not self._answers() and not self.transport.is_closing():
            self._wait_for_the_rest()

    def _wait_for_the_rest(self) -> None:
        self._stop_waiting()
        self._patience = self.loop.call_later(REST_SECONDS, self.transport.abort)

    def _wait(self) -> None:
        self._stop_waiting()
        self._patience = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        if self._answers():  # the next request has begun to come meanwhile, and may wait as long as the answer runs
            self._wait()
        elif self._begun:
            self._refuse(408, f"the headers did not come within {HEAD_SECONDS:.0f} seconds", "headers_too_slow")
        else:
            self.transport.close()  # browsers open connections in advance, and expect no answer to nothing

    def _answers(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, status: int, message: str, code: str) -> None:
        if self._answers():
            self.transport.abort()  # an answer cannot be put into the midst of another
            return
        body = json.dumps(ApiError(status, message, code=code).body).encode("ascii")
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        head += f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(head.encode("ascii") + body)
        self.transport.write_eof()
        self._refused = True
        self._wait_for_the_rest()

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing is upgraded to here, and whoever asks for it is no reason to write a log."""


def bound(listener: socket.socket) -> None:
    """Have the kernel end connections that are dead, or whose other end reads nothing; each inherits it."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", UNREAD_SECONDS), ("TCP_USER_TIMEOUT", UNREAD_SECONDS * 1000)):
        if hasattr(socket, name):  # Linux has both
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
