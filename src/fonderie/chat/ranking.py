"""Who answers better, by people's votes: Bradley-Terry with ties and style control, intervals by bootstrap.

P(a preferred to b) = sigmoid(beta_a - beta_b + style . gamma), a tie counting as half a win for each (Bradley and
Terry, Biometrika 39, 1952; Chiang et al., arXiv 2403.04132; style as in LMArena, "Does style matter?", 2024).
Maximum likelihood, by Newton's method. Intervals: sessions are drawn with replacement, not votes, for one person's
votes resemble each other. Figures, with arena-rank beside: docs/log/0012-ranking.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from fonderie.chat.matches import Match
from fonderie.chat.style import STYLE

Floats = NDArray[np.float64]

SCALE: Final = 400 / math.log(10)
CENTRE: Final = 1000.0
"""Elo's scale: 400 points are odds of 10 to 1. The mean of all that are placed is 1000, so that scores of
rankings with other contenders cannot be compared."""
BOOTSTRAPS: Final = 400
TAIL: Final = 0.025
"""On either side of an interval of 95 %, with many sessions; `_tail` says of few."""
STYLE_PRECISION: Final = 1.0
"""Of the normal prior, with mean 0, on each style coefficient: it weighs as much as a handful of votes, and keeps a
coefficient finite where few votes differ in style. Strengths have no prior."""


@dataclass(frozen=True)
class Tally:
    """The votes on one contender."""

    wins: int
    losses: int
    both_good: int
    both_bad: int

    @property
    def n(self) -> int:
        """All of them."""
        return self.wins + self.losses + self.both_good + self.both_bad


@dataclass(frozen=True)
class Standing:
    """A contender's place."""

    key: str
    score: float
    low: float | None
    high: float | None
    """Interval of 95 %; None where the votes set no bound."""
    best_rank: int
    worst_rank: int
    """1 is best: one more than the number of those surely better, and how many are not surely worse."""
    tier: int
    """Contenders of one tier cannot be told from its first."""
    tally: Tally


@dataclass(frozen=True)
class Apart:
    """A contender that no score can be given to."""

    key: str
    why: Literal["never_won", "never_lost", "not_linked"]
    """not_linked: those it won and lost against have no chain of votes back to the others."""
    tally: Tally


@dataclass(frozen=True)
class StyleEffect:
    """How much a feature of style sways votes, in points of the scale for one standard deviation more of it."""

    name: str
    points: float
    low: float
    high: float


@dataclass(frozen=True)
class Ranking:
    """Everyone's place."""

    standings: tuple[Standing, ...]
    """The best first."""
    apart: tuple[Apart, ...]
    style: tuple[StyleEffect, ...]
    votes: int
    """Between contenders that have a place."""
    sessions: int
    bootstraps: int
    seed: int


@dataclass(frozen=True)
class _Data:
    """N votes between M contenders; K features."""

    a_N: NDArray[np.intp]
    b_N: NDArray[np.intp]
    won_N: Floats
    """Of a: 1, 0, or 0.5 for a tie."""
    style_NK: Floats
    session_N: NDArray[np.intp]
    contenders: int


def ranking(matches: Sequence[Match], *, seed: int = 0, bootstraps: int = BOOTSTRAPS) -> Ranking:
    """Rank contenders; the same matches in the same order and the same seed give the same ranking."""
    keys = sorted({key for match in matches for key in (match.a, match.b)})
    tallies = {key: _tally(key, matches) for key in keys}
    place = {key: number for number, key in enumerate(keys)}
    everyone = _data(matches, place)
    linked = _linked(everyone, np.ones(len(matches)))
    placed = [key for key, one in zip(keys, linked.main, strict=True) if one]
    apart = tuple(Apart(key, _why(tallies[key]), tallies[key]) for key in keys if key not in placed)
    rows = [match for match in matches if match.a in placed and match.b in placed]
    if len(placed) < 2:
        apart = tuple(Apart(key, _why(tallies[key]), tallies[key]) for key in keys)
        return Ranking((), apart, (), 0, 0, bootstraps, seed)
    data = _data(rows, {key: number for number, key in enumerate(placed)})
    fitted = _fit(data, np.ones(len(rows)), np.zeros(len(placed) + len(STYLE)))
    drawn_BP = _bootstrap(data, fitted, seed, bootstraps)
    M = len(placed)
    sessions = int(data.session_N.max()) + 1
    tail = _tail(sessions)
    return Ranking(
        standings=_standings(placed, fitted[:M], drawn_BP[:, :M], tallies, tail),
        apart=apart,
        style=_style_effects(fitted[M:], drawn_BP[:, M:], tail),
        votes=len(rows),
        sessions=sessions,
        bootstraps=bootstraps,
        seed=seed,
    )


