"""Consent and one's own data: given, changed and withdrawn, seen, exported and deleted; over HTTP and in a browser."""

import argparse

import httpx
import pytest
from playwright.sync_api import expect
from sqlalchemy import update
from tests.chat.arena import agree, begin, consent_form, read, vote
from tests.chat.browser import violations

from fonderie.chat.consent import RETENTION_DAYS
from fonderie.commands import serve
from fonderie.serve.database.tables import consents, conversations, reports, sessions, turns, votes
from fonderie.serve.sessions import COOKIE_DAYS, MOST_COOKIE_DAYS


@pytest.fixture
def client(arena):
    with httpx.Client(base_url=arena.url, timeout=60) as client:
        yield client


def note_of(response: httpx.Response) -> str:
    assert response.status_code == 303
    return response.headers["location"]


def test_both_boxes_are_empty_and_refusing_leaves_no_trace(arena, client):
    before = arena.count(sessions)
    page = client.get("/fr/consent").text
    assert page.count('type="checkbox"') == 2
    assert " checked aria-" not in page
    assert note_of(agree(client)) == "/fr/my-data?done=withdrawn"
    assert "Ce service ne garde rien de vous" in client.get("/fr/my-data").text
    assert client.get("/my-data.json").json() == {}
    assert (arena.count(sessions), client.cookies.get("fonderie")) == (before, None)


def test_a_consent_is_to_the_words_that_were_shown(arena, client):
    form = {**consent_form(client), "evaluation": "on"}
    changed = client.post("/fr/consent", data={**form, "hash": "0" * 64}, headers={"accept": "application/json"})
    assert (changed.status_code, changed.json()["error"]["code"]) == (409, "consent_stale")
    other_language = client.post("/en/consent", data=form, headers={"accept": "application/json"})
    assert other_language.status_code == 409
    alone = agree(client, "publication")
    assert alone.status_code == 400
    assert "le second accord suppose le premier" in alone.text.replace("\u00a0", " ")
    assert note_of(agree(client, "evaluation", "publication", language="en")) == "/en/my-data?done=saved"
    row = arena.rows(consents)[-1]
    assert (row.evaluation, row.publication, row.locale) == (True, True, "en")
    assert "and published with your opinions" in client.get("/en/my-data").text
    assert client.get("/en/consent").text.count(" checked aria-") == 2


def test_the_cookie_is_for_this_site_and_not_for_scripts(client):
    cookie = agree(client, "evaluation").headers["set-cookie"]
    assert cookie.startswith("fonderie=")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


def test_withdrawing_deletes_what_was_kept(arena, client):
    agree(client, "evaluation")
    state = begin(client)
    assert vote(client, state).status_code == 200
    assert state["id"] in [row.id for row in arena.rows(conversations)]
    agree(client)
    for table, column in ((conversations, "id"), (turns, "conversation_id"), (votes, "conversation_id")):
        assert state["id"] not in [getattr(row, column) for row in arena.rows(table)]
    state = begin(client)
    assert vote(client, state).json()["error"]["code"] == "consent_required"


def test_a_conversation_is_deleted_by_who_kept_it_alone(arena, client):
    agree(client, "evaluation")
    state = begin(client)
    vote(client, state)
    with httpx.Client(base_url=arena.url) as other:
        assert other.post(f"/fr/my-data/delete/{state['id']}").status_code == 404
        agree(other, "evaluation")
        assert other.post(f"/fr/my-data/delete/{state['id']}").status_code == 404
    assert state["rounds"][0]["question"] in client.get("/fr/my-data").text
    assert note_of(client.post(f"/fr/my-data/delete/{state['id']}")) == "/fr/my-data?done=deleted_one"
    assert state["id"] not in [row.id for row in arena.rows(conversations)]


def test_another_site_cannot_have_anything_deleted(client):
    agree(client, "evaluation")
    for path in "/fr/my-data/delete", "/fr/consent", "/fr/my-data/delete/x":
        refused = client.post(path, data={"sure": "on"}, headers={"sec-fetch-site": "cross-site"})
        assert refused.status_code == 403
    assert "Vous avez accepté" in client.get("/fr/my-data").text


