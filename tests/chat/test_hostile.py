"""Every route of the site, attacked with requests that are made up: no error of ours, nothing of a request in a page
as it came, and nothing done for the page of another site."""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import httpx2
import pytest
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.chat.arena import agree, begin
from tests.serve.databases import Emptied
from tests.serve.serving import Running, serving

from fonderie.chat.site.admin import Admin, add_admin
from fonderie.chat.site.app import add_site
from fonderie.chat.site.evaluating import add_evaluating
from fonderie.chat.site.running import Runs
from fonderie.chat.site.sealing import Seals
from fonderie.chat.site.stages import add_stages
from fonderie.serve.access import Door, Rules
from fonderie.serve.api.app import make_api
from fonderie.serve.api.frame import USUAL
from fonderie.serve.database.base import Database, open_database
from fonderie.serve.guards.guards import Guards
from fonderie.serve.keys import add_key
from fonderie.serve.stage import Stage

MARK = "<hx'\"&"
"""In everything that is sent: no page may hold it as it is."""
EXAMPLES, LOOKS = 12, 4
"""For each route that does something; for each page, of which there are many, and alike."""
BOUNDED = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
HOSTILE = st.sampled_from(
    [
        *(
            "",
            MARK,
            "\0",
            "\ud800",
            "\U0001f600" * 9,
            "é" * 3_000,
            "../..",
            "%00",
            "1" * 5_000,
            "-1",
            "1e999",
            "NaN",
        ),
        *("\r\nset-cookie: a=b", "' OR 1=1 --", "{{7*7}}", "${7*7}", "\u202e", " ", "on", "2147483648", "٣"),
    ]
)
VALUES = st.one_of(
    HOSTILE,
    st.text(max_size=20),
    st.sampled_from([None, True, 0, -1, 2**31, 2**63, 2**64, 0.5, 1e308, [], {}, [MARK], {MARK: MARK}, [[[]]]]),
    st.integers(),
    st.floats(),
)
HEADERS = st.fixed_dictionaries(
    {"accept": st.sampled_from(["text/html", "application/json", "*/*", "", MARK])},
    optional={
        "accept-language": st.sampled_from(["fr", "en;q=nan", "fr;q=1e999", "*" * 3_000, ";;;,,,===", MARK]),
        "last-event-id": st.sampled_from(["0", "-1", "9" * 12, "9" * 13, "\u0663", "a", ""]),
        "content-type": st.sampled_from(["application/json", "text/plain", "multipart/form-data", "a", MARK]),
        "authorization": st.sampled_from(["Bearer \u00e9", "Bearer", "Basic YTpi", MARK]),
        "cookie": st.sampled_from(
            ["fonderie=\u00e9; fonderie-answers=x", "a" * 9_000, ";;=;", f'fonderie="{MARK}"']
        ),
        "host": st.sampled_from(["elsewhere.example", "[", "a/b", MARK, ""]),
        "x-forwarded-for": st.sampled_from(["203.0.113.9", MARK]),
    },
)


@dataclass
class Attacked:
    """The whole site, and what a visitor of it holds."""

    running: Running
    client: httpx2.Client
    known: dict[str, list[str]] = field(default_factory=dict)
    """What names in addresses may be, so that requests go further than them."""
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By route, a body that is taken."""

    @property
    def routes(self) -> list[tuple[str, str]]:
        """Method and address of every route of the site, which are those that the API's document leaves out."""
        app: Any = self.running.app
        found = [route for route in app.routes if isinstance(route, APIRoute) and not route.include_in_schema]
        return sorted((method, route.path) for route in found for method in route.methods or ())


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a database of either kind: they refuse different texts."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('hostile') / 'service.db'}"
        return
    emptied: Emptied = request.getfixturevalue("emptied_postgresql")
    url = emptied.take()
    yield url
    with Database(url) as database:
        emptied.give_back(database)


