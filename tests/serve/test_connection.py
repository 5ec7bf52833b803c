"""What strangers do to a connection: headers without end, bytes that trickle, nothing at all, many requests at once."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from fonderie.serve import connection
from fonderie.serve.connection import HEAD_LIMIT_BYTES, MESSAGE_LIMIT_BYTES, bound
from fonderie.serve.run import Address, server_of

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 20
GET = b"GET /%s HTTP/1.1\r\nhost: a\r\n\r\n"


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{request.path_params['name']} {len(await request.body())}\n")


async def unread(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("unread\n")


async def slow(_request: Request) -> StreamingResponse:
    async def pieces():
        for number in range(8):
            await asyncio.sleep(0.1)
            yield f"piece {number}\n"

    return StreamingResponse(pieces())


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[str, int]]:
    """Where a server of ours listens, before an application that says little."""
    routes = [
        Route("/slow", slow),
        Route("/unread", unread, methods=["POST"]),
        Route("/{name}", echo, methods=["GET", "POST"]),
    ]
    app = Starlette(routes=routes)
    server = server_of(app, drain_seconds=2)
    listener = Address(port=0).listen()
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        server.should_exit = True
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


@contextmanager
def connected(place: tuple[str, int]) -> Iterator[socket.socket]:
    with socket.create_connection(place, timeout=PATIENCE_SECONDS) as found:
        yield found


def rest(there: socket.socket) -> bytes:
    """All that comes until the other end closes."""
    found = b""
    try:
        while data := there.recv(65536):
            found += data
    except ConnectionResetError:
        pass
    return found


def until(there: socket.socket, end: bytes) -> bytes:
    found = b""
    while end not in found:
        data = there.recv(65536)
        assert data, f"closed after {found!r}"
        found += data
    return found


def said(answer: bytes) -> tuple[int, str]:
    """Status and code of an error."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    return int(head.split()[1]), json.loads(body)["error"]["code"]


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.4)


@pytest.mark.usefixtures("hurried")
def test_a_head_that_trickles_is_given_up(place):
    with connected(place) as there:
        begun = time.monotonic()
        there.sendall(b"GET /a HTTP/1.1\r\n")
        there.settimeout(0.05)
        answer = b""
        while not answer and time.monotonic() - begun < PATIENCE_SECONDS:
            there.sendall(b"x-a: b\r\n")
            try:
                answer = there.recv(65536)
            except TimeoutError:
                continue
        there.settimeout(PATIENCE_SECONDS)
        assert said(answer + rest(there)) == (408, "headers_too_slow")


@pytest.mark.usefixtures("hurried")
def test_who_says_nothing_is_told_nothing_and_does_not_stay(place):
    with connected(place) as there:
        assert rest(there) == b""


@pytest.mark.usefixtures("hurried")
def test_a_second_request_on_a_connection_has_its_own_time(place):
    with connected(place) as there:
        there.sendall(GET % b"a")
        assert b"a 0" in until(there, b"a 0\n")
        there.sendall(b"GET /b HT")
        assert said(rest(there)) == (408, "headers_too_slow")


@pytest.mark.usefixtures("hurried")
def test_the_beginning_of_another_request_does_not_cut_off_the_answer_that_runs(place):
    with connected(place) as there:
        there.sendall(GET % b"slow" + b"GET /b HTTP/1.1\r\n")
        found = until(there, b"piece 7\n")
        assert b"408" not in found
        there.sendall(b"host: a\r\n\r\n")
        until(there, b"b 0\n")


def test_a_header_without_an_end_is_refused_before_it_fills_the_memory(place):
    with connected(place) as there:
        there.sendall(b"GET /a HTTP/1.1\r\nx-a: ")
        sent = 0
        try:
            while sent < 64 * HEAD_LIMIT_BYTES:
                sent += there.send(b"a" * 4096)
        except (ConnectionResetError, BrokenPipeError):
            pass
        assert sent < 64 * HEAD_LIMIT_BYTES
        # What the kernel still held of the answer may be lost with the connection.
        answer = rest(there)
        assert not answer or said(answer) == (431, "headers_too_large")


def test_the_answer_arrives_though_more_was_sent_than_is_read(place, monkeypatch):
    monkeypatch.setattr(connection, "REST_SECONDS", 1.0)
    headers = b"".join(b"x-%d: a\r\n" % number for number in range(40_000))
    with connected(place) as there:
        there.sendall(b"GET /a HTTP/1.1\r\n" + headers + b"\r\n")
        assert said(rest(there)) == (431, "headers_too_large")
    with connected(place) as there:
        there.sendall(b"POST /unread HTTP/1.1\r\nhost: a\r\ncontent-length: 9000000\r\n\r\n")
        until(there, b"unread\n")
        there.sendall(b"a" * 9_000_000 + GET % b"b")
        until(there, b"b 0\n")
    with connected(place) as there:
        there.sendall(b"POST /unread HTTP/1.1\r\nhost: a\r\ncontent-length: 9000000\r\n\r\n")
        until(there, b"unread\n")
        begun = time.monotonic()
        there.settimeout(0.1)
        while time.monotonic() - begun < PATIENCE_SECONDS:
            try:
                there.sendall(b"a")
                if not there.recv(1):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - begun < PATIENCE_SECONDS, "it goes on for as long as a byte comes now and then"


def test_headers_after_a_body_have_no_other_bound(place):
    with connected(place) as there:
        there.sendall(b"POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nx-a: ")
        sent = 0
        try:
            while sent < 4 * MESSAGE_LIMIT_BYTES:
                sent += there.send(b"a" * (1 << 20))
        except (ConnectionResetError, BrokenPipeError):
            pass
        assert MESSAGE_LIMIT_BYTES / 2 < sent < 2 * MESSAGE_LIMIT_BYTES


def test_requests_that_come_together_are_answered_in_their_order(place):
    with connected(place) as there:
        there.sendall(b"".join(GET % b"n%d" % number for number in range(200)))
        found = until(there, b"n199 0\n")
    order = [line for line in found.decode("ascii").split("\n") if line.endswith(" 0")]
    assert order == [f"n{number} 0" for number in range(200)]


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS, to a port that speaks none
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET  /\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nho st: a\r\n\r\n",
    ],
)
def test_what_is_no_http_is_told_so_and_the_next_is_answered(place, junk):
    with connected(place) as there:
        there.sendall(junk)
        assert rest(there).startswith(b"HTTP/1.1 4")
    with connected(place) as there:
        there.sendall(GET % b"a")
        until(there, b"a 0\n")


@pytest.mark.parametrize("wanted", [b"websocket", b"h2c"])
def test_nothing_is_upgraded_to_and_nothing_is_logged_of_it(place, wanted, caplog):
    with connected(place) as there:
        there.sendall(
            b"GET /a HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: %s\r\nsec-websocket-version: 13\r\n"
            b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" % wanted
        )
        assert until(there, b"a 0\n").startswith(b"HTTP/1.1 200")
    assert not caplog.records


def test_who_reads_nothing_is_ended_by_the_kernel(monkeypatch):
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        pytest.skip("this kernel has no TCP_USER_TIMEOUT")
    monkeypatch.setattr(connection, "UNREAD_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as deaf:
        bound(listener)
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(listener.getsockname())
        ours, _ = listener.accept()
        with ours:
            ours.settimeout(PATIENCE_SECONDS)
            data = b"a" * (64 << 20)  # more than both ends hold
            with pytest.raises(OSError, match="timed out") as error:
                ours.sendall(data)
            assert error.value.errno is not None, "it was the kernel, and not this test, that gave up"
