"""Around every request: headers of every answer, errors without a word of anyone's, bodies within bounds."""

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict
from sqlalchemy import text
from starlette.types import Message

from fonderie.serve.api import frame
from fonderie.serve.api.frame import BODY_LIMIT_BYTES, HEADERS_LIMIT, USUAL, Frame, handle_errors
from fonderie.serve.api.invalid import NAME_LIMIT
from fonderie.serve.database.base import Database, open_database

SAID = "Xylophage-7302"
JSON = ((b"content-type", b"application/json"),)


class Nothing(BaseModel):
    model_config = ConfigDict(extra="forbid")
    number: int = 0


def application(database: Database) -> FastAPI:
    app = FastAPI()
    app.add_middleware(Frame)
    handle_errors(app)

    @app.get("/fine")
    async def fine(request: Request) -> dict[str, str]:
        return {"path": request.url.path}

    @app.get("/broken")
    async def broken() -> None:
        raise ValueError(SAID)

    @app.get("/breaks-off")
    async def breaks_off() -> StreamingResponse:
        async def pieces():
            yield "a"
            raise ValueError(SAID)

        return StreamingResponse(pieces())

    @app.post("/kept")
    async def kept() -> None:
        with database.write() as connection:
            connection.execute(text("INSERT INTO settings VALUES (:key, '1', 0)"), {"key": SAID})

    @app.post("/wrong")
    async def wrong() -> None:
        with database.write() as connection:
            connection.execute(text("INSERT INTO settings VALUES (:key, :none, 0)"), {"key": SAID, "none": None})

    @app.post("/fields")
    async def fields(_given: Nothing) -> dict[str, int]:
        return {}

    @app.post("/body")
    async def body(request: Request) -> int:
        return len(await request.body())

    return app


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    with open_database(f"sqlite:///{tmp_path_factory.mktemp('frame') / 'service.db'}") as found:
        yield found


@pytest.fixture(scope="module")
def app(database):
    return application(database)


class Answer:
    """What an application sends."""

    def __init__(self) -> None:
        self.status, self.headers, self.body = 0, {}, b""

    def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])
        self.body += message.get("body", b"")


def ask(
    app: FastAPI, path: str, *pieces: bytes, method: str = "GET", headers: tuple = (), pause: float = 0
) -> Answer:
    """One request whose body comes in pieces, with a pause before each."""
    answer, left = Answer(), list(pieces or [b""])

    async def receive() -> Message:
        await asyncio.sleep(pause)
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message: Message) -> None:
        answer.take(message)

    scope: dict[str, Any] = {
        **{
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"x=http://y",
        },
        **{"headers": list(headers), "scheme": "http", "http_version": "1.1", "root_path": "", "state": {}},
        **{"server": ("127.0.0.1", 80), "client": ("192.0.2.1", 1)},
    }
    asyncio.run(app(scope, receive, send))
    return answer


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/fine", "GET", 200),
        ("/fine", "DELETE", 405),
        ("/nowhere", "GET", 404),
        ("/fine/", "GET", 307),
        ("/broken", "GET", 500),
        ("/fields", "POST", 400),
        ("/wrong", "POST", 500),
    ],
)
def test_every_answer_has_the_usual_headers_and_a_name(app, path, method, status):
    answer = ask(app, path, b"{", method=method, headers=JSON)
    assert answer.status == status
    assert {name: answer.headers[name] for name in USUAL} == USUAL
    assert answer.headers[b"x-request-id"].startswith(b"req_")


def test_what_goes_wrong_is_named_in_the_log_and_not_quoted(app, caplog):
    for path, method in (("/broken", "GET"), ("/breaks-off", "GET"), ("/wrong", "POST")):
        caplog.clear()
        answer = ask(app, path, method=method)
        assert SAID.encode() not in answer.body
        assert SAID not in caplog.text
        kind = "IntegrityError" if path == "/wrong" else "ValueError"
        assert f"an error of ours: {kind} in {answer.headers[b'x-request-id'].decode()}, at " in caplog.text
        assert "serve/test_frame.py:" in caplog.text


def test_a_database_that_is_locked_is_503_and_nothing_of_the_text_is_logged(app, database, caplog, monkeypatch):
    monkeypatch.setattr("fonderie.serve.database.base.BUSY_SECONDS", 0)
    database.close()  # the next connection waits for nobody
    with closing(sqlite3.connect(database.file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        locked = ask(app, "/kept", method="POST")
    assert (locked.status, locked.headers[b"retry-after"]) == (503, b"5")
    assert b"database_away" in locked.body
    assert "the database cannot be used: SQLITE_BUSY" in caplog.text
    assert ask(app, "/kept", method="POST").status == 200, "it goes on where it was"
    assert SAID not in caplog.text


def test_a_host_that_lies_leads_nowhere_else(app):
    for host in (b"elsewhere.example", b"[", b"a/b", b"a?b", b"@", b"\xff"):
        answer = ask(app, "/fine/", headers=((b"host", host),))
        assert (answer.status, answer.headers[b"location"]) == (307, b"/fine?x=http://y"), host
        assert ask(app, "/fine", headers=((b"host", host),)).body == b'{"path":"/fine"}'


def test_a_body_that_is_too_large_or_too_slow_is_refused(app, monkeypatch):
    large = ask(app, "/body", *[b"a" * (BODY_LIMIT_BYTES // 4)] * 5, method="POST")
    assert large.status == 413
    for length in (b"9" * 20, b"9" * 5000, b"-1", b"1e3", b""):
        assert ask(app, "/body", method="POST", headers=((b"content-length", length),)).status == 413
    assert ask(app, "/body", b"ab", b"c", method="POST").body == b"3"
    monkeypatch.setattr(frame, "BODY_SECONDS", 0.2)
    slow = ask(app, "/body", *[b"a"] * 100, method="POST", pause=0.05)
    assert slow.status == 408
    assert b"body_too_slow" in slow.body


def test_headers_that_are_too_many_or_too_large_are_refused(app):
    many = ask(app, "/fine", headers=((b"x-a", b"b"),) * (HEADERS_LIMIT + 1))
    large = ask(app, "/fine", headers=((b"cookie", b"a" * (64 << 10)),))
    assert (many.status, large.status) == (431, 431)


@pytest.mark.parametrize(
    "body", [b'{"\\ud800": 1}', b'{"number": 1e999}', b'{"number": ' + b"9" * 5000 + b"}", b"[" * 9999]
)
def test_what_json_can_hold_and_text_cannot_is_refused(app, body):
    assert ask(app, "/fields", body, method="POST", headers=JSON).status == 400


def test_an_error_repeats_no_more_of_a_name_than_helps(app):
    answer = ask(app, "/fields", b'{"' + b"a" * 100_000 + b'": 1}', method="POST", headers=JSON)
    assert answer.status == 400
    assert len(answer.body) < 4 * NAME_LIMIT