@pytest.fixture(scope="module")
def attacked(small, shadow, address) -> Iterator[Attacked]:
    with open_database(address) as database:

        def make(served):
            models = {one.name: one for one in served}
            stage, guards = Stage(database), Guards.none()
            door = Door(database, Rules(per_minute_per_address=1_000_000), stage=stage)
            app = make_api(models, door, during=[stage.running])
            runs, seals = Runs(), Seals(database)
            site = add_site(app, models, door, runs=runs, seals=seals)
            contenders = [f"{name},max_tokens=4" for name in models]
            add_evaluating(site, models, door, database, runs=runs, seals=seals, contenders=contenders)
            add_stages(site, door, stage)
            add_admin(site, Admin(models, door, stage, guards))
            return app

        with serving([small.release, shadow], make, waiting=64) as running:
            with database.write() as connection:
                key = add_key(connection, "boss", 1.0, role="admin")
            with httpx2.Client(base_url=running.url, timeout=60) as client:
                yield visitor(Attacked(running, client), key)


def visitor(found: Attacked, key: str) -> Attacked:
    """Somebody who has agreed, asked, begun a duel, and holds an admin's key."""
    client = found.client
    agree(client, "evaluation", "publication")
    page = client.post("/en/admin/sign-in", data={"key": key}, follow_redirects=True).text
    token = page.split('name="token" value="', 1)[1].split('"', 1)[0]
    turns = [{"role": "user", "text": "Bonjour"}]
    asking = {"model": "toy-0.1.0", "turns": turns, "settings": {"max_tokens": 4, "temperature": 0.5}}
    asked = client.post("/chat/answers", json=asking).json()
    events = client.get(f"/chat/answers/{asked['id']}").text
    end = json.loads(events.rsplit("data: ", 1)[1])
    duel = begin(client)
    answer = {"role": "assistant", "text": "Non."}
    judged = {"model": "toy-0.1.0", "turns": [*turns, answer], "settings": asked["settings"], "seal": "0" * 64}
    report = {"model": "toy-0.1.0", "reason": "other", "comment": "a", "excerpt": "b"}
    found.known = {
        "name": [asked["id"], duel["id"], "toy-0.1.0", "style.css"],
        **{"number": ["0"], "side": ["a", "b"], "language": ["fr", "en"], "path": ["README.md"]},
    }
    found.bodies = {
        "/chat/answers": asking,
        "/chat/thumbs": {**judged, "locale": "fr", "value": 1, "finish_reason": end["reason"], "reasons": []},
        "/chat/reports": report,
        "/duels": {"text": "Bonjour", "locale": "fr"},
        "/duels/{name}/rounds": {"text": "Et puis ?"},
        "/duels/{name}/{number}/vote": {
            "choice": "a",
            "keep": True,
            "reveal": False,
            "reasons": {},
            "comment": "c",
        },
        "/{language}/admin/turn": {"act": "close_report", "report": "1", "token": token},
        "/{language}/admin/sign-in": {"key": key},
        "/{language}/invite": {"code": "abcde-abcde-abcde-abcde"},
        "/{language}/consent": {"evaluation": "on", "version": "2026-11", "hash": "0" * 64},
    }
    return found


@st.composite
def altered(draw: st.DrawFn, body: Any) -> Any:
    """A body of which one part is another, is gone, or is one too many."""
    if not isinstance(body, dict) or not body or draw(st.integers(0, 9)) == 0:
        return draw(VALUES)
    found = dict(body)
    name = draw(st.sampled_from(sorted(found)))
    match draw(st.integers(0, 3)):
        case 0:
            found.pop(name)
        case 1:
            found[draw(HOSTILE)] = draw(VALUES)
        case 2 if isinstance(found[name], dict | list) and found[name]:
            inner = found[name]
            found[name] = draw(altered(inner)) if isinstance(inner, dict) else [draw(altered(inner[0])), *inner[1:]]
        case _:
            found[name] = draw(VALUES)
    return found