def _tally(key: str, matches: Sequence[Match]) -> Tally:
    mine = [(match.outcome, "a" if match.a == key else "b") for match in matches if key in (match.a, match.b)]
    return Tally(
        wins=sum(outcome == side for outcome, side in mine),
        losses=sum(outcome in ("a", "b") and outcome != side for outcome, side in mine),
        both_good=sum(outcome == "both_good" for outcome, _ in mine),
        both_bad=sum(outcome == "both_bad" for outcome, _ in mine),
    )


def _why(tally: Tally) -> Literal["never_won", "never_lost", "not_linked"]:
    ties = tally.both_good + tally.both_bad
    if tally.wins + ties == 0:
        return "never_won"
    return "never_lost" if tally.losses + ties == 0 else "not_linked"


def _data(matches: Sequence[Match], place: dict[str, int]) -> _Data:
    style_NK = np.array([match.style for match in matches], dtype=np.float64).reshape(-1, len(STYLE))
    # Sides are drawn by lot, so that the mean is 0 by design; dividing by the root mean square alone leaves the
    # model the same with sides swapped.
    spread_K = np.sqrt((style_NK**2).mean(axis=0)) if len(matches) else np.ones(len(STYLE))
    sessions = {session: number for number, session in enumerate(sorted({match.session for match in matches}))}
    won = {"a": 1.0, "b": 0.0, "both_good": 0.5, "both_bad": 0.5}
    return _Data(
        a_N=np.array([place[match.a] for match in matches], dtype=np.intp),
        b_N=np.array([place[match.b] for match in matches], dtype=np.intp),
        won_N=np.array([won[match.outcome] for match in matches], dtype=np.float64),
        style_NK=style_NK / np.where(spread_K > 0, spread_K, 1.0),
        session_N=np.array([sessions[match.session] for match in matches], dtype=np.intp),
        contenders=len(place),
    )


# ── Who can be placed ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Linked:
    """Who has a finite strength, and on which side of them the others are."""

    main: NDArray[np.bool_]
    above: NDArray[np.bool_]
    below: NDArray[np.bool_]


def _linked(data: _Data, weight_N: Floats) -> _Linked:
    """The largest group in which a chain of wins leads from each to each: there, and only there, a maximum of the
    likelihood exists (Ford, American Mathematical Monthly 64, 1957)."""
    M = data.contenders
    won_MM = np.bincount(data.a_N * M + data.b_N, weight_N * (data.won_N > 0), M * M)
    lost_MM = np.bincount(data.b_N * M + data.a_N, weight_N * (data.won_N < 1), M * M)
    reach = ((won_MM + lost_MM) > 0).reshape(M, M) | np.eye(M, dtype=np.bool_)
    if not reach.all():
        for _ in range(max(1, M.bit_length())):
            reach = (reach.astype(np.float32) @ reach.astype(np.float32)) > 0
    both = reach & reach.T
    first = int(both.sum(axis=1).argmax()) if M else 0
    main = both[first] if M else np.zeros(0, dtype=np.bool_)
    above = reach[:, first] & ~main if M else main
    below = reach[first] & ~main if M else main
    return _Linked(main, above, below)


# ── Strengths ───────────────────────────────────────────────────────────────────────────────────────────────────

_STEPS = 50
_CLOSE = 1e-9


