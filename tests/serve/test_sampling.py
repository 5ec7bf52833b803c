import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fonderie.serve.engine.request import REPETITION_PENALTIES, Request, Sampling
from fonderie.serve.engine.sampling import History, draw, logprobs_of, uniform

LOGITS = torch.tensor([0.1, 2.0, -1.0, 3.0, 2.0, -4.0, 0.0, 1.0])


def said(*tokens: int, prompt: tuple[int, ...] = (0,), **settings: object) -> History:
    history = History(Sampling(**settings), prompt)  # type: ignore[arg-type]
    for token in tokens:
        history.add(token)
    return history


def frequencies(logits: torch.Tensor, draws: int = 1500, **settings: object) -> torch.Tensor:
    found = torch.zeros(len(logits))
    for seed in range(draws):
        found[draw(logits, said(seed=seed, **settings))] += 1
    return found / draws


def test_the_defaults_draw_from_the_distribution_itself():
    assert torch.allclose(frequencies(LOGITS), LOGITS.softmax(-1), atol=0.045)


def test_temperature_sharpens_and_zero_takes_the_likeliest():
    assert torch.allclose(frequencies(LOGITS, temperature=0.5), (LOGITS / 0.5).softmax(-1), atol=0.045)
    assert draw(LOGITS, said(temperature=0)) == 3


@pytest.mark.parametrize("temperature", [1e-5, 1e-30, 1e-300])
def test_the_coldest_temperatures_take_the_likeliest(temperature):
    assert {draw(LOGITS, said(seed=seed, temperature=temperature)) for seed in range(20)} == {3}
    assert {draw(LOGITS, said(seed=seed, temperature=temperature, top_p=0.5)) for seed in range(20)} == {3}


def test_top_k_top_p_and_min_p_leave_what_their_papers_say():
    p = LOGITS.softmax(-1)
    order = [3, 1, 4, 7]  # ties by id
    for chosen, left in (
        ({"top_k": 1}, [3]),
        ({"top_k": 3}, [3, 1, 4]),
        ({"top_p": float(p[3]) + 1e-4}, [3, 1]),
        ({"top_p": float(p[3] + p[1]) - 1e-4}, [3, 1]),
        ({"min_p": float(p[7] / p[3]) * 0.99}, order),
        ({"top_k": 3, "top_p": 0.5}, [3]),
    ):
        expected = torch.zeros(len(LOGITS))
        expected[left] = p[left] / p[left].sum()
        assert torch.allclose(frequencies(LOGITS, **chosen), expected, atol=0.045), chosen


def test_top_p_holds_in_a_large_flat_vocabulary():
    logits = torch.linspace(0, 1e-3, 5000)
    drawn = {draw(logits, said(seed=seed, top_p=0.5)) for seed in range(3000)}
    assert min(drawn) >= 2490
    assert len(drawn) > 1000


@settings(deadline=None)
@given(
    st.lists(st.floats(-60, 20, width=32), min_size=1, max_size=300),
    st.sampled_from([0, 1, 3, 40, 1000]),
    st.sampled_from([1e-6, 0.5, 0.9, 0.999999, 1.0]),
    st.sampled_from([0.0, 1e-9, 0.05, 1.0]),
    st.integers(0, 99),
)
def test_what_is_drawn_is_among_what_a_full_sort_leaves(values, top_k, top_p, min_p, seed):
    logits = torch.tensor(values)
    p, order = logits.double().softmax(-1).sort(descending=True, stable=True)
    if top_k:
        p, order = p[:top_k] / p[:top_k].sum(), order[:top_k]
    # The bounds are blurred by a rounding of fp32.
    left = order[(p.cumsum(-1) - p < top_p + 1e-5) & (p >= (min_p * p[0]) * (1 - 1e-5))].tolist()
    found = draw(logits, said(seed=seed, top_k=top_k, top_p=top_p, min_p=min_p))
    assert logits[found] >= logits[left].min() - 1e-4


def test_penalties_and_bias_change_the_logits_as_documented():
    history = said(3, 3, 1, temperature=0, presence_penalty=0.5, frequency_penalty=0.4)
    # 3.0 - 0.5 - 0.8 = 1.7; 2.0 - 0.5 - 0.4 = 1.1; token 4 stays at 2.0
    assert draw(LOGITS, history) == 4
    assert draw(LOGITS, said(temperature=0, logit_bias={5: 100})) == 5
    assert draw(LOGITS, said(temperature=0, logit_bias={3: -100})) in (1, 4)
    # In the prompt: 3.0 / 2 = 1.5, below the 2.0 of token 1; a negative logit is multiplied.
    assert draw(LOGITS, said(temperature=0, prompt=(3,), repetition_penalty=2.0)) == 1


