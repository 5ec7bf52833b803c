"""What a browser keeps of conversations, in a real one: in the tab, in the history if that is wanted, and in files."""

import json
from pathlib import Path

from playwright.sync_api import Page, Route, expect
from tests.chat.talking import QUESTION, ask, last_answer, set_length, until_done


def keep_history(page: Page) -> None:
    page.get_by_role("button", name="Historique").click()
    page.get_by_role("checkbox").check()
    page.locator("#history .solid").click()


def questions_kept(page: Page) -> list[list[str]]:
    """Of each kept conversation, the latest first."""
    kept = json.loads(page.evaluate("localStorage['fonderie.history']"))
    return [[turn["text"] for turn in one["turns"] if turn["role"] == "user"] for one in kept]


def test_a_conversation_that_is_left_is_kept_as_it_is(visit, site, page):
    keep_history(page)
    set_length(page, 400, temperature=0)
    ask(page)
    expect(last_answer(page)).not_to_be_empty()
    page.get_by_role("button", name="Nouvelle conversation").click()
    expect(page.locator("#welcome")).to_be_visible()
    page.get_by_role("button", name="Historique").click()
    page.locator(".kept-open").click()
    until_done(page)
    expect(page.locator(".about").last).to_contain_text("arrêtée")
    assert last_answer(page).inner_text()


def test_history_is_kept_only_if_wanted_and_deleted_when_asked(visit, site, page):
    set_length(page, 5)
    ask(page, "Première question")
    until_done(page)
    assert page.evaluate("localStorage.length") == 0
    page.get_by_role("button", name="Historique").click()
    page.get_by_role("checkbox").check()
    expect(page.locator("#kept .kept-open span")).to_have_text("Première question")  # the one that is there
    page.locator("#history .solid").click()
    page.get_by_role("button", name="Nouvelle conversation").click()
    ask(page, "Seconde question")
    until_done(page)
    page.get_by_role("button", name="Historique").click()
    expect(page.locator("#kept .kept-open span")).to_have_text(["Seconde question", "Première question"])
    page.get_by_role("button", name="Première question", exact=False).first.click()
    expect(page.locator(".turn.question .text")).to_have_text("Première question")
    page.get_by_role("button", name="Historique").click()
    page.get_by_role("button", name="Supprimer « Première question »").click()
    expect(page.locator("#kept li")).to_have_count(1)
    page.get_by_role("checkbox").click()
    page.locator("#confirm-yes").click()
    expect(page.locator("#kept li")).to_have_count(0)  # the box is empty from the click on, before anybody is sure
    expect(page.get_by_role("checkbox")).not_to_be_checked()
    assert page.evaluate("localStorage.length") == 0


def test_a_browser_without_room_says_so(visit, site, page):
    page.evaluate(
        "sessionStorage.setItem('filled', 'x'.repeat(5_242_880 - 500))"
    )  # Chromium gives ten million bytes
    set_length(page, 40, temperature=0)
    ask(page, QUESTION * 40)
    until_done(page)
    expect(page.locator("#room")).to_contain_text("n’a plus de place")
    page.evaluate("sessionStorage.removeItem('filled')")
    page.get_by_role("button", name="Nouvelle conversation").click()
    expect(page.locator("#room")).to_be_empty()


def test_export(visit, site, page):
    set_length(page, 5, seed=3)
    ask(page)
    until_done(page)
    page.get_by_role("button", name="Exporter").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").click()
    made = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert [turn["role"] for turn in made["turns"]] == ["user", "assistant"]
    assert made["turns"][1]["digest"] == site.served[0].digest
    assert made["turns"][1]["settings"]["seed"] == 3
    page.get_by_role("button", name="Exporter").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Markdown").click()
    assert QUESTION in Path(download.value.path()).read_text(encoding="utf-8")


def test_two_tabs_do_not_overwrite_each_other(visit, site, page):
    keep_history(page)
    set_length(page, 3)
    ask(page, "Un ?")
    until_done(page)
    other = page.context.new_page()
    other.goto(page.url)
    other.get_by_role("button", name="Historique").click()
    other.locator(".kept-open").click()
    set_length(other, 3)
    ask(other, "Deux ?")
    until_done(other)
    # The first tab, where this never was, is left and comes back: that changes nothing.
    page.reload()
    expect(page.locator(".turn.question .text")).to_have_text(["Un ?"])
    assert questions_kept(other) == [["Un ?", "Deux ?"]]
    # It goes on by itself: from there on it is another conversation.
    ask(page, "Trois ?")
    until_done(page)
    assert questions_kept(other) == [["Un ?", "Trois ?"], ["Un ?", "Deux ?"]]
    # What is deleted in one tab does not come back because the other is left.
    other.get_by_role("button", name="Historique").click()
    other.get_by_role("button", name="Supprimer « Un ? »").first.click()
    page.reload()
    assert questions_kept(other) == [["Un ?", "Deux ?"]]


def test_a_question_without_an_answer_is_asked_with_the_next(visit, site, page):
    turns = [("user", "Un ?"), ("assistant", ""), ("user", "Deux ?"), ("assistant", "Oui."), ("user", "Trois ?")]
    asked = page.evaluate(
        """async (turns) => {
          const where = document.querySelector("script[type=module]").src.replace("app.js", "conversation.js");
          return (await import(where)).asked({ turns: turns.map(([role, text]) => ({ role, text })) });
        }""",
        turns,
    )
    assert [(turn["role"], turn["text"]) for turn in asked] == [
        ("user", "Un ?\n\nDeux ?"),
        ("assistant", "Oui."),
        ("user", "Trois ?"),
    ]


def test_where_nothing_may_be_stored_one_talks_all_the_same(visit, site, page):
    page.context.add_init_script(
        "for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(window, name, "
        "{ get() { throw new DOMException('not here', 'SecurityError'); } });"
    )
    page.reload()
    set_length(page, 3)
    ask(page)
    until_done(page)
    expect(page.locator("#room")).to_contain_text("un rechargement la perdrait")
    page.get_by_role("button", name="Historique").click()
    page.get_by_role("checkbox").click()
    expect(page.locator("#history-problem")).to_contain_text("n’a pas de place pour un historique")
    expect(page.get_by_role("checkbox")).not_to_be_checked()


def test_a_browser_that_refuses_cookies_is_told_what_one_is_for(visit, site, page):
    def without_cookie(route: Route) -> None:
        answer = route.fetch()
        page.context.clear_cookies()
        route.fulfill(
            response=answer, headers={name: text for name, text in answer.headers.items() if name != "set-cookie"}
        )

    page.context.add_init_script("Object.defineProperty(navigator, 'cookieEnabled', { value: false });")
    page.route("**/chat/answers", without_cookie)
    page.reload()
    ask(page)
    expect(page.get_by_role("alert").first).to_contain_text("Votre navigateur refuse les cookies")


def test_what_was_said_until_the_page_is_left_is_in_the_history(visit, site, page):
    keep_history(page)
    set_length(page, 400, temperature=0)
    ask(page)
    expect(last_answer(page)).not_to_be_empty()
    page.goto(f"{site.url}/fr/models/{site.served[0].name}")
    [kept] = json.loads(page.evaluate("localStorage['fonderie.history']"))
    assert kept["turns"][1]["text"]