def _fit(data: _Data, weight_N: Floats, start_P: Floats) -> Floats:
    """Strengths, whose mean is 0, and style coefficients, [M + K], at the maximum of the likelihood."""
    M, now_P = data.contenders, start_P
    value, gradient_P, hessian_PP = _derivatives(data, weight_N, now_P)
    for _ in range(_STEPS):
        step_P = np.linalg.solve(hessian_PP, gradient_P)
        # Newton's step may go too far where a sigmoid is flat.
        for halvings in range(30):
            there_P = now_P - step_P / 2**halvings
            there_P[:M] -= there_P[:M].mean()
            found = _derivatives(data, weight_N, there_P)
            if found[0] <= value + 1e-12 * abs(value):
                break
        moved = float(np.abs(there_P - now_P).max())
        now_P, (value, gradient_P, hessian_PP) = there_P, found
        if moved < _CLOSE:
            break
    return now_P


def _derivatives(data: _Data, weight_N: Floats, at_P: Floats) -> tuple[float, Floats, Floats]:
    """The negative log-likelihood with the prior, its gradient [P] and its Hessian [P, P], P = M + K."""
    M, (a_N, b_N), X_NK = data.contenders, (data.a_N, data.b_N), data.style_NK
    K = X_NK.shape[1]
    strength_M, style_K = at_P[:M], at_P[M:]
    z_N = strength_M[a_N] - strength_M[b_N] + X_NK @ style_K
    p_N = 1 / (1 + np.exp(-z_N))
    value = float(weight_N @ (np.logaddexp(0, z_N) - data.won_N * z_N))
    value += 0.5 * STYLE_PRECISION * float(style_K @ style_K)
    slope_N, curve_N = weight_N * (p_N - data.won_N), weight_N * p_N * (1 - p_N)

    gradient_P = np.empty(M + K)
    gradient_P[:M] = np.bincount(a_N, slope_N, M) - np.bincount(b_N, slope_N, M)
    gradient_P[M:] = X_NK.T @ slope_N + STYLE_PRECISION * style_K

    hessian_PP = np.empty((M + K, M + K))
    met_MM = np.bincount(a_N * M + b_N, curve_N, M * M).reshape(M, M)
    met_MM = met_MM + met_MM.T
    # The likelihood does not change when all strengths do alike: the constant fixes that one direction.
    hessian_PP[:M, :M] = np.diag(met_MM.sum(axis=1)) - met_MM + 1 / M
    curved_NK = curve_N[:, None] * X_NK
    for k in range(K):
        column_N = np.ascontiguousarray(curved_NK[:, k])
        hessian_PP[:M, M + k] = np.bincount(a_N, column_N, M) - np.bincount(b_N, column_N, M)
    hessian_PP[M:, :M] = hessian_PP[:M, M:].T
    hessian_PP[M:, M:] = X_NK.T @ curved_NK + STYLE_PRECISION * np.eye(K)
    return value, gradient_P, hessian_PP


def _bootstrap(data: _Data, fitted_P: Floats, seed: int, bootstraps: int) -> Floats:
    """Fits to sessions drawn with replacement, [B, M + K].

    Where a draw leaves a contender with wins or losses only, its strength there is infinite; nan where the draw
    says nothing of it. Each draw is shifted so that those with a finite strength keep their mean.
    """
    chance, M = np.random.default_rng(seed), data.contenders
    sessions = int(data.session_N.max()) + 1
    drawn_BP = np.full((bootstraps, len(fitted_P)), np.nan)
    for drawn_P in drawn_BP:
        times = np.bincount(chance.integers(0, sessions, sessions), minlength=sessions)
        weight_N = times[data.session_N].astype(np.float64)
        linked = _linked(data, weight_N)
        main = linked.main
        drawn_P[:M][linked.above], drawn_P[:M][linked.below] = np.inf, -np.inf
        if main.sum() < 2:
            drawn_P[:M][main] = _alone(linked)
            continue
        part, there = _part(data, main), np.concatenate([main, np.ones(len(STYLE), dtype=np.bool_)])
        inside = main[data.a_N] & main[data.b_N]
        found = _fit(part, weight_N[inside], fitted_P[there])
        found[: part.contenders] += fitted_P[:M][main].mean()
        drawn_P[there] = found
    return drawn_BP


