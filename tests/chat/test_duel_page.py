"""The blind duel in a real browser: by keyboard alone, in both languages, through a reload, with and without consent."""

import re

import httpx
import pytest
from playwright.sync_api import Page, expect
from tests.chat.arena import QUESTION, SHADOW, agree
from tests.chat.browser import violations

from fonderie.serve.database.tables import reports, sessions, votes

pytestmark = pytest.mark.slow

WATCH_BUSY = """() => {
  window.seenBusy = 0;
  const look = () => { window.seenBusy = Math.max(window.seenBusy, document.querySelectorAll("[aria-busy]").length); };
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
}"""


def ask(page: Page, text: str = QUESTION) -> None:
    page.locator("#question").fill(text)
    page.locator("#question").press("Enter")


def ready(page: Page, round_number: int = 1) -> None:
    expect(page.locator(f".round:nth-child({round_number}) .ballot")).to_be_visible()


def consent_by_keyboard(page: Page) -> None:
    """From the chosen answer to the link, and through the dialogue; nothing is ticked beforehand."""
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Choisir ce qui est gardé").last).to_be_focused()
    page.keyboard.press("Enter")
    box = page.get_by_role("checkbox", name="Garder les conversations")
    expect(box).to_be_visible()
    assert not box.is_checked()
    expect(page.get_by_role("checkbox", name="Publier ce que je juge")).to_be_disabled()
    box.focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.locator(".consent-dialogue")).to_have_count(0)
    expect(page.locator(".standing")).to_have_text(re.compile("seront gardés pour évaluer les modèles"))


def test_a_duel_and_its_vote_by_keyboard_alone(visit, calm_arena):
    calm_arena.heard.sent.clear()
    page = visit(f"{calm_arena.url}/fr/duel")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "question":
            break
    page.evaluate(WATCH_BUSY)
    page.keyboard.type("Quelle touche ? 1 2 v n")
    expect(page.locator("#question")).to_have_value("Quelle touche ? 1 2 v n")  # a field takes what is typed
    page.keyboard.press("Enter")
    ready(page)
    assert page.evaluate("window.seenBusy") == 2  # both sides, while they were being written
    expect(page.locator("#status")).to_have_text("Les deux réponses sont terminées. Vous pouvez voter.")
    assert page.locator("[aria-busy]").count() == 0
    page.keyboard.press("4")
    expect(page.get_by_role("radio", name="Les deux sont mauvaises")).to_be_checked()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("radio", name="Les deux sont bonnes")).to_be_checked()
    page.keyboard.press("2")
    expect(page.get_by_role("radio", name="B est meilleure")).to_be_focused()
    expect(page.locator(".standing")).to_contain_text("Ce vote ne sera pas gardé")
    # Until here, nothing that the browser got names anybody.
    heard = list(calm_arena.heard.sent)
    assert {path.rpartition("/")[2] for path, _ in heard} >= {"duel", "duels", "a", "b", "duel.js", "words.fr.json"}
    for path, data in heard:
        assert [name for name in calm_arena.names if name.encode() in data] == [], path
    consent_by_keyboard(page)
    page.keyboard.press("c")
    expect(page.locator(".voted")).to_have_text("Votre vote : B est meilleure. Il est gardé.")
    assert page.evaluate("document.activeElement.id") == "question"
    expect(page.locator("#reveal")).to_be_hidden()
    page.keyboard.type("Et la chatte ?")
    page.keyboard.press("Enter")
    ready(page, 2)
    page.keyboard.press("1")
    page.keyboard.press("v")
    expect(page.get_by_role("heading", name="Voici qui répondait")).to_be_focused()
    for name in "toy-0.1.0", SHADOW:
        expect(page.locator(".rounds .who strong", has_text=name)).to_have_count(2)
    expect(page.locator("#reveal code").first).to_have_attribute("title", re.compile("^sha256:"))
    kept = calm_arena.rows(votes)[-2:]
    assert [(row.position, row.choice) for row in kept] == [(1, "b"), (3, "a")]
    page.keyboard.press("n")
    expect(page.locator("#welcome")).to_be_visible()
    assert page.evaluate("document.activeElement.id") == "question"


def test_without_consent_it_is_played_in_english_and_nothing_is_kept(visit, calm_arena):
    before = calm_arena.count(votes), calm_arena.count(sessions)
    page = visit(f"{calm_arena.url}/duel", language="en")
    assert page.url == f"{calm_arena.url}/en/duel"
    expect(page.locator("main")).to_contain_text("These are artificial intelligences")
    ask(page)
    ready(page)
    page.locator(".choice", has_text="Both are bad").click()
    page.get_by_text("Say why, if you like").click()
    page.locator(".chip", has_text="incorrect").first.click()
    page.get_by_role("button", name="Vote and see the names").click()
    expect(page.get_by_role("heading", name="This is who answered")).to_be_visible()
    expect(page.locator(".voted")).to_have_text("Your vote: Both are bad. Nothing of this duel was kept.")
    for link in page.locator("#reveal a").all():
        assert page.request.get(f"{calm_arena.url}{link.get_attribute('href')}").ok
    assert (calm_arena.count(votes), calm_arena.count(sessions)) == before


