"""Planted strengths are found again, intervals say what the votes say, and nobody gets a number out of nothing."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.chat.synthetic import synthetic

from fonderie.chat.matches import Match
from fonderie.chat.ranking import CENTRE, SCALE, Ranking, _tail, ranking
from fonderie.chat.style import STYLE, style, style_difference

pytestmark = pytest.mark.slow

PLANTED = [0.8, 0.4, 0.0, -0.4, -0.8]


def scores(found: Ranking) -> dict[str, float]:
    return {standing.key: standing.score for standing in found.standings}


def votes(*said: str, a: str = "one", b: str = "two") -> list[Match]:
    return [Match(a, b, outcome, number) for number, outcome in enumerate(said)]  # type: ignore[arg-type]


def test_planted_strengths_are_found_again_behind_style():
    swayed = (0.9, 0.0, 0.3, 0.0)
    made = synthetic(20_000, PLANTED, seed=1, swayed=swayed)
    found = ranking(made, bootstraps=50)
    for number, strength in enumerate(PLANTED):
        assert scores(found)[f"m{number:02d}"] == pytest.approx(CENTRE + SCALE * strength, abs=12)
    spread = math.sqrt(1 / 3)  # of what `synthetic` draws: one standard deviation of a feature
    for effect, planted in zip(found.style, swayed, strict=True):
        assert effect.points == pytest.approx(SCALE * planted * spread, abs=12)
        assert effect.low < SCALE * planted * spread < effect.high
    assert [standing.tier for standing in found.standings] == [1, 2, 3, 4, 5]


def test_without_control_a_longer_winded_model_would_win():
    """m00 answers at length and no better; people are swayed by length."""
    made = []
    for number, match in enumerate(synthetic(6_000, [0.0, 0.0], seed=2)):
        longer = 0.5 if match.a == "m00" else -0.5
        length = longer + 0.2 * math.sin(number)
        p = 1 / (1 + math.exp(-1.2 * length))
        outcome = "a" if np.random.default_rng(number).random() < p else "b"
        made.append(replace(match, outcome=outcome, style=(length, 0.0, 0.0, 0.0)))
    controlled = ranking(made, bootstraps=100)
    plain = ranking([replace(match, style=(0.0,) * len(STYLE)) for match in made], bootstraps=100)
    assert scores(plain)["m00"] > CENTRE + 35
    (m00,) = (standing for standing in controlled.standings if standing.key == "m00")
    assert m00.low is not None
    assert m00.high is not None
    assert m00.low < CENTRE < m00.high


def test_two_models_and_the_closed_form():
    """Of two, the odds are those of half-wins: ln(6.5 / 3.5)."""
    found = ranking(votes(*"aaaaaabbb", "both_bad"))
    assert scores(found) == pytest.approx(
        {"one": CENTRE + SCALE * math.log(6.5 / 3.5) / 2, "two": CENTRE - SCALE * math.log(6.5 / 3.5) / 2}
    )
    one = found.standings[0]
    assert (one.tally.wins, one.tally.losses, one.tally.both_good, one.tally.both_bad, one.tally.n) == (
        6,
        3,
        0,
        1,
        10,
    )
    assert (one.best_rank, one.worst_rank, one.tier, found.standings[1].tier) == (1, 2, 1, 1)


def test_sides_do_not_matter_and_the_seed_decides():
    made = synthetic(300, PLANTED, seed=3, sessions=60, swayed=(0.5, 0.2, 0.0, 0.0))
    other = {"a": "b", "b": "a"}
    swapped = [
        Match(m.b, m.a, other.get(m.outcome, m.outcome), m.session, tuple(-x for x in m.style))  # type: ignore[arg-type]
        for m in made
    ]
    found, again, mirrored = (ranking(given, bootstraps=60) for given in (made, made, swapped))
    assert found == again
    assert scores(mirrored) == pytest.approx(scores(found))
    assert [s.best_rank for s in mirrored.standings] == [s.best_rank for s in found.standings]
    assert ranking(made, bootstraps=60, seed=1) != found
    assert scores(ranking(made, bootstraps=60, seed=1)) == scores(found)


def test_one_person_who_votes_a_hundred_times_is_one_person():
    independent = synthetic(400, [0.3, -0.3], seed=4)
    same = [replace(match, session=0) for match in independent[:1]] * 400

    def width(made: list[Match]) -> float:
        (first, _) = ranking(made, bootstraps=400).standings
        assert first.low is not None
        assert first.high is not None
        return first.high - first.low

    assert width(independent) == pytest.approx(2 * 1.96 * SCALE * 0.5 * math.sqrt(1 / (400 * 0.23)), rel=0.35)
    # Two persons who agree with themselves, two hundred votes each: nothing is sure.
    torn = [
        replace(match, outcome="a" if number % 2 else "b", session=number % 2) for number, match in enumerate(same)
    ]
    found = ranking(torn)
    assert all(standing.low is None and standing.high is None for standing in found.standings)


def test_few_people_get_wider_intervals():
    """Shares by Student's t as scipy 1.17 computes it: norm.cdf(-sqrt(n / (n - 1)) * t.ppf(0.975, n - 1))."""
    shares = {5: 0.000954, 10: 0.008551, 40: 0.020258, 400: 0.024512}
    assert {n: _tail(n) for n in shares} == pytest.approx(shares, abs=3e-5)
    assert _tail(1) == 0
    made = synthetic(400, PLANTED, seed=7)
    (first, *_), (wider, *_) = (
        ranking([replace(match, session=match.session % people) for match in made]).standings for people in (400, 8)
    )
    assert wider.score == pytest.approx(first.score)
    assert wider.worst_rank >= first.worst_rank


