"""The chat page in a real browser: a conversation, stop, a reload in mid-stream, languages, history, export."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.chat.arena import SHADOW
from tests.chat.browser import violations
from tests.serve.serving import Running

from fonderie.serve.engine.request import Request, Sampling

QUESTION = "Que fait le chat ?"


def ask(page: Page, text: str = QUESTION) -> None:
    page.get_by_role("textbox").fill(text)
    page.get_by_role("textbox").press("Enter")


def last_answer(page: Page):
    return page.locator(".turn.answer .text").last


def set_length(page: Page, tokens: int, seed: int | None = None, temperature: float = 0.7) -> None:
    page.get_by_role("button", name=re.compile("Réglages|Settings")).click()
    page.locator("#temperature").fill(str(temperature))
    page.locator("#length").fill(str(tokens))
    page.locator("#seed").fill("" if seed is None else str(seed))
    page.locator("#settings .solid").click()


def turns_of(page: Page) -> list[dict[str, Any]]:
    """The conversation as the tab keeps it."""
    kept = json.loads(page.evaluate("sessionStorage['fonderie.conversation']"))
    turns: list[dict[str, Any]] = kept["conversation"]["turns"]
    return turns


def told(page: Page, site: Running, **settings: Any) -> Any:
    """What the API answers to the question."""
    messages = [{"role": "user", "content": QUESTION}]
    asked = {"model": site.served[0].name, "messages": messages, **settings}
    return page.request.post(f"{site.url}/v1/chat/completions", data=asked).json()


def until_done(page: Page) -> None:
    expect(page.locator("body.running")).to_have_count(0)


@contextmanager
def occupied(site: Running, count: int) -> Iterator[None]:
    """The engine has so much to do for others that whoever asks must wait."""
    served = site.served[0]
    request = Request(
        (served.tokenizer.bos,), 400, Sampling(logit_bias=dict.fromkeys(served.tokenizer.stops, -100.0))
    )
    enough = asyncio.Event()

    async def hold() -> None:
        async with served.answers.ask(served.engine, [request] * count, lambda _most: lambda *_taken: None):
            await enough.wait()

    held = asyncio.run_coroutine_threadsafe(hold(), site.loop)
    try:
        yield
    finally:
        site.loop.call_soon_threadsafe(enough.set)
        held.result(10)


@contextmanager
def wire(site: Running) -> Iterator[tuple[str, Callable[[], None]]]:
    """The service by way of connections that can be cut: its address, and what cuts those that there are."""
    ends: list[asyncio.StreamWriter] = []

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", int(site.url.rpartition(":")[2]))
        ends.extend((writer, back))
        await asyncio.gather(pass_on(reader, back), pass_on(there, writer))

    def cut() -> None:
        site.loop.call_soon_threadsafe(lambda: [end.transport.abort() for end in ends])

    server = site.call(asyncio.start_server(connected, "127.0.0.1", 0))
    assert isinstance(server, asyncio.Server)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", cut
    site.loop.call_soon_threadsafe(server.close)
    cut()


@pytest.fixture
def page(visit, site) -> Page:
    return visit.chromium.run(lambda: visit(f"{site.url}/fr/"))


def test_before_the_first_message_it_says_what_it_is(visit, site):
    page = visit(f"{site.url}/")
    assert page.url == f"{site.url}/fr/"
    body = page.locator("main")
    expect(body).to_contain_text("Vous parlez à une intelligence artificielle")
    expect(body).to_contain_text(site.served[0].index.name)
    expect(body).to_contain_text("Rien n’a été exigé de lui")
    expect(body).to_contain_text("C’est une démonstration")
    expect(body).to_contain_text("Usage libre")
    for link in page.locator(".colophon .links a").all():
        where = link.get_attribute("href")
        assert page.request.get(f"{site.url}{where}").ok, where
    page.get_by_role("link", name="English").click()
    expect(page.locator("main")).to_contain_text("You are talking with an artificial intelligence")
    assert page.locator("html").get_attribute("lang") == "en"


def test_a_conversation(visit, site, page):
    set_length(page, 30, seed=5)
    ask(page)
    expect(page.locator(".turn.question .text")).to_have_text(QUESTION)
    expect(page.locator("#welcome")).to_be_hidden()
    until_done(page)
    first = last_answer(page).inner_text()
    assert first
    expect(page.locator("#status")).to_have_text("Réponse terminée.")
    expect(page.locator(".about").last).to_contain_text("graine 5")
    assert last_answer(page).get_attribute("aria-busy") is None
    assert page.evaluate("document.activeElement.id") == "question"
    # The same seed and conversation: the same answer, asked of the API this time.
    same = told(page, site, seed=5, max_tokens=30, temperature=0.7, top_p=0.95)
    assert turns_of(page)[1]["text"] == same["choices"][0]["message"]["content"]
    # A retry draws another seed; an edit takes back what followed.
    page.get_by_role("button", name="Réessayer").click()
    until_done(page)
    expect(page.locator(".turn.answer")).to_have_count(1)
    expect(page.locator(".about").last).not_to_contain_text("graine 5 ")
    page.locator(".turn.question").hover()
    page.get_by_role("button", name="Modifier").click()
    page.locator(".turn .edit").fill("Et le renard ?")
    page.get_by_role("button", name="Renvoyer").click()
    until_done(page)
    expect(page.locator(".turn.question .text")).to_have_text(["Et le renard ?"])
    page.get_by_role("button", name="Nouvelle conversation").click()
    expect(page.locator("#welcome")).to_be_visible()


def test_stop(visit, site, page):
    set_length(page, 400, temperature=0)  # a model as little trained as this one then never comes to an end
    ask(page)
    expect(last_answer(page)).not_to_be_empty()
    page.wait_for_timeout(500)  # until the button that sends takes a click for another one
    page.get_by_role("button", name="Arrêter").click()
    until_done(page)
    expect(page.locator(".about").last).to_contain_text("arrêtée")
    assert not site.served[0].engine.load().running
    assert last_answer(page).inner_text()


def test_a_reload_in_mid_stream_loses_nothing(visit, site, page):
    set_length(page, 200, temperature=0)
    ask(page)
    expect(last_answer(page)).not_to_be_empty()
    page.reload()
    assert site.served[0].engine.load().running == 1  # it went on meanwhile
    expect(page.locator(".turn.question .text")).to_have_text(QUESTION)
    page.reload()
    until_done(page)
    turn = turns_of(page)[1]
    whole = told(page, site, max_tokens=200, temperature=0)
    assert turn["text"] == whole["choices"][0]["message"]["content"]
    assert turn["end"]["answer_tokens"] == 200 == whole["usage"]["completion_tokens"]


def test_a_place_in_line_is_shown(visit, site):
    first, second = visit(f"{site.url}/fr/"), visit(f"{site.url}/fr/")
    with occupied(site, 2):
        ask(first)
        expect(first.locator(".state")).to_have_text(re.compile(r"^Votre tour vient\.( Environ \d+ s\.)?$"))
        ask(second)
        in_line = re.compile(r"^En file d’attente, 1 personne avant vous\.( Environ \d+ s\.)?$")
        expect(second.locator(".state")).to_have_text(in_line)
    expect(last_answer(second)).not_to_be_empty()


def test_a_connection_that_breaks_is_taken_up_again(visit, site):
    with wire(site) as (url, cut):
        page = visit(f"{url}/fr/")
        follows: list[str] = []
        page.on("request", lambda request: follows.append(request.url) if "/chat/answers/" in request.url else None)
        set_length(page, 120, temperature=0)
        ask(page)
        expect(last_answer(page)).not_to_be_empty()
        cut()
        until_done(page)
        assert len(follows) > 1
        turn = turns_of(page)[1]
        assert turn["end"]["answer_tokens"] == 120
        assert turn["text"] == told(page, site, max_tokens=120, temperature=0)["choices"][0]["message"]["content"]


def test_by_keyboard_alone(visit, site, page):
    set_length(page, 400, temperature=0)  # else it might end by itself, with no time to stop it
    page.reload()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "question":
            break
    page.keyboard.type("Que fait")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("le chat ?")
    page.keyboard.press("Enter")
    expect(page.locator(".turn.question .text")).to_have_text("Que fait\nle chat ?")
    page.wait_for_timeout(500)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Arrêter"
    page.keyboard.press("Space")
    until_done(page)
    assert page.evaluate("document.activeElement.id") == "send"  # it has not moved
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Réglages"
    page.keyboard.press("Enter")
    expect(page.locator("#settings")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#settings")).to_be_hidden()
    assert page.evaluate("document.activeElement.textContent") == "Réglages"


def test_who_answers_can_be_chosen(visit, arena):
    page = visit(f"{arena.url}/en/")
    expect(page.locator("[data-model]:visible")).to_contain_text("toy")
    page.get_by_role("combobox").select_option(SHADOW)
    expect(page.locator("[data-model]:visible .colophon")).to_contain_text(SHADOW.split("-")[0])
    set_length(page, 3)
    ask(page)
    until_done(page)
    expect(page.locator(".turn.answer .who")).to_have_text(SHADOW)


def test_a_conversation_that_is_left_is_kept_as_it_is(visit, site, page):
    page.get_by_role("button", name="Historique").click()
    page.get_by_role("checkbox").check()
    page.locator("#history .solid").click()
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


@pytest.mark.parametrize(("dark", "phone"), [(False, False), (True, True)], ids=["light desktop", "dark phone"])
def test_axe_finds_nothing_serious(visit, site, dark, phone):
    page = visit(f"{site.url}/fr/", dark=dark, phone=phone)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    set_length(page, 20)
    ask(page)
    until_done(page)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Historique").click()
    assert violations(page) == []
    page.goto(f"{site.url}/en/models/{site.served[0].name}")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