def test_a_reload_finds_the_duel_again(visit, calm_arena):
    page = visit(f"{calm_arena.url}/fr/duel")
    ask(page)
    expect(page.locator(".side .text").first).not_to_be_empty()
    page.reload()
    assert any(one.engine.load().running for one in calm_arena.running.served)  # they went on meanwhile
    ready(page)
    said = page.locator(".side .text").all_inner_texts()
    assert all(said)
    page.reload()
    ready(page)
    assert page.locator(".side .text").all_inner_texts() == said
    page.keyboard.press("5")
    page.keyboard.press("v")
    expect(page.locator("#reveal")).to_be_visible()
    page.reload()
    expect(page.locator("#reveal")).to_be_visible()
    expect(page.locator(".voted")).to_have_text(re.compile("Je ne sais pas"))


def test_where_no_work_can_be_computed_the_vote_says_that_it_is_not_kept(visit, calm_arena):
    with httpx.Client(base_url=calm_arena.url) as client:
        agree(client, "evaluation")
        cookie = {"name": "fonderie", "value": client.cookies["fonderie"], "url": calm_arena.url}
    before = calm_arena.count(votes)
    page = visit(f"{calm_arena.url}/fr/duel")
    page.context.add_cookies([cookie])
    # As over plain http from another machine: no SHA-256.
    page.context.add_init_script("Object.defineProperty(crypto, 'subtle', { value: undefined })")
    page.reload()
    ask(page)
    ready(page)
    page.keyboard.press("1")
    expect(page.locator(".standing")).to_contain_text("ne calcule que sur une adresse en https")
    page.keyboard.press("v")
    expect(page.locator(".voted")).to_have_text("Votre vote : A est meilleure. Rien de ce duel n’a été gardé.")
    assert calm_arena.count(votes) == before


def test_both_are_stopped_and_the_keys_can_be_turned_off(visit, calm_arena):
    page = visit(f"{calm_arena.url}/fr/duel")
    page.get_by_role("button", name="Au clavier").click()
    page.get_by_role("checkbox", name="Raccourcis d’une touche").uncheck()
    page.get_by_role("button", name="Fermer").click()
    ask(page, "Raconte une longue histoire.")
    page.wait_for_timeout(550)
    page.get_by_role("button", name="Arrêter les deux").click()
    ready(page)
    expect(page.locator(".note")).to_contain_text("Un vote sur une réponse inachevée ne compte pas")
    page.keyboard.press("1")
    expect(page.get_by_role("radio", name="A est meilleure")).not_to_be_checked()


@pytest.mark.parametrize(("dark", "phone"), [(False, False), (True, True)], ids=["light, desktop", "dark, phone"])
def test_axe_finds_nothing_serious(visit, calm_arena, dark, phone):
    page = visit(f"{calm_arena.url}/fr/duel", dark=dark, phone=phone)

    def check() -> None:
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    check()
    page.locator("#question").fill(QUESTION)
    page.get_by_role("button", name="Envoyer").click()
    ready(page)
    answer = page.locator(".round .side .text").nth(1).inner_text()
    page.get_by_role("button", name="Signaler la réponse B").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    check()
    sent = re.escape(f"[Vous]\n{QUESTION}\n\n[Réponse B]\n{answer[:20]}")
    expect(page.get_by_label("Ce qui sera envoyé")).to_have_value(re.compile(f"^{sent}"))
    page.get_by_label("Ce qui ne va pas").select_option("false")
    page.get_by_role("button", name="Envoyer le signalement").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Signalement envoyé. Merci.")).to_be_visible()
    reported = calm_arena.rows(reports)[-1]
    assert (reported.reason, reported.excerpt.partition("\n")[0]) == ("false", "[Vous]")
    page.locator(".choice").first.click()
    page.get_by_text("Dites pourquoi, si vous voulez").click()
    check()
    page.get_by_role("link", name="Choisir ce qui est gardé").last.click()
    expect(page.locator(".consent-dialogue")).to_be_visible()
    check()
    page.get_by_role("button", name="Plus tard").click()
    page.get_by_role("button", name="Voter et voir les noms").click()
    expect(page.locator("#reveal")).to_be_visible()
    expect(page.locator(".rounds .side").nth(1).locator("strong")).to_have_text(reported.model)
    check()