@pytest.mark.parametrize(("better", "worse"), [("one", "two"), ("two", "one")])
def test_a_draw_without_the_upset_speaks_for_the_better_of_two(better, worse):
    """Two of fourteen upset the order: each eighth draw has neither of them, and says that it is endlessly better."""
    found = ranking(votes(*"aaaaaaaaaaaabb", a=better, b=worse))
    first, second = found.standings
    assert (first.key, first.high, second.low) == (better, None, None)
    assert first.low is not None
    assert second.high is not None
    assert second.high - CENTRE == pytest.approx(CENTRE - first.low)
    assert (first.tier, second.tier, first.worst_rank, second.best_rank) == (1, 2, 1, 2)


def test_of_too_few_people_nothing_is_sure():
    """Four hundred draws of six people do not reach as far out as an interval of 95 % would."""
    for people, is_sure in ((1, False), (2, False), (6, False), (7, True)):
        made = [replace(match, session=match.session % people) for match in synthetic(300, [1.0, -1.0], seed=8)]
        found = ranking(made)
        assert [standing.score for standing in found.standings] == pytest.approx(
            [CENTRE + SCALE * 1.0, CENTRE - SCALE * 1.0], abs=60
        )
        assert {standing.tier for standing in found.standings} == ({1, 2} if is_sure else {1})
        assert all((standing.low is not None) == is_sure for standing in found.standings)
        assert [standing.best_rank for standing in found.standings] == ([1, 2] if is_sure else [1, 1])
        assert bool(found.style) == is_sure


def test_who_never_won_or_never_lost_has_no_score():
    made = synthetic(200, [0.2, 0.0, -0.2], seed=5)
    made += votes(*"aaaa", a="champion", b="m00") + votes(*"bbb", a="loser", b="m01")
    made += votes(*"ab", "both_good", a="island1", b="island2")
    found = ranking(made, bootstraps=50)
    assert {standing.key for standing in found.standings} == {"m00", "m01", "m02"}
    assert {one.key: one.why for one in found.apart} == {
        "champion": "never_lost",
        "loser": "never_won",
        "island1": "not_linked",
        "island2": "not_linked",
    }
    assert found.votes == 200
    assert scores(found) == scores(ranking(made[:200], bootstraps=50))


