"""Time until a visitor can ask, on networks of several latencies, and what a history of four megabytes costs.

    python docs/log/0021-pages.py http://127.0.0.1:8000

Prints the lines of 0021-pages.md. Needs playwright and Debian's chromium, as the tests of the pages do.
"""

import re
import statistics
import sys
import time

from playwright.sync_api import Browser, Route, sync_playwright

CHROMIUM = "/usr/bin/chromium"
LATENCIES_MS = (50, 200, 400)
BYTES_PER_SECOND = 200_000
TIMES = 5
HISTORY = """() => {
  const roles = ["user", "assistant"];
  const turns = Array.from({ length: 40 }, (_, at) => ({ role: roles[at % 2], text: "mot ".repeat(500) }));
  const all = Array.from({ length: 50 }, (_, at) => ({ format: 1, id: String(at), begun: "", turns }));
  localStorage.setItem("fonderie.history", JSON.stringify(all));
  const times = Array.from({ length: 9 }, () => {
    const began = performance.now();
    localStorage.setItem("fonderie.history", JSON.stringify(JSON.parse(localStorage.getItem("fonderie.history"))));
    return performance.now() - began;
  });
  return [localStorage.getItem("fonderie.history").length, times];
}"""


def unnamed(route: Route) -> None:
    """The page as it was: its script alone is named."""
    answer = route.fetch()
    route.fulfill(response=answer, body=re.sub(r'<link rel="(modulepreload|preload)"[^>]*>', "", answer.text()))


def seconds(browser: Browser, url: str, latency_ms: int, *, named: bool) -> float:
    """From asking for the page to a button that sends; nothing is cached."""
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    if not named:
        page.route("**/en/", unnamed)
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    speed = {"downloadThroughput": BYTES_PER_SECOND, "uploadThroughput": BYTES_PER_SECOND}
    network.send("Network.emulateNetworkConditions", {"offline": False, "latency": latency_ms, **speed})
    began = time.perf_counter()
    page.goto(f"{url}/en/", wait_until="commit")
    page.wait_for_selector("#send:not([disabled])")
    took = time.perf_counter() - began
    context.close()
    return took


def main() -> None:
    """Both ways in turn, so that whatever else the machine does falls on both."""
    url = sys.argv[1]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for latency in LATENCIES_MS:
            found: dict[bool, list[float]] = {True: [], False: []}
            for _ in range(TIMES):
                for named, times in found.items():
                    times.append(seconds(browser, url, latency, named=named))
            one, other = (statistics.median(found[named]) for named in (False, True))
            print(f"latency {latency} ms: found one after the other {one:.2f} s, named {other:.2f} s, n {TIMES}")
        page = browser.new_page()
        page.goto(f"{url}/en/")
        characters, took = page.evaluate(HISTORY)
        print(
            f"history of {characters:,} characters, read and written: median {statistics.median(took):.0f} ms, "
            f"longest {max(took):.0f} ms, n {len(took)}"
        )
        browser.close()


if __name__ == "__main__":
    main()
