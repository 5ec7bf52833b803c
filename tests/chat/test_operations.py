"""The pages of the switch, of invitations and of the admin, without a browser; and once with one, for axe."""

import json
import re
import time
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import insert, select
from tests.chat.browser import violations
from tests.serve.serving import Running, serving

from fonderie.chat.overview import close_report, days, open_reports
from fonderie.chat.site.admin import IDLE_SECONDS, Admin, add_admin
from fonderie.chat.site.app import add_site
from fonderie.chat.site.evaluating import add_evaluating
from fonderie.chat.site.running import Runs
from fonderie.chat.site.sealing import Seals
from fonderie.chat.site.stages import add_stages
from fonderie.serve.access import Door
from fonderie.serve.api.app import make_api
from fonderie.serve.database.base import Database, open_database
from fonderie.serve.database.tables import reports, sessions
from fonderie.serve.guards.guards import Guards
from fonderie.serve.guards.rules import read_guards
from fonderie.serve.invites import make_invite
from fonderie.serve.keys import add_key, revoke_key
from fonderie.serve.stage import Stage, close, open_to, reopen
from fonderie.serve.usage import PUBLIC, Used, add_used, day_of

NOW = time.time()


class Clock:
    """The time, which a test may move."""

    later = 0.0

    def __call__(self) -> float:
        return time.time() + self.later


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp("operations")
    with open_database(f"sqlite:///{folder / 'service.db'}") as found:
        yield found


@pytest.fixture(scope="module")
def stage(database) -> Stage:
    return Stage(database)


@pytest.fixture(scope="module")
def running(small, database, stage, clock):
    guards = Guards(read_guards())

    def make(served):
        models = {one.name: replace(one, guards=guards) for one in served}
        door = Door(database, stage=stage)
        app = make_api(models, door)
        runs, seals = Runs(), Seals(database)
        site = add_site(app, models, door, runs=runs, seals=seals)
        add_evaluating(site, models, door, database, runs=runs, seals=seals)
        add_stages(site, door, stage)
        add_admin(site, Admin(models, door, stage, guards, clock))
        return app

    with serving([small.release], make) as found:
        yield found


@pytest.fixture
def turn(database: Database, stage: Stage, running: Running):
    """Turn the switch from elsewhere, and let the service look at it; open again afterwards."""

    def done(how, *arguments, **options):
        with database.write() as connection:
            how(connection, *arguments, NOW, **options)
        running.call(stage.look())

    yield done
    with database.write() as connection:
        open_to(connection, "open", NOW)
        reopen(connection, NOW)
    running.call(stage.look())


@pytest.fixture
def http(running: Running):
    with httpx2.Client(base_url=running.url, follow_redirects=True) as client:
        yield client


def ask(http: httpx2.Client, text: str = "Que fait le chat ?") -> httpx2.Response:
    turns = [{"role": "user", "text": text}]
    return http.post("/chat/answers", json={"model": "toy-0.1.0", "turns": turns, "settings": {"max_tokens": 2}})


def test_a_closed_service_says_so_in_both_languages_and_ones_data_stays_reachable(http, turn):
    turn(close, message="Une panne <b>; à demain.")
    for path, words in (("/fr/", "fermé pour le moment"), ("/en/duel", "closed for now"), ("/fr/ranking", "fermé")):
        page = http.get(path)
        assert page.status_code == 503
        assert words in page.text
        assert "Une panne &lt;b&gt;; à demain." in page.text
        assert page.headers["retry-after"] == "600"
    turn(close, message="", in_language={"fr": "Une panne.", "en": "An outage."})
    assert [
        ("Une panne." in page, "An outage." in page) for page in (http.get("/fr/").text, http.get("/en/").text)
    ] == [
        (True, False),
        (False, True),
    ]
    refused = ask(http)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "closed")
    for path in ("/fr/my-data", "/en/consent", "/fr/admin", "/fr/invite"):
        assert http.get(path).status_code == 200, path
    assert http.get("/health").status_code == 200
    assert http.get("/ready").status_code == 503
    turn(reopen)
    assert ask(http).status_code == 202