@pytest.mark.parametrize(
    "made", [[], votes("a"), votes(*"aaa"), votes("a") + votes("a", a="two", b="three")], ids=len
)
def test_with_too_few_votes_there_is_no_ranking(made):
    found = ranking(made)
    assert found.standings == ()
    assert {one.key for one in found.apart} == {key for match in made for key in (match.a, match.b)}


def test_a_bound_that_the_votes_do_not_set_is_none():
    found = ranking(votes(*"aaaab"))
    first, second = found.standings
    assert (first.high, second.low) == (None, None)
    assert (first.worst_rank, second.best_rank) == (2, 1)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcde"),
            st.sampled_from("abcde"),
            st.sampled_from(["a", "b", "both_good", "both_bad"]),
            st.integers(0, 5),
            st.tuples(*[st.floats(-1, 1)] * len(STYLE)),
        ).filter(lambda row: row[0] != row[1]),
        max_size=25,
    )
)
def test_any_votes_give_finite_scores_at_the_maximum(rows):
    """Every contender is somewhere, once; scores are finite and add up; ranks hold each other."""
    made = [Match(*row) for row in rows]
    found = ranking(made, bootstraps=20)
    placed = [standing.key for standing in found.standings]
    assert sorted(placed + [one.key for one in found.apart]) == sorted({key for row in rows for key in row[:2]})
    assert len(placed) != 1
    if placed:
        assert np.mean(list(scores(found).values())) == pytest.approx(CENTRE)
    for rank, standing in enumerate(found.standings, 1):
        assert math.isfinite(standing.score)
        assert 1 <= standing.best_rank <= standing.worst_rank <= len(placed)
        assert standing.low is None or standing.high is None or standing.low <= standing.high
        if rank > 1:
            assert standing.score <= found.standings[rank - 2].score


def test_no_other_strengths_make_the_votes_likelier():
    """The likelihood as the reference writes it, in plain Python: any step away from what was found lowers it."""
    made = synthetic(250, [0.6, 0.2, -0.3, -0.5], seed=11, sessions=25, taste=0.4, swayed=(0.6, 0.1, 0.3, 0.0))
    spread = [math.sqrt(sum(match.style[k] ** 2 for match in made) / len(made)) for k in range(len(STYLE))]
    won = {"a": 1.0, "b": 0.0, "both_good": 0.5, "both_bad": 0.5}

    def unlikely(points: dict[str, float]) -> float:
        gamma = [points[name] / SCALE for name in STYLE]
        total = sum(value**2 for value in gamma) / 2  # the prior of style
        for match in made:
            z = (points[match.a] - points[match.b]) / SCALE
            z += sum(g * x / s for g, x, s in zip(gamma, match.style, spread, strict=True))
            total += won[match.outcome] * math.log1p(math.exp(-z)) + (1 - won[match.outcome]) * math.log1p(
                math.exp(z)
            )
        return total

    found = ranking(made, bootstraps=100)
    at = {**scores(found), **{effect.name: effect.points for effect in found.style}}
    best = unlikely(at)
    for name, points in at.items():
        for step in (-0.5, 0.5):
            assert unlikely({**at, name: points + step}) > best


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdef"), st.sampled_from("abcdef"), st.sampled_from(["a", "b", "both_bad"])
        ).filter(lambda row: row[0] != row[1]),
        max_size=14,
    )
)
def test_who_is_placed_is_the_largest_group_that_beats_each_other(rows):
    """By sets that are walked, not by matrices: wins and ties are ways from one to another."""
    made = [Match(a, b, outcome, number) for number, (a, b, outcome) in enumerate(rows)]
    beaten = {key: set() for match in made for key in (match.a, match.b)}
    for match in made:
        for winner, loser, unless in ((match.a, match.b, "b"), (match.b, match.a, "a")):
            if match.outcome != unless:
                beaten[winner].add(loser)

    def below(key: str) -> set[str]:
        seen, left = {key}, [key]
        while left:
            fresh = beaten[left.pop()] - seen
            seen |= fresh
            left += fresh
        return seen

    groups = [{other for other in below(key) if key in below(other)} for key in beaten]
    largest = max(map(len, groups), default=0)
    found = ranking(made, bootstraps=1)
    placed = {standing.key for standing in found.standings}
    assert placed in (groups if largest > 1 else [set()])
    assert len(placed) == (largest if largest > 1 else 0)
    for one in found.apart:
        lost = any(one.key in losers for losers in beaten.values())
        assert one.why == ("never_won" if not beaten[one.key] else "not_linked" if lost else "never_lost")


