"""The chat page in a real browser: what it says first, a conversation, stop, a reload in mid-stream, keyboard, phone."""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from playwright.sync_api import expect
from tests.chat.arena import SHADOW
from tests.chat.browser import violations
from tests.chat.talking import QUESTION, ask, last_answer, set_length, told, turns_of, until_done
from tests.serve.serving import Running

from fonderie.serve.engine.request import Request, Sampling
from fonderie.serve.served import conversation_prompt

pytestmark = pytest.mark.slow


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
    with page.expect_response("**/loss.svg") as figure:
        page.get_by_role("link", name="Its card").click()
    assert figure.value.ok
    page.get_by_role("link", name=f"Back to {site.served[0].name}").click()
    expect(page.locator("h1")).to_contain_text(site.served[0].index.name)


def test_the_pages_of_a_release_are_shown_within_their_policy(visit, site):
    page = visit(f"{site.url}/fr/models/{site.served[0].name}")
    paths = [link.get_attribute("href") for link in page.locator(".files a").all()]
    assert any(path.endswith(".html") for path in paths)
    for path in paths:
        answer = page.goto(f"{site.url}{path}")
        assert answer.ok, path
        if path.endswith((".md", ".html")):
            expect(page.locator("h1").first).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


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
    expect(page.locator(".turn form")).not_to_contain_text("sera effacé")  # nothing but its own answer follows
    page.locator(".turn .edit").fill("Et le renard ?")
    page.get_by_role("button", name="Renvoyer").click()
    until_done(page)
    expect(page.locator(".turn.question .text")).to_have_text(["Et le renard ?"])
    page.get_by_role("button", name="Nouvelle conversation").click()
    expect(page.locator("#welcome")).to_be_visible()


def test_to_edit_an_earlier_question_loses_what_follows_and_says_so(visit, site, page):
    set_length(page, 3)
    for text in "Un ?", "Deux ?":
        ask(page, text)
        until_done(page)
    page.locator(".turn.question").first.hover()
    page.get_by_role("button", name="Modifier").first.click()
    expect(page.locator(".turn form")).to_contain_text("Ce qui suit cette question sera effacé")
    page.keyboard.press("Escape")
    expect(page.locator(".turn.question .text")).to_have_text(["Un ?", "Deux ?"])
    page.locator(".turn.question").first.hover()
    page.get_by_role("button", name="Modifier").first.click()
    page.locator(".turn .edit").fill("Trois ?")
    page.get_by_role("button", name="Renvoyer").click()
    until_done(page)
    assert [turn["text"] for turn in turns_of(page) if turn["role"] == "user"] == ["Trois ?"]


def test_why_an_answer_is_cut(visit, site, page):
    set_length(page, 5, temperature=0)
    ask(page)
    until_done(page)
    expect(page.locator(".about").last).to_contain_text("coupée à la longueur permise")
    page.get_by_role("button", name="Nouvelle conversation").click()
    set_length(page, 100_000, temperature=0)
    served = site.served[0]
    lengths = [len(conversation_prompt(served, [("user", "mot " * count)])) for count in (10, 20)]
    ask(page, "mot " * (10 + 10 * (served.engine.context - 50 - lengths[0]) // (lengths[1] - lengths[0])))
    until_done(page)
    expect(page.locator(".about").last).to_contain_text("coupée : le modèle ne lit pas plus loin")


def test_what_is_copied_is_what_was_written(visit, site, page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    set_length(page, 8)
    ask(page, "Avec **des étoiles** ?")
    until_done(page)
    for who, text in (("question", "Avec **des étoiles** ?"), ("answer", turns_of(page)[1]["text"])):
        page.locator(f".turn.{who}").hover()
        page.locator(f".turn.{who}").get_by_role("button", name="Copier").click()
        expect(page.locator("#status")).to_have_text("Copié")
        assert page.evaluate("navigator.clipboard.readText()") == text


def test_without_scripts_it_says_what_it_is_all_the_same(visit, site):
    page = visit(f"{site.url}/fr/", scripts=False)
    expect(page.locator("main")).to_contain_text("Vous parlez à une intelligence artificielle")
    expect(page.locator("noscript")).to_be_visible()
    expect(page.locator(".colophon")).to_be_visible()
    expect(page.locator("#question")).to_be_hidden()  # nobody would answer


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
    set_length(page, 150, temperature=0)
    ask(page)
    expect(last_answer(page)).not_to_be_empty()
    page.reload()
    assert site.served[0].engine.load().running == 1  # it went on meanwhile
    expect(page.locator(".turn.question .text")).to_have_text(QUESTION)
    page.reload()
    until_done(page)
    turn = turns_of(page)[1]
    whole = told(page, site, max_tokens=150, temperature=0)
    assert turn["text"] == whole["choices"][0]["message"]["content"]
    assert turn["end"]["answer_tokens"] == 150 == whole["usage"]["completion_tokens"]


def test_two_tabs_are_reloaded_in_mid_stream(visit, site, page):
    other = page.context.new_page()
    other.goto(page.url)
    for tab in page, other:
        tab.bring_to_front()
        set_length(tab, 120, temperature=0)
        ask(tab)
    for tab in page, other:
        expect(last_answer(tab)).not_to_be_empty()
        tab.reload()
    assert site.served[0].engine.load().running == 2
    for tab in page, other:
        until_done(tab)
    mine, its = turns_of(page)[1], turns_of(other)[1]
    assert mine["run"] != its["run"]
    assert mine["text"] == its["text"]
    assert mine["end"]["answer_tokens"] == its["end"]["answer_tokens"] == 120


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
    page.reload()
    expect(page.get_by_role("combobox")).to_have_value(SHADOW)
    page.get_by_role("button", name="New conversation").click()
    expect(page.locator("[data-model]:visible .colophon")).to_contain_text(SHADOW.split("-")[0])


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