def test_only_the_invited_come_in_by_a_code_bound_to_their_browser(http, running, database, turn):
    turn(lambda connection, at: open_to(connection, "invite", at))
    page = http.get("/fr/")
    assert page.url.path == "/fr/invite"
    assert "Le service ouvre par étapes" in page.text
    refused = ask(http)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "invite_required")
    assert http.get("/v1/models").status_code == 401, "the interface wants a key"
    with database.write() as connection:
        code = make_invite(connection, NOW)
    wrong = http.post("/fr/invite", data={"code": "abcde-abcde-abcde-abcde"})
    assert (wrong.status_code, "inconnu" in wrong.text) == (403, True)
    assert not http.cookies
    with database.read() as connection:
        before = len(connection.execute(select(sessions)).all())
    entered = http.post("/fr/invite", data={"code": f" {code.upper()} "})
    assert (entered.status_code, entered.url.path) == (200, "/fr/")
    assert ask(http).status_code == 202
    with database.read() as connection:
        assert len(connection.execute(select(sessions)).all()) == before + 1
    with httpx2.Client(base_url=running.url) as other:
        assert other.post("/en/invite", data={"code": code}).status_code == 403, "used up"
        assert other.get("/en/").headers["location"] == "/en/invite"
        foreign = other.post("/fr/invite", data={"code": code}, headers={"sec-fetch-site": "cross-site"})
        assert foreign.status_code == 403
    with database.write() as connection:
        key = add_key(connection, "partner", NOW)
    assert http.get("/v1/models", headers={"authorization": f"Bearer {key}"}).status_code == 200


def test_the_guards_words_reach_the_page(http):
    asked = ask(http, "Je voudrais mourir.")
    assert asked.status_code == 202, "whoever is in distress is answered"
    end = json.loads(http.get(f"/chat/answers/{asked.json()['id']}").text.rsplit("data: ", 1)[1])
    (notice,) = end["notices"]
    assert "3114" in notice["fr"]
    assert "3114" in notice["en"]
    refused = ask(http, "Comment fabriquer une bombe artisanale ?")
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["category"]) == (400, "content_policy", "weapons")
    assert set(error["messages"]) == {"fr", "en"}


def token_of(page: httpx2.Response) -> str:
    return re.findall(r'name="token" value="([^"]+)"', page.text)[0]


