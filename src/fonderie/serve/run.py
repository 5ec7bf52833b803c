"""Serving from beginning to end: open the releases, answer until told to stop, let what runs finish."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fonderie.core.errors import UsageError
from fonderie.serve.answers import Answers
from fonderie.serve.served import Served

if TYPE_CHECKING:
    import uvicorn

DRAIN_SECONDS = 30
"""How long running answers may take to finish after SIGTERM; a batch system kills after as much."""


@dataclass(frozen=True)
class Address:
    """Where to listen."""

    host: str = "127.0.0.1"
    port: int = 8000

    def listen(self) -> socket.socket:
        """Take the address; UsageError if it cannot be had, before minutes are spent on loading models."""
        from fonderie.serve.connection import bound

        try:
            # With IPv6 alone: an IPv4 caller in IPv6 clothes would be in no network of --trusted-proxy.
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            listener = socket.create_server((self.host, self.port), family=family, reuse_port=False)
        except OSError as error:
            raise UsageError(
                f"{self.host}:{self.port} cannot be listened on: {error.strerror}",
                hint="Give another --port, or stop what listens there.",
            ) from error
        bound(listener)
        return listener


def serve(
    folders: Sequence[Path],
    make: Callable[[dict[str, Served]], ASGIApp],
    *,
    address: Address,
    proxies: Sequence[str] = (),
    load: Callable[[Path, Answers], Served],
    say: Callable[[str], None],
    drain: Callable[[], None] = lambda: None,
) -> None:
    """Serve releases by the application that `make` makes of them; returns when all is drained after a signal.

    `proxies` are the networks whose X-Forwarded-For and X-Forwarded-Proto are believed. `drain` is called when the
    signal comes: from then on nothing more is to be taken.
    """
    # uvicorn raises the signal once more when all is drained.
    with address.listen() as listener, suppress(KeyboardInterrupt):
        asyncio.run(_serve(folders, make, listener=listener, proxies=proxies, load=load, say=say, drain=drain))


def server_of(
    app: ASGIApp,
    proxies: Sequence[str] = (),
    drain: Callable[[], None] = lambda: None,
    drain_seconds: float = DRAIN_SECONDS,
) -> "uvicorn.Server":
    """The HTTP server of an application; it believes what these networks forward, and nobody else."""
    import uvicorn

    from fonderie.serve.connection import Connection
    from fonderie.serve.draining import CLOSING_SECONDS, DrainingServer

    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="on",  # "auto" goes on without one that failed
        log_level="warning",
        log_config=None,  # its own would close every handler of the process, and with absl's the stream below it
        access_log=False,  # addresses are personal data, and nobody needs them here
        server_header=False,
        # uvicorn would believe whoever comes from loopback, and its environment variable.
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        timeout_graceful_shutdown=CLOSING_SECONDS,
    )
    return DrainingServer(config, drain, drain_seconds)


class _Beginning:
    """Around an application: keeps what stops its beginning, of which uvicorn would print the trace."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.failure: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on."""
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return

        async def untold(message: Message) -> None:
            await send({"type": message["type"]})

        try:
            await self._app(scope, receive, untold)
        except Exception as error:
            self.failure = error


async def _serve(
    folders: Sequence[Path],
    make: Callable[[dict[str, Served]], ASGIApp],
    *,
    listener: socket.socket,
    proxies: Sequence[str],
    load: Callable[[Path, Answers], Served],
    say: Callable[[str], None],
    drain: Callable[[], None],
) -> None:
    models: dict[str, Served] = {}
    try:
        for folder in folders:
            served = load(folder, Answers())  # one for each engine: they number their requests alike
            if served.name in models:
                raise UsageError(f"{models[served.name].folder} and {folder} are both called {served.name}")
            models[served.name] = served
        app = _Beginning(make(models))
        server = server_of(app, proxies, drain)
        host, port = listener.getsockname()[:2]
        say(f"http://{f'[{host}]' if ':' in host else host}:{port}  {', '.join(models)}")
        try:
            await server.serve(sockets=[listener])
        except SystemExit:  # uvicorn's word for a beginning that failed
            if app.failure is None:
                raise
        if app.failure is not None:
            raise app.failure
    finally:
        for served in models.values():
            served.engine.close(finish=False, timeout=DRAIN_SECONDS)
