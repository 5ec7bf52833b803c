"""The public ranking page: places, intervals, who met whom, and how; computed once a minute at most."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from fonderie.chat.judged import Contender
from fonderie.chat.matches import Match, Matches, matches
from fonderie.chat.ranking import BOOTSTRAPS, CENTRE, Ranking, Standing, Tally, ranking
from fonderie.chat.site.pages import Site
from fonderie.chat.site.words import Language
from fonderie.core.digest import short
from fonderie.serve.database.base import Database, why

log = logging.getLogger(__name__)

FRESH_SECONDS = 60.0
SEED = 0
"""Of the bootstrap, so that anyone who has the votes finds the same intervals."""
MOST_OPPONENTS = 12
"""Columns of the table of who met whom; beyond, nobody could read it."""

Pairs = Mapping[frozenset[str], int]
"""Votes that count, by the keys of both contenders."""


@dataclass(frozen=True)
class Computed:
    """One state of the ranking."""

    matches: Matches
    ranking: Ranking
    at: float
    """Seconds since 1970."""

    @cached_property
    def pairs(self) -> Pairs:
        """How often each pair was voted on."""
        found: dict[frozenset[str], int] = {}
        for match in self.matches.rows:
            pair = frozenset((match.a, match.b))
            found[pair] = found.get(pair, 0) + 1
        return found


class Board:
    """The ranking as it was computed last; used in one event loop.

    `playing` names conversations whose votes wait until their duel has ended: who looks at the table of who met
    whom before and after a vote would know whose answers to vote on next.
    """

    def __init__(
        self,
        database: Database,
        *,
        playing: Callable[[], Collection[str]] = frozenset,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database, self._playing, self._clock = database, playing, clock
        self._last: Computed | None = None
        self._lock = asyncio.Lock()
        self._renewal: asyncio.Task[None] | None = None

    async def current(self) -> Computed:
        """A ranking that is a minute old at most; whoever comes first has it computed, the others wait for it."""
        async with self._lock:
            if self._last is None or not self._is_fresh(self._last):
                self._last = await run_in_threadpool(self._compute, self._playing())
            return self._last

    def pairs(self) -> Pairs:
        """How often each pair was voted on, by the last ranking: nobody who begins a duel waits for a newer one.

        One is computed meanwhile if that is old; before the first, every pair counts as new.
        """
        if self._renewal is None and (self._last is None or not self._is_fresh(self._last)):
            self._renewal = asyncio.create_task(self._renew())
        return {} if self._last is None else self._last.pairs

    def _is_fresh(self, computed: Computed) -> bool:
        return 0 <= self._clock() - computed.at < FRESH_SECONDS

    async def _renew(self) -> None:
        try:
            await self.current()
        except SQLAlchemyError as error:
            log.error("the ranking could not be computed (%s); pairs are drawn by the last one", why(error))
        finally:
            self._renewal = None

    def _compute(self, playing: Collection[str]) -> Computed:
        at = self._clock()
        with self._database.read() as connection:
            found = matches(connection, playing)
        return Computed(found, ranking(found.rows, seed=SEED), at)


def add_board(site: Site, board: Board, served: Callable[[str], bool]) -> None:
    """Declare the page; `served` says whether a release of a digest has a page of its own here."""

    @site.page("/ranking", nav="ranking.nav")
    async def ranking_page(request: Request, language: Language) -> Response:
        computed = await board.current()
        return await run_in_threadpool(
            site.render, request, "ranking.html.jinja", language, **shown(computed, served), bootstraps=BOOTSTRAPS
        )


@dataclass(frozen=True)
class Named:
    """A contender as the page calls it."""

    name: str
    digest: str
    short: str
    settings: str
    """As "temperature 0.7, top_p 0.95"."""
    is_served: bool


@dataclass(frozen=True)
class Line:
    """A contender's row of the table."""

    who: Named
    standing: Standing
    plot: "Plot"


