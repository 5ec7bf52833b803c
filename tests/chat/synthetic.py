"""Votes of people who do not exist, on models whose strengths are known."""

import numpy as np

from fonderie.chat.matches import Match
from fonderie.chat.style import STYLE


def synthetic(
    votes: int,
    strengths: list[float],
    *,
    seed: int,
    sessions: int = 0,
    taste: float = 0.0,
    swayed: tuple[float, ...] = (0.0,) * len(STYLE),
    drawn: float = 0.5,
) -> list[Match]:
    """Votes whose mean outcome is that of Bradley-Terry: half-wins included.

    `sessions` people vote about as often, each with a taste of their own for each model, of standard deviation
    `taste` in natural units; 0 sessions: every vote is another person's. `drawn` is the share of what the weaker one
    would win that becomes a tie.
    """
    chance, count = np.random.default_rng(seed), len(strengths)
    tastes = chance.normal(0, taste, (max(sessions, 1), count))
    found = []
    for number in range(votes):
        a, b = (int(side) for side in chance.choice(count, 2, replace=False))
        session = int(chance.integers(sessions)) if sessions else number
        own = tastes[session] if sessions else np.zeros(count)
        style = chance.uniform(-1, 1, len(STYLE))
        z = strengths[a] - strengths[b] + own[a] - own[b] + float(style @ swayed)
        p = 1 / (1 + np.exp(-z))
        tie = 2 * drawn * min(p, 1 - p)
        u = chance.random()
        outcome = "a" if u < p - tie / 2 else "b" if u < 1 - tie else "both_good" if u < 1 - tie / 2 else "both_bad"
        found.append(Match(f"m{a:02d}", f"m{b:02d}", outcome, session, tuple(map(float, style))))  # type: ignore[arg-type]
    return found