def test_ties_alone_put_everybody_on_one_place():
    found = ranking(votes(*["both_bad", "both_good"] * 3))
    assert [(one.score, one.low, one.high, one.tier) for one in found.standings] == [(CENTRE, None, None, 1)] * 2
    assert [(one.best_rank, one.worst_rank) for one in found.standings] == [(1, 2)] * 2
    assert ranking(votes("a", a="one", b="one"), bootstraps=1).standings == ()


def test_style_counts_what_is_written_and_not_what_is_code():
    text = "# Un\n\n## Deux\n- a\n* b\n  1. c\n\n**gras** et __gras__, * pas, 2*3*4\n\n```py\n# non\n- non **non**\n```\n#non\n~~~\n# ouvert"
    assert dict(zip(STYLE, style(text), strict=True)) == {"length": 27, "headers": 2, "bold": 2, "lists": 3}
    assert style("") == (0, 0, 0, 0)
    assert style_difference((20, 0, 3, 0), (10, 0, 0, 1)) == pytest.approx((1 / 3, 0.0, 1.0, -1.0))


def test_agrees_with_arena_rank():
    """LMArena's own implementation, to a hundredth of a point; intervals of independent votes to a fifth."""
    jnp = pytest.importorskip("jax.numpy", reason="the extra `arena` is not installed")
    pytest.importorskip("arena_rank", reason="the extra `arena` is not installed")
    from arena_rank.models.bradley_terry import BradleyTerry
    from arena_rank.models.contextual_bradley_terry import ContextualBradleyTerry
    from arena_rank.utils.data_utils import ContextualPairDataset, PairDataset

    made = synthetic(4_000, PLANTED, seed=6, swayed=(0.5, 0.0, 0.2, 0.0))
    keys = [f"m{number:02d}" for number in range(len(PLANTED))]
    pairs = jnp.array([[keys.index(match.a), keys.index(match.b)] for match in made])
    outcomes = jnp.array([{"a": 1.0, "b": 0.0}.get(match.outcome, 0.5) for match in made])
    features = np.array([match.style for match in made])
    features = features / np.sqrt((features**2).mean(axis=0))
    ones = jnp.ones(len(made))

    with_style = ContextualBradleyTerry(len(keys), len(STYLE), reg=1 / len(made))
    theirs = with_style.compute_ratings_and_cis(
        ContextualPairDataset(keys, pairs, outcomes, jnp.array(features), ones)
    )
    ours = ranking(made)
    _compare(ours, theirs)
    assert [effect.points for effect in ours.style] == pytest.approx(SCALE * np.array(theirs["coeffs"]), abs=0.01)

    plain = BradleyTerry(len(keys))
    theirs = plain.compute_ratings_and_cis(PairDataset(keys, pairs, outcomes, ones, ones, ones))
    _compare(ranking([replace(match, style=(0.0,) * len(STYLE)) for match in made]), theirs)


def _compare(ours: Ranking, theirs: dict[str, object]) -> None:
    found = {standing.key: standing for standing in ours.standings}
    for row in zip(
        *(theirs[name] for name in ("competitors", "ratings", "rating_lower", "rating_upper")), strict=True
    ):  # type: ignore[call-overload]
        key, rating, low, high = row
        mine = found[key]
        assert mine.score == pytest.approx(float(rating), abs=0.01)
        assert mine.low is not None
        assert mine.high is not None
        assert mine.high - mine.low == pytest.approx(float(high) - float(low), rel=0.2)