@st.composite
def requests(draw: st.DrawFn, attacked: Attacked, method: str, path: str) -> dict[str, Any]:
    """A request for a route."""
    address = path
    for name in attacked.known:
        place = f"{{{name}:path}}" if f"{{{name}:path}}" in path else f"{{{name}}}"
        if place in path:
            value = draw(st.one_of(st.sampled_from(attacked.known[name]), HOSTILE))
            address = address.replace(place, quote(value, safe="", errors="surrogatepass") or "x")
    query = draw(st.dictionaries(st.sampled_from(["done", "model", "q"]), HOSTILE, max_size=1))
    if query:
        address += "?" + urlencode({name: value.encode(errors="surrogatepass") for name, value in query.items()})
    headers = {name: value.encode("utf-8") for name, value in draw(HEADERS).items()}
    if method in ("GET", "HEAD", "DELETE"):
        return {"url": address, "headers": headers}
    body = attacked.bodies.get(path, {"sure": "on"})
    if draw(st.integers(0, 3)):
        body = draw(altered(body))
    if "{language}" in path:
        pairs = body.items() if isinstance(body, dict) else [(MARK, body)]
        content = urlencode({_bytes(key): _bytes(value) for key, value in pairs}).encode()
    else:
        content = json.dumps(body).encode()
        headers.setdefault("content-type", b"application/json")
    return {
        "url": address,
        "headers": headers,
        "content": draw(st.sampled_from([content] * 6 + [b"\xff", content[:-3]])),
    }


def _bytes(value: Any) -> bytes:
    return str(value).encode("utf-8", errors="surrogatepass")


@pytest.mark.slow
def test_no_request_is_an_error_of_ours_nor_comes_back_as_it_was(attacked, caplog):
    statuses: Counter[int] = Counter()
    caplog.set_level(logging.WARNING)

    def attack(method: str, path: str) -> None:
        @settings(BOUNDED, max_examples=LOOKS if method == "GET" else EXAMPLES)
        @given(request=requests(attacked, method, path))
        def one(request: dict[str, Any]) -> None:
            answer = attacked.client.request(method, **request)
            assert answer.status_code < 500, (method, request, answer.text)
            assert MARK not in answer.text, (method, request)
            assert "Traceback" not in answer.text
            assert {name.decode() for name in USUAL} <= set(answer.headers), (method, request)
            assert "hx'" not in answer.headers.get("location", "")
            statuses[answer.status_code] += 1

        one()

    for method, path in attacked.routes:
        if method != "HEAD":  # pages without their bodies
            attack(method, path)
    assert len(attacked.routes) > 40
    for status in (200, 307, 400, 403, 404):
        assert statuses[status] > EXAMPLES / 4, statuses
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR], caplog.text


def test_nothing_is_done_for_the_page_of_another_site(attacked):
    doing = [(method, path) for method, path in attacked.routes if method not in ("GET", "HEAD")]
    assert len(doing) > 12
    for method, path in doing:
        address = path
        for name, values in attacked.known.items():
            address = address.replace(f"{{{name}}}", values[0])
        for headers in (
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"origin": "https://elsewhere.example"},
            {"origin": "null"},
        ):
            answer = attacked.client.request(method, address, headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "cross_site"), (method, path)
        own = {"origin": attacked.running.url}
        assert "cross_site" not in attacked.client.request(method, address, headers=own).text, (method, path)


def test_a_cookie_that_was_not_given_here_is_not_kept_beside_answers(attacked):
    asking = attacked.bodies["/chat/answers"]
    with httpx2.Client(base_url=attacked.running.url) as stranger:
        for cookie in ("a" * 9_000, "x", "\u00e9" * 32):
            headers = {"cookie": f"fonderie-answers={cookie}".encode()}
            answer = stranger.post("/chat/answers", json=asking, headers=headers)
            assert answer.status_code == 202
            assert answer.headers["set-cookie"].startswith("fonderie-answers="), "a new one"
            stranger.cookies.clear()
