"""The door: who is let in, how often, and what for; asked over HTTP without any model behind it."""

import shutil
import time

import openai
import pytest
from fastapi import Request
from sqlalchemy import text
from starlette.testclient import TestClient
from tests.serve.serving import serving

from fonderie.core.errors import UsageError
from fonderie.serve.access import Caller, Door, Rules, trusted_proxies
from fonderie.serve.api.app import make_api
from fonderie.serve.api.errors import ApiError
from fonderie.serve.database.base import Database
from fonderie.serve.invites import accept_invite, make_invite
from fonderie.serve.keys import add_key, revoke_key
from fonderie.serve.sessions import begin_session
from fonderie.serve.stage import Stage, close, open_to
from fonderie.serve.usage import Used, add_used

NOON = 1_800_014_400.0 - 1_800_014_400.0 % 86400 + 43200


class Service:
    """The interface without models, and two routes as pages and the admin's have them."""

    def __init__(self, database, rules: Rules | None = None, stage: Stage | None = None) -> None:
        self.now = NOON
        self.database = database
        self.door = Door(database, rules, stage=stage, clock=lambda: self.now)
        app = make_api({}, self.door)

        @app.get("/page")
        async def page(request: Request) -> str:
            return (await self.door.admit_visitor(request)).name

        @app.get("/admin")
        async def admin(request: Request) -> str:
            return (await self.door.admit_admin(request)).name

        self.client = TestClient(app)

    def get(self, key: str | None = None, path: str = "/v1/models", **headers: str):
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        return self.client.get(path, headers=headers)

    def key(self, name: str = "alice", **settings) -> str:
        with self.database.write() as connection:
            return add_key(connection, name, self.now, **settings)


@pytest.fixture
def sqlite(sqlite_template, tmp_path):
    path = tmp_path / "service.db"
    shutil.copy(sqlite_template, path)
    with Database(f"sqlite:///{path}") as found:
        yield found


@pytest.fixture
def service(sqlite):
    return Service(sqlite)


@pytest.fixture
def either(database):
    """A service on either kind of database."""
    return Service(database)


def code(response) -> str:
    return response.json()["error"]["code"]


def test_without_a_key_everybody_may_ask_and_words_for_none_are_none(service):
    assert service.get().status_code == 200
    for word in ("", "none", "EMPTY", "sk-no-key-required"):
        assert service.get(word).status_code == 200, word


def test_a_key_that_is_not_ours_is_refused_also_where_none_is_needed(service):
    for wrong in ("sk-abc", "fonderie-abc", service.key()[:-1] + "!", "None"):
        response = service.get(wrong)
        assert (response.status_code, code(response)) == (401, "invalid_api_key"), wrong
        assert response.headers["www-authenticate"] == 'Bearer realm="fonderie", error="invalid_token"'
        assert wrong not in response.text
    response = service.get(authorization="Basic YTpi")
    assert (response.status_code, code(response)) == (401, "invalid_api_key")


def test_where_a_key_is_needed_the_interface_asks_for_it_and_pages_and_health_do_not(sqlite):
    service = Service(sqlite, Rules(require_key=True))
    for path in ("/v1/models", "/tokenizer_info"):
        response = service.get(path=path)
        assert (response.status_code, code(response)) == (401, "missing_api_key")
        assert response.headers["www-authenticate"] == 'Bearer realm="fonderie"'
    assert service.get("none").status_code == 401
    assert service.get(service.key()).status_code == 200
    assert service.get(path="/page").json() == "public"
    assert service.get(path="/health").status_code == 200
    assert service.get(path="/openapi.json").json()["paths"]["/v1/models"]["get"]["security"] == [{"key": []}]


def test_who_is_not_let_in_is_told_before_the_body_is_read(service):
    refused = service.client.post("/v1/completions", content=b"{", headers={"authorization": "Bearer x"})
    assert refused.status_code == 401
    asked = service.client.post("/v1/completions", content=b"{", headers={"content-type": "application/json"})
    assert (asked.status_code, code(asked)) == (400, "invalid_json")


def test_the_document_says_how_a_key_is_sent(service):
    document = service.get(path="/openapi.json").json()
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for path, ways in document["paths"].items():
        for operation in ways.values():
            guarded = path.startswith("/v1/") or "token" in path
            assert operation.get("security") == ([{"key": []}, {}] if guarded else None), path
            assert ({"401", "429"} <= set(operation["responses"])) == guarded, path


