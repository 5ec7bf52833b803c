"""A real browser for tests: Debian's Chromium, started once, on pages that may ask nobody but the server under test.

Playwright's plain interface keeps an event loop running in its thread, in which no test could run one of its own. So
it has a thread to itself, and tests that take the fixture `visit` run there (see conftest.py).
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
PATIENCE_MS = 20_000
PHONE = {"viewport": {"width": 375, "height": 700}, "is_mobile": True, "has_touch": True}
DESKTOP = {"viewport": {"width": 1180, "height": 800}}
SERIOUS = ("serious", "critical")
OWN = ("http:", "https:", "ws:", "wss:")

Result = TypeVar("Result")


class Chromium:
    """The browser, and the thread that it is used in."""

    def __init__(self) -> None:
        if not CHROMIUM.exists():
            pytest.skip(f"no {CHROMIUM}: apt-get install chromium")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="browser")
        self.browser: Browser
        self.run(self._start)

    def run(self, work: Callable[[], Result]) -> Result:
        """Do something in the browser's thread."""
        return self._thread.submit(work).result()

    def close(self) -> None:
        self.run(self._stop)
        self._thread.shutdown()

    def _start(self) -> None:
        self._playwright = sync_playwright().start()
        # Whatever is not loopback has no address here: nothing can be reached, and nothing goes unseen.
        nowhere = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
        arguments = [nowhere, "--no-sandbox", "--disable-background-networking"]
        self.browser = self._playwright.chromium.launch(executable_path=str(CHROMIUM), args=arguments)

    def _stop(self) -> None:
        self.browser.close()
        self._playwright.stop()


@dataclass
class Visit:
    """Pages of one test; what they may not do is noted, and fails it."""

    chromium: Chromium
    contexts: list[BrowserContext] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def __call__(
        self, url: str, *, language: str = "fr", dark: bool = False, phone: bool = False, scripts: bool = True
    ) -> Page:
        """Open an address as a new visitor, who has no cookie and nothing in storage."""
        options: dict[str, Any] = dict(PHONE if phone else DESKTOP)
        context = self.chromium.browser.new_context(
            locale={"fr": "fr-FR", "en": "en-GB"}[language],
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            java_script_enabled=scripts,
            **options,
        )
        self.contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        self.hosts.add(urlsplit(url).netloc)
        context.on("request", self._asked)
        page = context.new_page()
        if scripts:  # else Chromium wonders why what scripts need was fetched
            page.on("console", self._said)
        page.on("pageerror", lambda error: self.wrong.append(f"an error in a script: {error}"))
        page.goto(url)
        return page

    def close(self) -> None:
        for context in self.contexts:
            context.close()

    def _asked(self, request: Request) -> None:
        where = urlsplit(request.url)
        if where.netloc not in self.hosts and where.scheme in ("http", "https", "ws", "wss"):
            self.wrong.append(f"a request to another host: {request.url}")

    def _said(self, message: ConsoleMessage) -> None:
        # Chromium notes every 4xx here, which pages may well be answered with. All else is wrong: violations of the
        # content security policy above all.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.wrong.append(f"in the console: {message.text}")


def visiting(chromium: Chromium) -> Iterator[Visit]:
    """For one test; what the pages did that they may not fails it at its end."""
    visit = Visit(chromium)
    yield visit
    chromium.run(visit.close)
    assert visit.wrong == []


def violations(page: Page) -> list[str]:
    """What axe finds seriously wrong with a page as it stands, each with where."""
    found = Axe().run(page).response["violations"]
    return [
        f"{item['id']}: {node['html'][:200]} {node['failureSummary']}"
        for item in found
        if item["impact"] in SERIOUS
        for node in item["nodes"]
    ]