def _alone(linked: _Linked) -> float:
    """The strength of one whom no chain of wins leads back to, in a draw where that holds for all of them."""
    if not (linked.main | linked.above | linked.below).all() or linked.above.any() == linked.below.any():
        return math.nan
    return math.inf if linked.below.any() else -math.inf


def _part(data: _Data, main: NDArray[np.bool_]) -> _Data:
    """The votes between some of the contenders, numbered anew."""
    if main.all():
        return data
    inside, number = main[data.a_N] & main[data.b_N], np.cumsum(main) - 1
    return _Data(
        a_N=number[data.a_N[inside]],
        b_N=number[data.b_N[inside]],
        won_N=data.won_N[inside],
        style_NK=data.style_NK[inside],
        session_N=data.session_N[inside],
        contenders=int(main.sum()),
    )


# ── What is said of them ────────────────────────────────────────────────────────────────────────────────────────


_Z = NormalDist()


def _tail(sessions: int) -> float:
    """What is cut off on either side: less than TAIL, for draws from few sessions vary too little.

    The expanded percentile interval (T. Hesterberg, The American Statistician 69, 2015): as a normal interval would
    need Student's t with sessions - 1 degrees of freedom, and the unbiased standard deviation.
    """
    if sessions < 2:
        return 0.0
    z, freedom = -_Z.inv_cdf(TAIL), sessions - 1
    # Quantiles of Student's t by those of the normal distribution: Abramowitz and Stegun, 26.7.5.
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    t = z + sum(term / freedom**power for power, term in enumerate(terms, 1))
    return _Z.cdf(-math.sqrt(sessions / freedom) * t)


def _cut(draws: int, tail: float) -> int:
    """How many draws are cut off on either side: the k-th smallest of B has a share of k / (B + 1) below it.

    0 where so many draws do not reach as far out, for there are too few sessions: then nothing is sure.
    """
    return int(tail * (draws + 1))


def _bounds(drawn_B: Floats, tail: float) -> tuple[float, float]:
    """The interval of some draws; a draw that says nothing might have said anything."""
    out = _cut(len(drawn_B), tail) - 1
    if out < 0:
        return -math.inf, math.inf
    low = np.sort(np.where(np.isnan(drawn_B), -np.inf, drawn_B))[out]
    high = np.sort(np.where(np.isnan(drawn_B), np.inf, drawn_B))[-1 - out]
    return float(low), float(high)


def _standings(
    keys: list[str], strength_M: Floats, drawn_BM: Floats, tallies: dict[str, Tally], tail: float
) -> tuple[Standing, ...]:
    wins_MM = np.array([(drawn_BM[:, i, None] > drawn_BM).mean(axis=0) for i in range(len(keys))])
    surely_MM = (wins_MM >= 1 - tail) & (_cut(len(drawn_BM), tail) > 0)
    found: list[Standing] = []
    leader, tier = -1, 0
    for i in np.argsort(-strength_M, kind="stable"):
        if leader < 0 or surely_MM[leader, i]:
            leader, tier = int(i), tier + 1
        low, high = (CENTRE + SCALE * bound for bound in _bounds(drawn_BM[:, i], tail))
        found.append(
            Standing(
                key=keys[i],
                score=CENTRE + SCALE * float(strength_M[i]),
                low=low if math.isfinite(low) else None,
                high=high if math.isfinite(high) else None,
                best_rank=1 + int(surely_MM[:, i].sum()),
                worst_rank=len(keys) - int(surely_MM[i].sum()),
                tier=tier,
                tally=tallies[keys[i]],
            )
        )
    return tuple(found)


def _style_effects(style_K: Floats, drawn_BK: Floats, tail: float) -> tuple[StyleEffect, ...]:
    known_BK = drawn_BK[~np.isnan(drawn_BK).any(axis=1)]
    if _cut(len(known_BK), tail) == 0:
        return ()
    bounds = [_bounds(known_BK[:, k], tail) for k in range(len(STYLE))]
    return tuple(
        StyleEffect(name, SCALE * float(value), SCALE * low, SCALE * high)
        for name, value, (low, high) in zip(STYLE, style_K, bounds, strict=True)
    )
