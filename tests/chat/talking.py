"""Talking with a model on its page, as a person does."""

import json
import re
from typing import Any

from playwright.sync_api import Locator, Page, expect
from tests.serve.serving import Running

QUESTION = "Que fait le chat ?"


def ask(page: Page, text: str = QUESTION) -> None:
    page.get_by_role("textbox").fill(text)
    page.get_by_role("textbox").press("Enter")


def last_answer(page: Page) -> Locator:
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
