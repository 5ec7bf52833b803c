"""How often the ranking's intervals hold the truth, with people who each have a taste of their own.

    PYTHONPATH=. python docs/log/0012-ranking.py

One line for each way to draw: what part of the 95 % intervals held the strength that an endless number of votes
would give, with sessions drawn anew, and with votes drawn anew as if each were another person's.
"""

import sys
import time
from dataclasses import replace

import numpy as np
from tests.chat.synthetic import synthetic

from fonderie.chat.ranking import CENTRE, SCALE, _Data, _fit, ranking
from fonderie.chat.style import STYLE

STRENGTHS = [0.6, 0.3, 0.0, -0.3, -0.6]
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(60)


def truth(taste: float) -> dict[str, float]:
    """The fit to the expected outcome of every pair, tastes averaged out by Gauss-Hermite quadrature."""
    pairs = [(a, b) for a in range(len(STRENGTHS)) for b in range(len(STRENGTHS)) if a != b]
    spread = taste * np.sqrt(2)
    won = [
        float(WEIGHTS @ (1 / (1 + np.exp(-(STRENGTHS[a] - STRENGTHS[b] + spread * NODES)))) / WEIGHTS.sum())
        for a, b in pairs
    ]
    data = _Data(
        a_N=np.array([a for a, _ in pairs]),
        b_N=np.array([b for _, b in pairs]),
        won_N=np.array(won),
        style_NK=np.zeros((len(pairs), len(STYLE))),
        session_N=np.arange(len(pairs)),
        contenders=len(STRENGTHS),
    )
    found = _fit(data, np.ones(len(pairs)), np.zeros(len(STRENGTHS) + len(STYLE)))
    return {f"m{number:02d}": CENTRE + SCALE * float(found[number]) for number in range(len(STRENGTHS))}


def coverage(votes: int, sessions: int, taste: float, times: int) -> tuple[float, float, float, float]:
    """The share of intervals that hold the truth, and their mean width: by sessions, and by votes."""
    true, held, widths = truth(taste), [[], []], [[], []]
    for number in range(times):
        made = synthetic(votes, STRENGTHS, seed=10_000 + number, sessions=sessions, taste=taste)
        each = [replace(match, session=place) for place, match in enumerate(made)]
        for how, given in enumerate((made, each)):
            for standing in ranking(given, bootstraps=400, seed=number).standings:
                low = -np.inf if standing.low is None else standing.low
                high = np.inf if standing.high is None else standing.high
                held[how].append(low <= true[standing.key] <= high)
                widths[how].append(high - low)
    return (*(float(np.mean(part)) for part in held), *(float(np.median(part)) for part in widths))  # type: ignore[return-value]


def main() -> None:
    """Every line."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    print(f"{times} draws, {times * len(STRENGTHS)} intervals a line")
    print("votes sessions taste | held by sessions, by votes | median width by sessions, by votes")
    for votes, sessions, taste in (
        (400, 400, 0.0),
        (400, 40, 0.5),
        (400, 40, 1.0),
        (400, 10, 0.5),
        (400, 7, 0.5),
    ):
        begun = time.perf_counter()
        by_sessions, by_votes, wide, narrow = coverage(votes, sessions, taste, times)
        print(
            f"{votes:5} {sessions:8} {taste:5} | {by_sessions:.3f} {by_votes:.3f} | {wide:5.0f} {narrow:5.0f} | "
            f"{time.perf_counter() - begun:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