def test_a_key_that_is_revoked_is_refused_from_the_next_request_on(either):
    key = either.key()
    assert either.get(key).status_code == 200
    with either.database.write() as connection:
        revoke_key(connection, "alice", either.now)
    response = either.get(key)
    assert (response.status_code, code(response)) == (401, "invalid_api_key")
    assert "revoked" in response.text


def test_admins_doors_open_to_admins_keys_only(service):
    assert (service.get(path="/admin").status_code, service.get("none", "/admin").status_code) == (401, 401)
    response = service.get(service.key("user"), "/admin")
    assert (response.status_code, code(response)) == (403, "admin_only")
    assert service.get(service.key("boss", role="admin"), "/admin").json() == "key:boss"


def test_an_address_has_its_limit_and_what_is_left_is_said(sqlite):
    service = Service(sqlite, Rules(per_minute_per_address=3))
    seen = [service.get(path=path) for path in ("/v1/models", "/page", "/v1/models", "/v1/models", "/page")]
    assert [response.status_code for response in seen] == [200, 200, 200, 429, 429]
    assert [response.headers["x-ratelimit-remaining-requests"] for response in seen] == ["2", "1", "0", "0", "0"]
    assert seen[0].headers["x-ratelimit-limit-requests"] == "3"
    assert seen[0].headers["x-ratelimit-reset-requests"] == "20s"
    assert (code(seen[3]), seen[3].headers["retry-after"]) == ("rate_limit_exceeded", "20")
    assert service.get(service.key()).status_code == 200, "a key does not depend on the address"
    service.now += 20
    assert service.get().status_code == 200


def test_trying_keys_is_limited_by_address(sqlite):
    service = Service(sqlite, Rules(per_minute_per_address=3))
    assert [service.get("fonderie-x").status_code for _ in range(4)] == [401, 401, 401, 429]


