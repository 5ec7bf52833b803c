import pytest
import torch

from fonderie.model.config import ModelConfig
from fonderie.model.generate import generate
from fonderie.model.transformer import Decoder

CONFIG = ModelConfig.from_depth(2, vocabulary=61, context=40, width=32, head_size=8, init_std=0.2)
PROMPT = [3, 1, 4, 1, 5]


@pytest.fixture(scope="module")
def model():
    return Decoder(CONFIG, seed=0)


def test_greedy_text_is_that_of_recomputing_everything_for_each_token(model):
    ids = list(PROMPT)
    with torch.no_grad():
        for _ in range(30):
            ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    assert list(generate(model, PROMPT, max_tokens=30)) == ids[len(PROMPT) :]


def test_a_seed_draws_one_text(model):
    def text(seed, **settings):
        return list(generate(model, PROMPT, max_tokens=20, temperature=1.0, seed=seed, **settings))

    assert text(1) == text(1) != text(2)
    greedy = list(generate(model, PROMPT, max_tokens=20))
    assert text(1, top_k=1) == text(1, top_p=1e-9) == greedy


def test_drawn_tokens_stay_among_the_top_k(model):
    with torch.no_grad():
        best = set(model(torch.tensor([PROMPT]))[0, -1].topk(3).indices.tolist())
    first = {next(generate(model, PROMPT, max_tokens=1, temperature=9.0, top_k=3, seed=seed)) for seed in range(40)}
    assert first == best


def test_a_stop_id_ends_the_text_and_is_not_part_of_it(model):
    whole = list(generate(model, PROMPT, max_tokens=20))
    stop = whole[5]
    assert list(generate(model, PROMPT, max_tokens=20, stop_ids={stop})) == whole[: whole.index(stop)]


def test_the_text_ends_with_the_context(model):
    assert len(list(generate(model, PROMPT, max_tokens=1000))) == CONFIG.context - len(PROMPT)


@pytest.mark.parametrize("prompt", [[], [1] * 40])
def test_a_prompt_without_room_is_refused_at_once(model, prompt):
    with pytest.raises(ValueError, match="1 to 39 tokens"):
        generate(model, prompt, max_tokens=1)


def test_the_caller_may_train_while_a_text_is_being_generated(model):
    tokens = generate(model, PROMPT, max_tokens=3)
    next(tokens)
    assert not torch.is_inference_mode_enabled()