@pytest.mark.parametrize("body", [b"\xff=1", b"a", b"&".join(b"a=%d" % number for number in range(99))])
def test_a_form_that_is_none_is_refused(client, body):
    refused = client.post("/fr/consent", content=body, headers={"accept": "application/json"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_value")


def test_what_the_command_says_of_retention_is_what_the_consent_says():
    parser = argparse.ArgumentParser()
    serve.add(parser.add_subparsers())
    assert parser.parse_args(["serve", "release"]).retention_days == RETENTION_DAYS == COOKIE_DAYS
    assert serve.MOST_RETENTION_DAYS == MOST_COOKIE_DAYS
    for days, code in (("395", None), ("396", 2), ("0", 2), ("many", 2)):
        if code is None:
            assert parser.parse_args(["serve", "release", "--retention-days", days]).retention_days == int(days)
            continue
        with pytest.raises(SystemExit) as stopped:
            parser.parse_args(["serve", "release", "--retention-days", days])
        assert stopped.value.code == code


def test_the_cookie_lasts_as_long_as_what_is_kept(arena, client):
    """Any page that is visited puts both off: the one by which it is found, and the day when it is deleted."""
    assert "set-cookie" not in client.get("/fr/").headers
    agree(client, "evaluation")
    with arena.database.write() as connection:
        connection.execute(update(sessions).values(seen_at=sessions.c.seen_at - 2 * 86_400))
    before = arena.rows(sessions)[-1].seen_at
    for path in "/fr/", "/en/ranking", "/fr/my-data":
        again = client.get(path).headers["set-cookie"]
        assert f"Max-Age={RETENTION_DAYS * 86_400}" in again, path
        assert again.split(";")[0] == f"fonderie={client.cookies['fonderie']}"
    assert arena.rows(sessions)[-1].seen_at > before + 86_400
    client.post("/fr/my-data/delete", data={"sure": "on"})
    assert "set-cookie" not in client.get("/fr/").headers


def test_a_page_that_needs_no_database_is_there_without_it(arena, client):
    agree(client, "evaluation")
    seen = []
    for name, other in (("sessions", "elsewhere"), ("elsewhere", "sessions")):
        with arena.database.write() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {name} RENAME TO {other}")
        page = client.get("/fr/")
        seen.append((page.status_code, "set-cookie" in page.headers))
    assert seen == [(200, False), (200, True)]


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_see_export_and_delete_in_a_browser(visit, arena, phone):
    page = visit(f"{arena.url}/fr/consent", phone=phone)
    page.get_by_role("checkbox", name="Garder les conversations").check()
    page.get_by_role("checkbox", name="Publier ce que je juge").check()
    assert violations(page) == []
    page.get_by_role("button", name="Enregistrer").click()
    expect(page.get_by_role("status")).to_have_text("Vos choix sont enregistrés.")
    (cookie,) = (one for one in page.context.cookies() if one["name"] == "fonderie")
    with httpx.Client(base_url=arena.url, timeout=60, cookies={"fonderie": str(cookie["value"])}) as same:
        state = begin(same, "Une question <b>à moi</b>")
        read(same, state)
        vote(same, state, comment="Ma remarque")
        model = arena.running.served[0].name
        same.post("/chat/reports", json={"model": model, "reason": "other", "excerpt": "Mon signalement"})
    page.reload()
    expect(page.get_by_role("status")).to_have_count(1)
    for summary in page.locator("summary").all():
        summary.click()
    for text in "Une question <b>à moi</b>", "Ma remarque", "Mon signalement":
        expect(page.locator("main")).to_contain_text(text)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    with page.expect_download() as download:
        page.get_by_role("link", name="Tout exporter").click()
    assert "Ma remarque" in download.value.path().read_text(encoding="utf-8")
    page.get_by_role("checkbox", name="Je veux tout effacer").check()
    page.get_by_role("button", name="Tout effacer").click()
    expect(page.get_by_role("status")).to_have_text("Tout est effacé.")
    expect(page.locator("main")).to_contain_text("Ce service ne garde rien de vous.")
    assert [one for one in page.context.cookies() if one["name"] == "fonderie"] == []
    for table, column in ((conversations, "id"), (turns, "conversation_id"), (votes, "conversation_id")):
        assert state["id"] not in [getattr(row, column) for row in arena.rows(table)]
    assert "Mon signalement" not in [row.excerpt for row in arena.rows(reports)]
    with httpx.Client(base_url=arena.url, cookies={"fonderie": str(cookie["value"])}) as same:
        assert same.get("/my-data.json").json() == {}