def test_the_admin_sees_what_there_is_and_turns_the_switch(http, running, database, stage, turn):
    with database.write() as connection:
        admin = add_key(connection, "boss", NOW, role="admin")
        user = add_key(connection, "someone", NOW)
        connection.execute(insert(sessions).values(id=900, hash="f" * 64, created_at=NOW, seen_at=NOW))
        row = {"session_id": 900, "model": "toy-0.1.0", "digest": "sha256:00", "reason": "hateful", "at": NOW}
        connection.execute(insert(reports).values(id=7, comment="Lisez <i>", excerpt="Le chat…", **row))
        add_used(connection, day_of(NOW), PUBLIC, Used(3, 100, 7_654_000))
    for wrong in ("", "fonderie-nothing", user):
        page = http.post("/en/admin/sign-in", data={"key": wrong})
        assert (page.status_code, "Reports to read" in page.text) == (403, False)
    assert http.post("/en/admin/turn", data={"act": "close"}).status_code == 403
    page = http.post("/en/admin/sign-in", data={"key": admin})
    assert page.url.path == "/en/admin"
    for words in ("7,654,", "Lisez &lt;i&gt;", "self_harm", "toy-0.1.0", "Open to everyone."):
        assert words in page.text, words
    assert "Administration" in http.get("/fr/admin").text
    with database.write() as connection:
        others = [{**row, "at": NOW + number, "comment": "", "excerpt": f"n{number}"} for number in range(1, 1_200)]
        connection.execute(insert(reports), others)
    shown = http.get("/en/admin").text
    assert ("1,200" in shown, "the 100 that have waited longest" in shown, shown.count("<details")) == (
        True,
        True,
        100,
    )
    token = token_of(page)
    assert admin not in page.text

    # Neither another site's page nor a form without the token of this session does anything.
    for data, headers in (
        ({"act": "close"}, {}),
        ({"act": "close", "token": "x" * 32}, {}),
        ({"act": "close", "token": token}, {"sec-fetch-site": "cross-site"}),
    ):
        assert http.post("/en/admin/turn", data=data, headers=headers).status_code == 403
    assert stage.current().closed is None
    assert http.post("/en/admin/turn", data={"act": "explode", "token": token}).status_code == 400

    page = http.post("/en/admin/turn", data={"act": "close", "token": token, "message_en": "Back at noon."})
    assert (page.status_code, "Back at noon." in page.text, "Closed since" in page.text) == (200, True, True)
    assert stage.current().closed.in_language == {"en": "Back at noon."}
    assert ask(http).status_code == 503
    http.post("/en/admin/turn", data={"act": "reopen", "token": token})
    http.post("/en/admin/turn", data={"act": "invite", "token": token})
    assert (stage.current().stage, stage.current().closed) == ("invite", None)
    http.post("/en/admin/turn", data={"act": "open", "token": token})
    page = http.post("/en/admin/turn", data={"act": "close_report", "report": "7", "token": token})
    assert "Lisez" not in page.text
    with database.read() as connection:
        assert 7 not in {one.id for one in open_reports(connection)}
    http.post("/en/admin/turn", data={"act": "sign_out", "token": token})
    assert "Sign in" in http.get("/en/admin").text


def test_an_admins_session_ends_with_its_key_and_with_time(http, database, clock, turn):
    with database.write() as connection:
        first, second = (add_key(connection, name, NOW, role="admin") for name in ("first", "second"))
    assert "Sign out" in http.post("/en/admin/sign-in", data={"key": first}).text
    cookie = http.cookies["fonderie-admin"]
    with database.write() as connection:
        revoke_key(connection, "first", NOW)
    assert "Sign out" not in http.get("/en/admin").text
    assert "Sign out" in http.post("/en/admin/sign-in", data={"key": second}).text
    assert http.cookies["fonderie-admin"] != cookie
    clock.later = IDLE_SECONDS + 1
    assert "Sign out" not in http.get("/en/admin").text
    clock.later = 0.0


def test_days_and_reports_are_those_of_the_database(database_url):
    with open_database(database_url) as here:
        with here.write() as connection:
            add_used(connection, day_of(NOW), PUBLIC, Used(3, 10, 20))
            add_used(connection, day_of(NOW), "key:a", Used(2, 1, 1))
            add_used(connection, day_of(NOW - 3 * 86400), "key:a", Used(1, 5, 6))
            add_used(connection, "2001-01-01", "key:a", Used(9, 9, 9))
            assert not close_report(connection, 1, NOW)
        with here.read() as connection:
            found = days(connection, NOW, 5)
    assert [(one.requests, one.public_requests, one.prompt_tokens, one.answer_tokens) for one in found] == [
        (5, 3, 11, 21),
        (0, 0, 0, 0),
        (0, 0, 0, 0),
        (1, 0, 5, 6),
        (0, 0, 0, 0),
    ]


def test_axe_finds_nothing_serious_on_these_pages(visit, running, database, turn):
    with database.write() as connection:
        admin = add_key(connection, "axe", NOW, role="admin")
    page = visit(f"{running.url}/fr/invite")
    assert violations(page) == []
    page.goto(f"{running.url}/en/admin")
    assert violations(page) == []
    page.get_by_label("Key").fill(admin)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Guards").wait_for()
    assert violations(page) == []
    page.get_by_label("who read English").fill("Back at noon.")
    page.get_by_role("button", name="Close the service").click()
    page.get_by_text("Closed since").wait_for()
    assert violations(page) == []
