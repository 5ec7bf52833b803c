"""The public ranking page: what it shows of synthetic votes, in both languages, and that it is computed seldom."""

import asyncio
import re

import pytest
from playwright.sync_api import expect
from tests.chat.arena import Arena, Making
from tests.chat.browser import violations
from tests.chat.judging import ASKED, contender, duel, person, voted
from tests.serve.serving import serving

from fonderie.chat.ranking import Standing, Tally
from fonderie.chat.site.board import FRESH_SECONDS, WIDTH, Board, Scale
from fonderie.serve.database.base import Database, open_database

CONTENDERS = [
    contender(letter, f"{name}-1.0", temperature=0.7) for letter, name in zip("1234", "abcd", strict=True)
]


def fill(database: Database) -> None:
    """a beats b beats c, mostly; d has lost once; two votes that do not count."""
    a, b, c, d = CONTENDERS
    for number in range(12):
        session = person(database)
        rest = {"at": ASKED + 60}
        upset = number % 4 == 0
        voted(database, session, duel(f"Un {number} ?", contenders=(a, b)), "b" if upset else "a", **rest)
        voted(database, session, duel(f"Deux {number} ?", contenders=(c, b)), "a" if upset else "b", **rest)
        voted(
            database, session, duel(f"Trois {number} ?", contenders=(a, c)), "both_good" if upset else "a", **rest
        )
    session = person(database)
    voted(database, session, duel("Et lui ?", contenders=(a, d)), "a", at=ASKED + 60)
    voted(database, session, duel("Qui sait ?", contenders=(a, b)), "idk", at=ASKED + 60)
    voted(database, session, duel("Vite !", contenders=(a, b)), "b", at=ASKED + 5.1)


@pytest.fixture(scope="module")
def ranked(small, tmp_path_factory):
    making = Making(tmp_path_factory.mktemp("board"))
    fill(making.database)
    with serving([small.release], making, batch=1, waiting=1) as running:
        yield Arena(running, making.database, making.heard)


def test_places_intervals_and_how_they_were_found(visit, ranked):
    page = visit(f"{ranked.url}/fr/ranking")
    rows = page.locator(".ranking tbody tr:not(.tier)")
    expect(rows).to_have_count(3)
    assert [row.locator("th").inner_text().split()[0] for row in rows.all()] == ["a-1.0", "b-1.0", "c-1.0"]
    scores = [int(row.locator(".score").inner_text()) for row in rows.all()]
    assert scores == sorted(scores, reverse=True)
    # The picture says what the figures say, and says it in words too.
    for row, score in zip(rows.all(), scores, strict=True):
        low, high = re.findall(r"\d+|sans borne", row.locator(".bounds").inner_text())
        assert row.locator("svg title").text_content() == f"{score}, entre {low} et {high}"
    points = [float(one.get_attribute("cx")) for one in page.locator(".point").all()]
    assert points == sorted(points, reverse=True)
    expect(rows.first.locator(".small").first).to_have_text("25")
    expect(rows.first.locator(".small").last).to_have_text("19 · 3 · 3")
    expect(page.locator(".unplaced")).to_contain_text("n’a jamais gagné (0 gagnés, 1 perdus, 0 nuls)")
    main = page.locator("main")
    expect(main).to_contain_text("sur 36 votes de 12 visiteurs")
    expect(main).to_contain_text("« je ne sais pas » (1) et ceux contre lesquels quelque chose parle (1)")
    expect(main).to_contain_text("Quelques centaines de votes suffisent à déplacer un rang")
    met = page.locator(".met tbody tr").first.locator("td")
    expect(met.nth(1).locator("[aria-hidden]")).to_have_text("9 · 3 · 0")
    page.get_by_role("link", name="English").click()
    expect(main).to_contain_text("A few hundred votes are enough to move a rank")
    expect(main).to_contain_text("has never won (0 won, 1 lost, 0 tied)")
    expect(page.locator("h1")).to_have_text("Ranking")


@pytest.mark.parametrize(("dark", "phone"), [(True, False), (False, True)], ids=["dark, desktop", "light, phone"])
def test_axe_finds_nothing_serious(visit, ranked, dark, phone):
    page = visit(f"{ranked.url}/en/ranking", dark=dark, phone=phone)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    expect(page.get_by_role("row", name=re.compile("a-1.0")).first).to_be_visible()


def test_without_votes_it_says_so(visit, arena):
    page = visit(f"{arena.url}/fr/ranking")
    expect(page.locator("main")).to_contain_text("Il faut davantage de votes pour un classement")
    assert violations(page) == []


def test_it_is_computed_once_a_minute_at_most(tmp_path):
    now = 1_000.0
    with open_database(f"sqlite:///{tmp_path / 'service.db'}") as database:
        fill(database)

        async def look() -> None:
            nonlocal now
            board = Board(database, clock=lambda: now)
            assert board.pairs() == {}  # nobody waits for the first ranking
            first, again = await asyncio.gather(board.current(), board.current())
            assert first is again
            now += FRESH_SECONDS - 1
            assert await board.current() is first
            now += 1
            second = await board.current()
            assert second is not first
            # The same votes and the same seed: the same ranking, to the last bit.
            assert second.ranking == first.ranking
            assert board.pairs() is second.pairs
            assert second.pairs[frozenset((CONTENDERS[0].key, CONTENDERS[1].key))] == 12

        asyncio.run(look())


@pytest.mark.parametrize("low", [None, -4_000.0, 990.0])
@pytest.mark.parametrize("high", [None, 1_010.0, 9_000.0])
def test_every_interval_fits_the_scale(low, high):
    tally = Tally(1, 1, 0, 0)
    standing = Standing("a", 1_000.0, low, high, 1, 1, 1, tally)
    scale = Scale([standing])
    plot = scale.plot(standing)
    assert 0 <= plot.low <= plot.at <= plot.high <= WIDTH
    assert 2 <= len(scale.ticks) <= 7
    assert (plot.open_low, plot.open_high) == (low is None, high is None)
