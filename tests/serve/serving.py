"""A release served on loopback, as it would be for anyone."""

import asyncio
import socket
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from fonderie.serve.access import Door, Rules
from fonderie.serve.answers import Answers
from fonderie.serve.database.base import open_database
from fonderie.serve.engine.engine import Limits
from fonderie.serve.run import server_of
from fonderie.serve.served import Served, open_release

Make = Callable[[list[Served]], ASGIApp]
Load = Callable[[Path, Answers], Served]


@dataclass
class Running:
    """A server for as long as the block lasts."""

    url: str
    served: list[Served]
    app: ASGIApp
    loop: asyncio.AbstractEventLoop

    def call(self, coroutine: Awaitable[object]) -> object:
        """Run something in the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)  # type: ignore[arg-type]


def door(folder: Path, rules: Rules | None = None) -> Door:
    """A door with a database of its own; open to everybody if no rules are given."""
    return Door(open_database(f"sqlite:///{folder / 'service.db'}"), rules)


def _stuck(thread: threading.Thread, loop: asyncio.AbstractEventLoop) -> str:
    """Where a server that does not end is: what its thread runs, and what its tasks wait for."""
    frame = sys._current_frames()[thread.ident or 0]
    return "".join([*traceback.format_stack(frame), *(f"{task!r}\n" for task in asyncio.all_tasks(loop))])


@contextmanager
def serving(
    folders: list[Path], make: Make, proxies: Sequence[str] = (), load: Load | None = None, **limits: int
) -> Iterator[Running]:
    """Serve releases by the application that `make` makes of them, on a free port of loopback.

    Opened by `load`; by our own engine, with limits, if none is given.
    """
    load = load or partial(open_release, limits=Limits(**limits), threads=1)
    listener = socket.create_server(("127.0.0.1", 0))
    begun = threading.Event()
    found: list[Running] = []

    async def run() -> None:
        served = [load(folder, Answers()) for folder in folders]
        app = make(served)
        server = server_of(app, proxies, drain_seconds=2)  # a test is over when it is over
        servers.append(server)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        found.append(Running(url, served, app, asyncio.get_running_loop()))
        begun.set()
        try:
            await server.serve(sockets=[listener])
        finally:
            for one in served:
                one.engine.close(finish=False)

    servers: list[uvicorn.Server] = []
    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert begun.wait(60)
    try:
        yield found[0]
    finally:
        servers[0].should_exit = True
        thread.join(60)
        assert not thread.is_alive(), _stuck(thread, found[0].loop)
