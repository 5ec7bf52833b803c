"""A web server on the loopback that behaves, or misbehaves, as each path is told to."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

Behaviour = Callable[["Request"], None]


class Request(BaseHTTPRequestHandler):
    """One request; behaviours write to it."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        path = unquote(self.path)
        self.server.seen.append((self.command, path, dict(self.headers.items())))
        behaviour = self.server.behaviours.get(path)
        if behaviour is None:
            self.answer(404, b"no such file")
        else:
            behaviour(self)

    do_HEAD = do_GET

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        """A whole answer; for HEAD without its body."""
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.behaviours: dict[str, Behaviour] = {}
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.released = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no error here."""


@dataclass
class Site:
    server: Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def serve(self, path: str, body: bytes, *, etag: str | None = None) -> None:
        tag = f'"{hashlib.md5(body).hexdigest()}"' if etag is None else etag
        self.server.behaviours[path] = lambda request: request.answer(200, body, ETag=tag)

    def behave(self, path: str, behaviour: Behaviour) -> None:
        self.server.behaviours[path] = behaviour

    def status(self, path: str, status: int, **headers: str) -> None:
        self.behave(path, lambda request: request.answer(status, b"", **headers))

    def lose(self, path: str) -> None:
        del self.server.behaviours[path]

    def asked(self, path: str) -> list[str]:
        """The methods by which a path was asked for."""
        return [method for method, seen, _ in self.server.seen if seen == path]


@contextmanager
def site() -> Iterator[Site]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield Site(server)
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
