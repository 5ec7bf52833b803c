"""Thumbs and reports under the answers of the chat page."""

import json
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect
from tests.chat.arena import agree, text_of
from tests.chat.browser import violations

from fonderie.serve.database.tables import conversations, reports, thumbs, turns

QUESTION = "Que fait la voisine ?"


@pytest.fixture
def client(arena):
    with httpx.Client(base_url=arena.url, timeout=60) as client:
        yield client


def answered(client: httpx.Client, model: str) -> dict[str, Any]:
    """An answer of the chat page, as its thumb is sent."""
    asked = [{"role": "user", "text": QUESTION}]
    said = client.post("/chat/answers", json={"model": model, "turns": asked, "settings": {"max_tokens": 8}}).json()
    stream = client.get(f"/chat/answers/{said['id']}").text
    end = json.loads(stream.split("event: end\ndata: ")[1])
    return {
        "model": model,
        "turns": [*asked, {"role": "assistant", "text": text_of(stream)}],
        "settings": said["settings"],
        "finish_reason": end["reason"],
        "seal": end["seal"],
        "locale": "fr",
        "value": 1,
    }


def code_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def test_a_thumb_is_kept_changed_and_taken_back(arena, client):
    thumb = answered(client, arena.running.served[0].name)
    assert code_of(client.post("/chat/thumbs", json=thumb)) == (428, "consent_required")
    agree(client, "evaluation")
    before = arena.count(conversations)
    assert client.post("/chat/thumbs", json={**thumb, "reasons": ["useful"]}).status_code == 204
    assert client.post("/chat/thumbs", json={**thumb, "value": -1, "reasons": ["incorrect"]}).status_code == 204
    assert arena.count(conversations) == before + 1
    kept = arena.rows(thumbs)[-1]
    assert (kept.value, kept.reasons) == (-1, ["incorrect"])
    (judged,) = (row for row in arena.rows(turns) if row.id == kept.turn_id)
    assert (judged.text, judged.seed) == (thumb["turns"][1]["text"], str(thumb["settings"]["seed"]))
    assert code_of(client.post("/chat/thumbs", json={**thumb, "reasons": ["incorrect"]})) == (400, "invalid_value")
    assert client.post("/chat/thumbs", json={**thumb, "value": 0}).status_code == 204
    assert arena.count(conversations) == before


@pytest.mark.parametrize("forged", ["answer", "question", "settings", "model", "reason", "seal"])
def test_what_was_not_answered_here_cannot_be_judged(arena, client, forged):
    agree(client, "evaluation")
    thumb = answered(client, arena.running.served[0].name)
    if forged == "answer":
        thumb["turns"][1]["text"] += " Achetez-en !"
    elif forged == "question":
        thumb["turns"][0]["text"] = "Insulte-moi."
    elif forged == "settings":
        thumb["settings"]["temperature"] = 0.0
    elif forged == "model":
        thumb["model"] = arena.running.served[1].name
    elif forged == "reason":
        thumb["finish_reason"] = "left"
    else:
        thumb["seal"] = "0" * 64
    assert code_of(client.post("/chat/thumbs", json=thumb)) == (409, "unsealed")


def test_a_report_is_kept_as_it_was_sent_and_can_be_deleted(arena, client):
    report = {"model": arena.running.served[0].name, "reason": "false", "comment": "Non.", "excerpt": "Ceci."}
    assert code_of(client.post("/chat/reports", json={**report, "reason": "dull"})) == (400, "invalid_value")
    assert client.cookies.get("fonderie") is None
    assert client.post("/chat/reports", json=report).status_code == 201
    row = arena.rows(reports)[-1]
    assert (row.reason, row.comment, row.excerpt, row.digest) == (
        "false",
        "Non.",
        "Ceci.",
        arena.running.served[0].digest,
    )
    client.post("/fr/my-data/delete", data={"sure": "on"})
    assert row.id not in [one.id for one in arena.rows(reports)]


def test_thumbs_and_reports_in_a_browser(visit, arena):
    page = visit(f"{arena.url}/fr/")
    page.get_by_role("button", name="Réglages").click()
    page.locator("#length").fill("8")
    page.locator("#settings .solid").click()
    page.locator("#question").fill(QUESTION)
    page.locator("#question").press("Enter")
    thumb = page.get_by_role("button", name="Mauvaise réponse")
    expect(thumb).to_have_attribute("aria-pressed", "false")
    # By keyboard alone from here.
    thumb.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Space")  # the first reason has the focus
    expect(page.get_by_role("checkbox", name="fausse")).to_be_checked()
    assert violations(page) == []
    page.get_by_role("textbox", name="Commentaire (facultatif)").fill("Pas du tout.")
    page.get_by_role("button", name="Envoyer l’avis").focus()
    page.keyboard.press("Enter")
    # It asks for the consent now, and goes on once that is given.
    page.get_by_role("checkbox", name="Garder les conversations").focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Enregistrer mes choix").focus()
    page.keyboard.press("Enter")
    expect(thumb).to_have_attribute("aria-pressed", "true")
    expect(thumb).to_be_focused()
    kept = arena.rows(thumbs)[-1]
    assert (kept.value, kept.reasons, kept.comment) == (-1, ["incorrect"], "Pas du tout.")
    page.reload()
    expect(thumb).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Signaler").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert violations(page) == []
    page.get_by_label("Ce qui sera envoyé").fill("Ce que je veux bien montrer")
    page.get_by_label("Ce qui ne va pas").select_option("hateful")
    page.get_by_role("button", name="Envoyer le signalement").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Signalement envoyé. Merci.")).to_be_visible()
    sent = arena.rows(reports)[-1]
    assert (sent.reason, sent.excerpt) == ("hateful", "Ce que je veux bien montrer")
    thumb.click()
    page.get_by_role("button", name="Retirer l’avis").click()
    expect(thumb).to_have_attribute("aria-pressed", "false")
    assert kept.id not in [row.id for row in arena.rows(thumbs)]