def test_a_key_has_the_services_limit_or_its_own(sqlite):
    service = Service(sqlite, Rules(per_minute_per_key=2, per_minute_per_address=1))
    usual, other = service.key("usual"), service.key("other", per_minute=3)
    assert [service.get(usual).status_code for _ in range(3)] == [200, 200, 429]
    assert [service.get(other).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert "this key" in service.get(usual).text


def test_the_days_tokens_of_a_key_end_and_begin_again_at_midnight(either):
    key = either.key(per_day_tokens=100)
    response = either.get(key)
    assert response.headers["x-ratelimit-limit-tokens"] == response.headers["x-ratelimit-remaining-tokens"] == "100"
    assert response.headers["x-ratelimit-reset-tokens"] == "12h0m0s"
    answers = either.door.meter(Caller("key:alice", "user", 100))
    told = answers(90), answers(90)
    told[0](30, 29)
    assert either.get(key).headers["x-ratelimit-remaining-tokens"] == "41"
    with either.database.write() as connection:  # another process of the same service
        add_used(connection, "2027-01-15", "key:alice", Used(1, 20, 20))
    assert either.get(key).headers["x-ratelimit-remaining-tokens"] == "1"
    told[1](0, 5)
    response = either.get(key)
    assert (response.status_code, code(response)) == (429, "insufficient_quota")
    assert response.headers["x-ratelimit-remaining-tokens"] == "0"
    assert (response.headers["retry-after"], response.headers["x-should-retry"]) == ("43200", "false")
    assert either.get().status_code == 200
    either.now += 43200
    assert either.get(key).headers["x-ratelimit-remaining-tokens"] == "100"


def test_requests_at_once_do_not_take_more_than_the_day_has_by_more_than_one_answer(service):
    caller = Caller("key:alice", "user", 100)
    first, second = service.door.meter(caller)(60), service.door.meter(caller)(60)
    with pytest.raises(ApiError) as error:
        service.door.meter(caller)(1)
    assert (error.value.status, error.value.code, error.value.headers["retry-after"]) == (
        429,
        "rate_limit_exceeded",
        "5",
    )
    first(10, 10)
    third = service.door.meter(caller)
    third(60)
    third(60)  # another choice of the same request
    second(0, 0)
    with pytest.raises(ApiError):
        service.door.meter(caller)(1)
    service.door.meter(Caller("key:bob", "user", 100))(1000)
    service.door.meter(Caller("public", "public"))(1000)


def test_nobody_is_let_in_while_the_service_is_closed(database):
    with database.write() as connection:
        close(connection, NOON, message="Révision")
    service = Service(database, stage=Stage(database))
    for path, key in (("/v1/models", None), ("/v1/models", service.key()), ("/page", None)):
        response = service.get(key, path)
        assert (response.status_code, code(response)) == (503, "closed")
        assert "Révision" in response.json()["error"]["message"]
    assert service.get(path="/health").status_code == 200


def test_while_it_opens_in_stages_the_interface_wants_a_key_and_pages_an_invitation(database):
    with database.write() as connection:
        open_to(connection, "invite", NOON)
        invitation = make_invite(connection, NOON)
        (_, stranger), (guest, invited) = begin_session(connection, NOON), begin_session(connection, NOON)
        assert accept_invite(connection, invitation, guest.id)
    service = Service(database, stage=Stage(database))
    assert code(service.get()) == "missing_api_key"
    assert service.get(service.key()).status_code == 200
    for cookie in ("", f"fonderie={stranger}", "fonderie=other"):
        response = service.get(path="/page", cookie=cookie)
        assert (response.status_code, code(response)) == (403, "invite_required")
    assert service.get(path="/page", cookie=f"fonderie={invited}").json() == "public"


def test_keys_that_cannot_be_looked_up_let_nobody_in(either):
    key = either.key()
    with either.database.write() as connection:
        connection.execute(text("ALTER TABLE api_keys RENAME TO elsewhere"))
    response = either.get(key)
    assert (response.status_code, code(response)) == (503, "unavailable")
    assert response.headers["retry-after"] == "5"


def codes_from(url: str, *forwarded: str) -> list[int]:
    """Statuses of requests that come with these X-Forwarded-For."""
    import httpx2

    with httpx2.Client() as client:
        return [
            client.get(f"{url}/v1/models", headers={"x-forwarded-for": value} if value else {}).status_code
            for value in forwarded
        ]


def test_a_forwarded_address_counts_only_from_a_trusted_proxy(sqlite, tmp_path, monkeypatch, caplog, capfd):
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")  # uvicorn's own, which must not open what we keep shut
    rules = Rules(per_minute_per_address=1)
    with serving([], lambda _: make_api({}, Door(sqlite, rules))) as running:
        assert codes_from(running.url, "192.0.2.1", "192.0.2.2", "") == [200, 429, 429]
    proxies = trusted_proxies(["127.0.0.0/8", "10.0.0.0/8"])
    with serving([], lambda _: make_api({}, Door(sqlite, rules)), proxies) as running:
        assert codes_from(running.url, "192.0.2.1", "192.0.2.2", "192.0.2.1") == [200, 200, 429]
        # What a visitor writes stands to the left of what the proxies add: it changes nothing.
        assert codes_from(running.url, "203.0.113.9, 192.0.2.1", "192.0.2.1, 192.0.2.3", "x, 192.0.2.3") == [
            429,
            200,
            429,
        ]
        assert codes_from(running.url, "192.0.2.2, 10.1.1.1", "192.0.2.4, 10.1.1.1") == [429, 200]
        assert codes_from(running.url, "2001:db8::1", "[2001:db8::2]:443", "2001:db8:0:1::1") == [200, 429, 200]
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for told in (kept, caplog.text.encode(), *map(str.encode, capfd.readouterr())):
        assert not any(address in told for address in (b"192.0.2", b"2001:db8", b"203.0.113", b"127.0.0.1"))


def test_a_trusted_proxy_is_an_address_or_a_network():
    assert trusted_proxies(["10.0.0.1", "10.1.0.0/16", "::1"]) == ["10.0.0.1/32", "10.1.0.0/16", "::1/128"]
    for wrong in ("proxy.example", "10.0.0.1/8", "*", ""):
        with pytest.raises(UsageError, match="an address or a network"):
            trusted_proxies([wrong])


def test_openais_client_waits_as_long_as_told_and_asks_again(sqlite):
    begun: list[float] = []  # until then the service's clock stands still

    def clock() -> float:
        return NOON + (time.monotonic() - begun[0] if begun else 0)

    rules = Rules(per_minute_per_address=60)
    with (
        serving([], lambda _: make_api({}, Door(sqlite, rules, clock=clock))) as running,
        openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0) as client,
    ):
        assert codes_from(running.url, *[""] * 60) == [200] * 60
        with pytest.raises(openai.RateLimitError) as error:
            client.models.list()
        assert error.value.code == "rate_limit_exceeded"
        assert error.value.response.headers["retry-after"] == "1"
        begun.append(time.monotonic())
        assert client.with_options(max_retries=1).models.list().data == []
        assert time.monotonic() - begun[0] >= 1
