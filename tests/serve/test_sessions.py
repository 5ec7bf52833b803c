import pytest
from sqlalchemy import select, text
from starlette.requests import Request
from starlette.responses import Response

from fonderie.serve.database.tables import sessions
from fonderie.serve.sessions import (
    begin_session,
    clear_cookie,
    cookie_of,
    session_of,
    set_cookie,
    visit,
)

NOW = 1_800_000_000.0


def request(cookies: str = "", scheme: str = "http") -> Request:
    headers = [(b"cookie", cookies.encode())] if cookies else []
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers}
    return Request({**scope, "scheme": scheme, "server": ("127.0.0.1", 80)})


def test_a_session_is_known_by_its_cookie_of_which_only_the_hash_is_kept(database):
    with database.write() as connection:
        made, cookie = begin_session(connection, NOW)
        _, other = begin_session(connection, NOW)
        assert session_of(connection, request(f"fonderie={cookie}")) == made
        assert session_of(connection, request(f"fonderie={other}")).id != made.id
        assert len(cookie) == 43
        assert cookie not in str(connection.execute(text("SELECT * FROM sessions")).all())
        for wrong in ("", "fonderie=", f"fonderie={cookie[:-1]}", f"other={cookie}"):
            assert session_of(connection, request(wrong)) is None


@pytest.mark.parametrize(
    ("scheme", "name", "secure"), [("http", "fonderie", False), ("https", "__Host-fonderie", True)]
)
def test_the_cookie_is_for_this_host_and_no_script(scheme, name, secure):
    response = Response()
    set_cookie(response, request(scheme=scheme), "abc")
    parts = response.headers["set-cookie"].split("; ")
    assert parts[0] == f"{name}=abc"
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(parts)
    assert ("Secure" in parts) == secure
    assert not any(part.startswith("Domain") for part in parts)
    assert cookie_of(request(parts[0], scheme)) == "abc"
    cleared = Response()
    clear_cookie(cleared, request(scheme=scheme))
    assert cleared.headers["set-cookie"].startswith(f'{name}=""; ')
    assert "Max-Age=0" in cleared.headers["set-cookie"]


def test_over_https_a_cookie_that_a_neighbour_could_set_does_not_count():
    assert cookie_of(request("fonderie=abc", "https")) is None


def test_a_visit_is_noted_by_the_day(database):
    def seen() -> float:
        with database.read() as connection:
            return connection.scalar(select(sessions.c.seen_at))

    with database.write() as connection:
        made, cookie = begin_session(connection, NOW)
    asking = request(f"fonderie={cookie}")
    assert visit(database, asking, NOW + 3600).id == made.id
    assert seen() == NOW
    assert visit(database, asking, NOW + 90_000).id == made.id
    assert seen() == NOW + 90_000
    assert visit(database, request(), NOW) is None
    assert visit(database, request("fonderie=other"), NOW) is None