def test_logits_are_left_as_they_are():
    before = LOGITS.clone()
    draw(LOGITS, said(3, temperature=0.7, presence_penalty=1, logit_bias={1: 5}, repetition_penalty=1.3, top_p=0.9))
    assert torch.equal(LOGITS, before)


def test_only_what_the_grammar_allows_is_drawn():
    allowed = torch.zeros(len(LOGITS), dtype=torch.bool)
    allowed[[2, 5]] = True
    for chosen in ({}, {"temperature": 0}, {"top_k": 4}, {"top_p": 0.3}):
        assert all(draw(LOGITS, said(seed=n, **chosen), allowed) in (2, 5) for n in range(50)), chosen


@settings(deadline=None)
@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 10**6))
def test_chances_are_in_range_and_follow_from_seed_and_number(seed, number):
    chance = uniform(seed, number)
    assert 0 <= chance < 1
    assert chance == uniform(seed, number)
    assert chance != uniform(seed, number + 1)


@settings(deadline=None)
@given(st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=40), st.integers(0, 1000))
def test_a_token_of_no_probability_is_never_drawn(values, seed):
    logits = torch.tensor([*values, -math.inf])
    assert draw(logits, said(seed=seed)) < len(values)
    assert draw(logits, said(seed=seed, top_p=0.99)) < len(values)


def between(low: float, high: float) -> st.SearchStrategy[float]:
    """Also the smallest and the largest there are, where things break."""
    return st.sampled_from([low, high, low + 5e-324, high / 2]) | st.floats(low, high)


@settings(deadline=None)
@given(
    st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=40),
    st.fixed_dictionaries(
        {
            "temperature": between(0, 2),
            "top_p": between(0, 1).filter(bool),
            "top_k": st.sampled_from([0, 1, 3, 10**30]),
            "min_p": between(0, 1),
            "presence_penalty": between(-2, 2),
            "frequency_penalty": between(-2, 2),
            "repetition_penalty": between(*REPETITION_PENALTIES),
            "seed": st.integers(0, 9),
        }
    ),
    st.floats(-100, 100),
)
def test_whatever_is_in_range_draws_a_token(values, chosen, bias):
    last = len(values) - 1
    history = said(last, last, 0, prompt=(0,), logit_bias={last: bias}, **chosen)
    with warnings.catch_warnings(action="error"):
        assert 0 <= draw(torch.tensor(values), history) <= last


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_logits_that_are_no_numbers_draw_nothing(broken):
    logits = torch.tensor([0.0, broken, 1.0])
    for chosen in ({}, {"temperature": 0}, {"top_p": 0.5}, {"top_k": 2}):
        with pytest.raises(FloatingPointError):
            draw(logits, said(**chosen))


def test_log_probabilities_come_with_the_likeliest():
    (entry,) = logprobs_of(LOGITS[None], [7], 2)
    logp = LOGITS.log_softmax(-1)
    assert entry.logprob == pytest.approx(float(logp[7]))
    assert [value for _, value in entry.top] == pytest.approx([float(logp[3]), float(logp[1])])
    assert entry.top[0][0] == 3


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"temperature": -0.1}, "temperature -0.1"),
        ({"temperature": math.nan}, "temperature nan"),
        ({"top_p": 0.0}, "top_p 0"),
        ({"top_p": 1.1}, "top_p 1.1"),
        ({"top_k": -1}, "top_k -1"),
        ({"min_p": 2.0}, "min_p 2"),
        ({"presence_penalty": 3.0}, "presence_penalty 3"),
        ({"repetition_penalty": 0.0}, "repetition_penalty 0"),
        ({"repetition_penalty": 1e-300}, "repetition_penalty 1e-300 is not between 0.01 and 10"),
        ({"repetition_penalty": math.inf}, "repetition_penalty inf"),
        ({"logit_bias": {3: 101.0}}, "logit_bias 101"),
    ],
)
def test_a_setting_out_of_range_is_named(settings, named):
    with pytest.raises(ValueError, match=named):
        Sampling(**settings)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(((), 1), "prompt is empty"), (((1,), -1), "max_tokens -1"), (((1,), 1, Sampling(), ("",)), "stop")],
)
def test_a_request_that_asks_nothing_is_refused(arguments, named):
    with pytest.raises(ValueError, match=named):
        Request(*arguments)