@dataclass(frozen=True)
class Plot:
    """Where a score and its interval stand on the scale, from 0 to WIDTH."""

    at: float
    low: float
    high: float
    open_low: bool
    """Whether the interval has no bound on this side, and runs to the edge."""
    open_high: bool


WIDTH = 400
_MARGIN = 8


class Scale:
    """Scores to places on a line, the same for every row."""

    def __init__(self, standings: Sequence[Standing]) -> None:
        values = [CENTRE]
        for one in standings:
            values += [value for value in (one.score, one.low, one.high) if value is not None]
        step = self._step(max(values) - min(values))
        self.first = step * math.floor(min(values) / step)
        self.last = max(self.first + step, step * math.ceil(max(values) / step))
        self.ticks = [
            (value, self.at(value))
            for value in (
                self.first + step * number for number in range(round((self.last - self.first) / step) + 1)
            )
        ]

    @staticmethod
    def _step(spread: float) -> int:
        """Between two marks: round, with at most five of them."""
        return next(step for step in (20, 50, 100, 200, 500, 1000, 2000, 5000, 10**6) if spread <= 4 * step)

    def at(self, value: float) -> float:
        """A score's place."""
        inside = WIDTH - 2 * _MARGIN
        return round(_MARGIN + inside * (value - self.first) / (self.last - self.first), 1)

    def plot(self, one: Standing) -> Plot:
        """A row's places."""
        return Plot(
            at=self.at(one.score),
            low=0.0 if one.low is None else self.at(one.low),
            high=float(WIDTH) if one.high is None else self.at(one.high),
            open_low=one.low is None,
            open_high=one.high is None,
        )


def shown(computed: Computed, served: Callable[[str], bool]) -> dict[str, Any]:
    """What the template is given."""
    known, ranked = computed.matches.contenders, computed.ranking
    scale = Scale(ranked.standings)
    return {
        "lines": [Line(named(known[one.key], served), one, scale.plot(one)) for one in ranked.standings],
        "apart": [(named(known[one.key], served), one) for one in ranked.apart],
        # A form that no answer took has no effect to show.
        "style": [effect for effect in ranked.style if effect.low or effect.high],
        "lone": len({contender.digest for contender in known.values()}) < len(known),
        "met": _met(computed, served),
        "scale": scale,
        "centre": scale.at(CENTRE),
        "width": WIDTH,
        "votes": ranked.votes,
        "sessions": ranked.sessions,
        "counted": len(computed.matches.rows),
        "undecided": computed.matches.undecided,
        "doubted": computed.matches.doubted,
        "seed": ranked.seed,
        "at": datetime.fromtimestamp(computed.at, UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def named(contender: Contender, served: Callable[[str], bool]) -> Named:
    """A contender's names and settings."""
    settings = ", ".join(f"{name} {value}" for name, value in sorted(contender.settings.items()))
    return Named(contender.name, contender.digest, short(contender.digest), settings, served(contender.digest))


def _met(computed: Computed, served: Callable[[str], bool]) -> dict[str, Any]:
    """Who met whom: each row's wins, losses and ties against each column; the best-placed first."""
    order = [one.key for one in computed.ranking.standings] + [one.key for one in computed.ranking.apart]
    order = order[:MOST_OPPONENTS]
    cells = [[tally_of(computed.matches.rows, row, column) for column in order] for row in order]
    return {"who": [named(computed.matches.contenders[key], served) for key in order], "cells": cells}


def tally_of(rows: Sequence[Match], mine: str, other: str) -> Tally | None:
    """The votes between two contenders, as the first sees them; None against itself, or if they never met."""
    outcomes = [
        ("a" if match.a == mine else "b", match.outcome) for match in rows if {match.a, match.b} == {mine, other}
    ]
    if mine == other or not outcomes:
        return None
    return Tally(
        wins=sum(side == outcome for side, outcome in outcomes),
        losses=sum(outcome in ("a", "b") and side != outcome for side, outcome in outcomes),
        both_good=sum(outcome == "both_good" for _, outcome in outcomes),
        both_bad=sum(outcome == "both_bad" for _, outcome in outcomes),
    )
