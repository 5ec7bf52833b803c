"""The pictures of the pages in docs/images, taken of a service that runs: `python docs/screenshots.py RELEASE`.

Needs what the tests of the pages need: playwright, of the extra `test`, and Debian's chromium. The headings ask for
Palatino; on a machine without it fonts-urw-base35 brings the free cut that this picture should show.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from simulated_votes import simulate

IMAGES = Path(__file__).parent / "images"
CHROMIUM = "/usr/bin/chromium"
LARGEST_BYTES = 150_000
DESKTOP, PHONE = {"width": 1180, "height": 800}, {"width": 390, "height": 780}
PATIENCE_MS = 60_000

Act = Callable[[Page], None]


@dataclass(frozen=True)
class Shot:
    """One picture."""

    name: str
    path: str
    act: Act = lambda _page: None
    """What is done on the page before."""
    dark: bool = False
    phone: bool = False


def ask(page: Page, question: str) -> None:
    """Ask on the chat page, and wait for the end of the answer."""
    page.locator("#question").fill(question)
    page.locator("#send").click()
    page.wait_for_selector("body.running")
    page.wait_for_selector("body:not(.running)")


def conversation(page: Page) -> None:
    """What the demonstration's model can talk about: its own making, and tales."""
    page.locator("[data-opens=settings]").click()
    page.locator("#seed").fill("3")
    page.locator("#settings .solid").click()
    ask(page, "Bonjour, qui es-tu ?")
    ask(page, "Raconte-moi une petite histoire sur un renard.")


def duel(page: Page) -> None:
    """Two answers, and a choice that is not sent yet."""
    page.locator("#question").fill("Raconte-moi une petite histoire sur un renard.")
    page.locator("#send").click()
    page.locator(".ballot").wait_for()
    page.locator(".choice").first.click()


def reveal(page: Page) -> None:
    """And the names."""
    duel(page)
    page.locator("button[value=reveal]").click()
    page.locator("#reveal").wait_for()


SHOTS = [
    Shot("chat-welcome", "/en/"),
    Shot("chat", "/fr/", conversation),
    Shot("chat-dark", "/en/", conversation, dark=True),
    Shot("chat-phone", "/fr/", conversation, phone=True),
    Shot("model", "/en/models/{name}"),
    Shot("duel", "/fr/duel", duel),
    Shot("duel-reveal", "/en/duel", reveal),
    Shot("duel-phone", "/fr/duel", duel, dark=True, phone=True),
    Shot("ranking", "/en/ranking"),  # of simulated votes, as the names of its models say
    Shot("ranking-phone", "/fr/ranking", phone=True),
]


@contextmanager
def served(releases: Sequence[Path], folder: Path) -> Iterator[tuple[str, str]]:
    """The address of a service, and the name of its first model, for as long as the block lasts."""
    simulate(folder / "service.db")
    command = [str(Path(sys.executable).parent / "fonderie"), "serve", *map(str, releases), "--port", "0"]
    command += ["--database", f"sqlite:///{folder / 'service.db'}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("http://"):
                url, names = line.split(None, 1)
                yield url, names.split(",")[0].strip()
                break
    finally:
        process.terminate()
        process.wait()


def take(browser: Browser, url: str, name: str, shot: Shot) -> None:
    """Take one picture; too large a file is an error, since every clone of the repository carries it."""
    context = browser.new_context(
        viewport=PHONE if shot.phone else DESKTOP,
        is_mobile=shot.phone,
        has_touch=shot.phone,
        color_scheme="dark" if shot.dark else "light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(url + shot.path.format(name=name))
    shot.act(page)
    page.mouse.move(0, 0)
    path = IMAGES / f"{shot.name}.png"
    page.screenshot(path=path)
    context.close()
    if path.stat().st_size > LARGEST_BYTES:
        raise SystemExit(f"{path} has {path.stat().st_size:,} bytes; {LARGEST_BYTES:,} are allowed")


def main() -> None:
    """Take all pictures, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("releases", type=Path, nargs="+", metavar="RELEASE")
    parser.add_argument("--only", action="append", metavar="NAME", help="one of the pictures; may be repeated")
    options = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        served(options.releases, Path(folder)) as (url, name),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for shot in SHOTS:
            if options.only is None or shot.name in options.only:
                take(browser, url, name, shot)
        browser.close()


if __name__ == "__main__":
    main()
