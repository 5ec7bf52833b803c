"""A release whose answers come from somewhere else, served on loopback."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.serve.serving import Running, door, serving

from fonderie.serve.api.app import make_api
from fonderie.serve.engine.engine import Limits
from fonderie.serve.upstream.opening import open_upstream


@contextmanager
def proxying(release: Path, folder: Path, url: str, kind: str = "vllm", **limits: int) -> Iterator[Running]:
    """The interface over an upstream."""
    load = partial(open_upstream, kind=kind, url=url, key=None, alone=True, limits=Limits(**limits))
    with serving([release], make(folder), load=load) as found:
        yield found


def make(folder: Path) -> Any:
    """What makes the interface, with a database in a folder."""
    return lambda served: make_api({one.name: one for one in served}, door(folder))


@dataclass
class Scripted:
    """An upstream that answers what a test says."""

    url: str
    answers: dict[str, Callable[[bytes], tuple[int, bytes]]]
    """By path, from what was posted."""
    posted: list[dict[str, Any]] = field(default_factory=list)
    """To any path."""
    keys: list[str | None] = field(default_factory=list)
    """With which it was asked, each time."""


@contextmanager
def scripted(answers: dict[str, Callable[[bytes], tuple[int, bytes]]]) -> Iterator[Scripted]:
    """A real HTTP server, for what a real engine cannot be made to do at will."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(b"")

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["content-length"]))
            found.posted.append(json.loads(data))
            self.answer(data)

        def answer(self, data: bytes) -> None:
            found.keys.append(self.headers["authorization"])
            status, body = found.answers.get(self.path, lambda _: (404, b"{}"))(data)
            self.send_response(status)
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Tests are quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Scripted(f"http://127.0.0.1:{server.server_port}", answers)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


def told(*objects: object) -> bytes:
    """Server-sent events."""
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in objects)
