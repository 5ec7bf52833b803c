"""Real servers on the loopback interface, one for each site, that answer as told."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, str], bytes]
Routes = dict[str, "Reply | bytes | int | Callable[[BaseHTTPRequestHandler], None]"]


@dataclass
class Site:
    """A site, what it was asked for, and how many requests it ever had at once."""

    url: str
    asked: list[tuple[float, str, Mapping[str, str]]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def paths(self) -> list[str]:
        return [path for _, path, _ in self.asked]


@contextmanager
def serve(routes: Routes, tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    """A site with these paths: bytes are answered with 200, a number is a bare status; others are not there."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections stay open unless the client says otherwise

        def do_GET(self) -> None:
            with site.lock:
                site.asked.append((time.monotonic(), self.path, dict(self.headers.items())))
                site.at_once += 1
                site.most_at_once = max(site.most_at_once, site.at_once)
            try:
                self.answer(routes.get(self.path, 404))
            except (BrokenPipeError, ConnectionResetError):
                pass
            finally:
                with site.lock:
                    site.at_once -= 1

        def answer(self, route: Any) -> None:
            if callable(route):
                return route(self)
            status, headers, body = (
                (route, {}, b"")
                if isinstance(route, int)
                else (200, {}, route)
                if isinstance(route, bytes)
                else route
            )
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            return None

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    site = Site(f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def serve_all(*sites: Routes) -> Iterator[list[Site]]:
    with ExitStack() as stack:
        yield [stack.enter_context(serve(routes)) for routes in sites]


def trickle(handler: BaseHTTPRequestHandler) -> None:
    """A byte every 50 ms, without end."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(200):
        handler.wfile.write(b"#")
        handler.wfile.flush()
        time.sleep(0.05)


def endless_headers(handler: BaseHTTPRequestHandler) -> None:
    """A header every 50 ms, without end: no single silence is long."""
    handler.send_response(200)
    for number in range(200):
        handler.send_header(f"X-{number}", "x")
        handler.flush_headers()
        time.sleep(0.05)


def silence(handler: BaseHTTPRequestHandler) -> None:
    """No answer for two seconds."""
    time.sleep(2)


def broken(handler: BaseHTTPRequestHandler) -> None:
    """Less than was promised."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"User-agent: *")
