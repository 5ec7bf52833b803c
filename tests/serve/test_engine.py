import time

import pytest
import torch
from tests.serve.asking import desk, prompt

from fonderie.model.config import ModelConfig
from fonderie.model.generate import generate
from fonderie.model.transformer import Decoder
from fonderie.serve.engine.engine import Load, QueueFullError
from fonderie.serve.engine.request import Finished, PromptRead, Request, Sampling

QUESTION = "Bonjour, où est le petit renard ?"


def test_a_greedy_answer_is_that_of_generating_alone(model, tokenizer):
    ids = prompt(tokenizer, QUESTION, 150)
    expected = list(generate(model, ids, max_tokens=60))
    with desk(model, tokenizer) as at:
        (answer,) = at.ask(Request(ids, 60, Sampling(temperature=0)))
    assert answer.text == tokenizer.decode(expected)
    assert answer.end == Finished("length", 150, 60)


@pytest.mark.parametrize(
    "options",
    [
        {"architecture": "mistral", "window": 40},
        {"architecture": "olmo2"},
        {"architecture": "qwen3"},
        {"architecture": "qwen2"},
    ],
)
def test_each_kind_of_block_answers_as_when_generating_alone(tokenizer, options):
    config = ModelConfig.from_depth(
        2, vocabulary=tokenizer.vocabulary, context=512, width=64, head_size=16, init_std=0.2
    )
    relative = Decoder(ModelConfig.model_validate({**config.model_dump(), **options}), seed=1).eval()
    ids = prompt(tokenizer, QUESTION, 300)
    expected = list(generate(relative, ids, max_tokens=40))
    with desk(relative, tokenizer) as at:
        (answer,) = at.ask(Request(ids, 40, Sampling(temperature=0)))
    assert answer.text == tokenizer.decode(expected)


def test_an_answer_is_the_same_to_the_bit_alone_and_among_others(model, tokenizer):
    asked = Request(
        prompt(tokenizer, QUESTION, 100), 50, Sampling(temperature=1.0, top_p=0.9, seed=5), top_logprobs=3
    )
    others = [Request(prompt(tokenizer, "Il est là", 3 + 19 * n), 5 + 7 * n, Sampling(seed=n)) for n in range(20)]
    with desk(model, tokenizer, prefix_bytes=0) as at:
        (alone,) = at.ask(asked)
    with desk(model, tokenizer, prefix_bytes=0) as at:
        among = at.ask(*others[:9], asked, *others[9:])[9]
    assert (among.text, among.logprobs) == (alone.text, alone.logprobs)
    assert len(alone.logprobs) == 50


def test_in_bf16_too_an_answer_is_the_same_alone_and_among_others(tokenizer):
    config = ModelConfig.from_depth(
        2, vocabulary=tokenizer.vocabulary, context=512, width=64, head_size=16, init_std=0.2
    )
    asked = Request(prompt(tokenizer, QUESTION, 100), 30, Sampling(seed=5), top_logprobs=2)
    others = [Request(prompt(tokenizer, "Il est là", 3 + 19 * n), 5 + 3 * n, Sampling(seed=n)) for n in range(12)]
    found = []
    for requests in ([asked], [*others, asked]):
        with desk(Decoder(config, seed=0).bfloat16(), tokenizer, prefix_bytes=0) as at:
            found.append(at.ask(*requests)[-1])
    assert found[0].logprobs == found[1].logprobs
    assert len(found[0].logprobs) == 30


def test_the_number_of_threads_leaves_the_answer_alone(model, tokenizer):
    asked = Request(prompt(tokenizer, QUESTION), 30, Sampling(seed=1), top_logprobs=0)
    with desk(model, tokenizer) as at:
        (one,) = at.ask(asked)
    torch.set_num_threads(2)
    try:
        with desk(model, tokenizer) as at:
            (two,) = at.ask(asked)
    finally:
        torch.set_num_threads(1)
    assert one.logprobs == two.logprobs


def test_what_prompts_share_is_read_once_and_changes_no_bit(model, tokenizer):
    first = Request(prompt(tokenizer, QUESTION, 200), 20, Sampling(seed=3), top_logprobs=0)
    longer = Request((*first.prompt, *tokenizer.encode("Il est là.")), 20, Sampling(seed=3), top_logprobs=0)
    with desk(model, tokenizer, prefix_bytes=0) as at:
        fresh = at.ask(first)[0], at.ask(longer)[0]
    with desk(model, tokenizer) as at:
        kept = at.ask(first)[0], at.ask(longer)[0], at.ask(first)[0]
    assert [answer.logprobs for answer in kept] == [answer.logprobs for answer in (*fresh, fresh[0])]
    assert [answer.prompt.cached for answer in kept] == [0, 192, 192]
    assert kept[1].end.cached_tokens == 192


def test_an_answer_is_not_read_again_when_its_conversation_goes_on_and_changes_no_bit(model, tokenizer):
    first = Request(prompt(tokenizer, QUESTION, 100), 60, Sampling(seed=4), top_logprobs=0)
    with desk(model, tokenizer) as at:
        said = tuple(entry.token for entry in at.ask(first)[0].logprobs)
        then = Request((*first.prompt, *said, *tokenizer.encode("Et là ?")), 20, Sampling(seed=4), top_logprobs=0)
        (kept,) = at.ask(then)
    with desk(model, tokenizer, prefix_bytes=0) as at:
        (fresh,) = at.ask(then)
    assert (kept.prompt.cached, fresh.prompt.cached) == (128, 0)
    assert kept.logprobs == fresh.logprobs


@pytest.mark.parametrize("busy", [False, True])
def test_choices_of_one_prompt_read_it_once_and_are_what_they_are_alone(model, tokenizer, busy):
    ids = prompt(tokenizer, QUESTION, 200)
    asked = [Request(ids, 12, Sampling(seed=n), top_logprobs=0) for n in range(4)]
    with desk(model, tokenizer, prefix_bytes=0) as at:
        alone = [at.ask(request)[0] for request in asked]
    with desk(model, tokenizer) as at:
        if busy:  # one chunk of one prompt is then read at a time, and else one of each
            at.wait(at.engine.submit(Request(prompt(tokenizer, "Il est là"), 400)), PromptRead)
        among = at.ask(*asked)
    assert [answer.logprobs for answer in among] == [answer.logprobs for answer in alone]
    assert sum(answer.prompt.cached for answer in among) == 3 * 192, "a chunk was read twice, or not at all"


def test_the_prefix_cache_forgets_what_is_oldest_beyond_its_limit(model, tokenizer):
    one_chunk = 2 * 2 * 64 * model.config.kv_heads * model.config.head_size * 4
    a, b = (Request(prompt(tokenizer, text, 70), 0) for text in ("où est", "là ours"))
    with desk(model, tokenizer, prefix_bytes=one_chunk) as at:
        cached = [at.ask(request)[0].prompt.cached for request in (a, a, b, b, a)]
    assert cached == [0, 64, 0, 64, 0]


def test_log_probabilities_of_a_prompt_are_the_models(model, tokenizer):
    ids = prompt(tokenizer, QUESTION, 90)
    with desk(model, tokenizer) as at:
        (answer,) = at.ask(Request(ids, 0, top_logprobs=1, prompt_logprobs=True))
    with torch.no_grad():
        logp = model(torch.tensor([ids]))[0].log_softmax(-1)
    entries = answer.prompt.logprobs
    assert [entry.token for entry in entries] == list(ids)
    assert entries[0].logprob is None
    expected = [float(logp[i, token]) for i, token in enumerate(ids[1:])]
    assert [entry.logprob for entry in entries[1:]] == pytest.approx(expected, abs=1e-4)
    assert [entry.top[0][1] for entry in entries[1:]] == pytest.approx(logp[:-1].amax(-1).tolist(), abs=1e-4)
    assert answer.end == Finished("length", 90, 0)


def test_an_answer_ends_at_a_stop_text_that_it_does_not_show(model, tokenizer):
    ids = prompt(tokenizer, QUESTION)
    with desk(model, tokenizer) as at:
        (whole,) = at.ask(Request(ids, 60, Sampling(temperature=0)))
        stop = whole.text[20:26]
        (cut,) = at.ask(Request(ids, 60, Sampling(temperature=0), stop=("never said", stop)))
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.end.reason == "stop"
    assert cut.end.answer_tokens < 60


def test_an_answer_ends_at_a_stop_token_without_its_log_probability(model, tokenizer):
    ids = prompt(tokenizer, QUESTION)
    tokens = list(generate(model, ids, max_tokens=12))
    stop = next(token for token in tokens[3:] if token not in tokens[:3])
    request = Request(ids, 60, Sampling(temperature=0), stop_ids=frozenset({stop}), top_logprobs=0)
    with desk(model, tokenizer) as at:
        (answer,) = at.ask(request)
    before = tokens[: tokens.index(stop)]
    assert [entry.token for entry in answer.logprobs] == before
    assert answer.end.reason == "stop"


def test_one_who_gives_up_makes_room_at_once(model, tokenizer):
    ids = prompt(tokenizer, QUESTION)
    with desk(model, tokenizer, batch=1) as at:
        long = at.engine.submit(Request(ids, 480))
        at.wait(long, PromptRead)
        waiting = at.engine.submit(Request(ids, 480))
        short = at.engine.submit(Request(ids, 2))
        assert (at.engine.position(long), at.engine.position(waiting), at.engine.position(short)) == (None, 0, 1)
        at.engine.cancel(waiting)
        at.engine.cancel(long)
        assert at.wait(short).end.reason == "length"
        assert at.wait(long).end.reason == "cancelled"
        assert at.wait(waiting).end == Finished("cancelled", len(ids), 0)
        assert at.wait(long).end.answer_tokens < 480
        at.engine.cancel(long)
        assert at.ask(Request(ids, 1))[0].end.reason == "length"


def test_a_line_that_is_full_turns_away(model, tokenizer):
    ids = prompt(tokenizer, QUESTION)
    with desk(model, tokenizer, batch=1, waiting=1) as at:
        at.wait(at.engine.submit(Request(ids, 480)), PromptRead)
        at.engine.submit(Request(ids, 1))
        with pytest.raises(QueueFullError):
            at.engine.submit(Request(ids, 1))


def test_the_budget_of_tokens_keeps_requests_in_line_but_none_for_ever(model, tokenizer):
    ids = prompt(tokenizer, QUESTION)
    with desk(model, tokenizer, tokens=100) as at:
        first = at.engine.submit(Request(ids, 300))
        at.wait(first, PromptRead)
        second = at.engine.submit(Request(ids, 60))
        assert at.engine.position(second) == 0
        assert at.engine.load().running == 1
        assert at.wait(second).end.reason == "length"


def test_what_does_not_fit_the_context_is_refused_with_the_figures(model, tokenizer):
    with desk(model, tokenizer) as at, pytest.raises(ValueError, match="500 tokens of prompt and 13 of answer"):
        at.engine.submit(Request(prompt(tokenizer, QUESTION, 500), 13))


def test_an_answer_may_fill_the_context_to_the_last_token(model, tokenizer):
    with desk(model, tokenizer) as at:
        (answer, full) = at.ask(
            Request(prompt(tokenizer, QUESTION, 500), 12), Request(prompt(tokenizer, QUESTION, 512), 0)
        )
    assert answer.end == Finished("length", 500, 12, answer.end.cached_tokens)
    assert full.end == Finished("length", 512, 0, full.end.cached_tokens)


def test_closing_finishes_what_was_taken_and_takes_nothing_more(model, tokenizer):
    ids = prompt(tokenizer, QUESTION)
    with desk(model, tokenizer, batch=2) as at:
        numbers = [at.engine.submit(Request(ids, 20)) for _ in range(5)]
        assert at.engine.close(timeout=60)
        assert [at.wait(number).end.reason for number in numbers] == ["length"] * 5
        with pytest.raises(RuntimeError, match="closing"):
            at.engine.submit(Request(ids, 1))


class Unreadable:
    """A tokenizer that fails at one token, with the text in its words."""

    def __init__(self, tokenizer, token):
        self.tokenizer, self.token = tokenizer, token

    def decode(self, ids):
        if self.token in ids:
            raise LookupError(QUESTION)
        return self.tokenizer.decode(ids)


def test_what_fails_for_one_request_ends_that_one_alone_and_logs_no_text(model, tokenizer, caplog):
    ids = prompt(tokenizer, QUESTION)
    with desk(model, tokenizer) as at:
        whole, beside = at.ask(*(Request(ids, 9, Sampling(seed=seed), top_logprobs=0) for seed in (1, 2)))
    said, others = ({entry.token for entry in answer.logprobs} for answer in (whole, beside))
    poison = min(said - others)
    with desk(model, Unreadable(tokenizer, poison)) as at:
        failed, same = at.ask(Request(ids, 9, Sampling(seed=1)), Request(ids, 9, Sampling(seed=2)))
        assert (failed.end.reason, failed.end.fault, failed.end.message) == ("error", "failed", "LookupError")
        assert same.text == beside.text
        assert at.engine.failure is None
    assert "LookupError" in caplog.text
    assert QUESTION not in caplog.text


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.0}, {"top_p": 0.5}, {"top_k": 3}, {"min_p": 0.1}])
def test_a_model_whose_numbers_overflow_answers_nothing_instead_of_anything(tokenizer, settings):
    config = ModelConfig.from_depth(1, vocabulary=tokenizer.vocabulary, context=128, width=64, head_size=16)
    broken = Decoder(config, seed=0)
    with torch.no_grad():
        broken.norm.weight.fill_(float("nan"))
    with desk(broken, tokenizer) as at:
        (answer,) = at.ask(Request(prompt(tokenizer, QUESTION), 5, Sampling(**settings)))
        assert (answer.end.reason, answer.end.message, answer.text) == ("error", "FloatingPointError", "")


class Breaking:
    """A model that fails from some moment on, with the text in its words; no `Decoder`, and so computed alone."""

    def __init__(self, model):
        self.model, self.lost = model, False

    def __getattr__(self, name):
        return getattr(self.model, name)

    def eval(self):
        return self

    def hidden(self, *given):
        if self.lost:
            raise LookupError(QUESTION)
        return self.model.hidden(*given)


def test_an_engine_that_fails_says_so_to_everyone_and_logs_no_text(model, tokenizer, caplog):
    ids, broken = prompt(tokenizer, QUESTION), Breaking(model)
    with desk(broken, tokenizer) as at:
        at.ask(Request(ids, 1))
        broken.lost = True
        for answer in at.ask(Request(ids, 5), Request(ids, 5), Request(ids, 5)):
            assert answer.end.reason == "error"
            assert "the engine has failed: LookupError" in answer.end.message
        deadline = time.monotonic() + 10
        while at.engine.failure is None and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(RuntimeError, match="failed"):
            at.engine.submit(Request(ids, 5))
    assert QUESTION not in caplog.text


def test_no_two_engines_give_the_same_number(model, tokenizer):
    ids = prompt(tokenizer, QUESTION)
    with desk(model, tokenizer) as one, desk(model, tokenizer) as other:
        numbers = [at.engine.submit(Request(ids, 1)) for at in (one, other, one, other)]
        assert len(set(numbers)) == 4
        for at, number in zip((one, other, one, other), numbers, strict=True):
            assert at.wait(number).end.reason == "length"


def test_the_wait_in_line_is_told_from_the_last_answers(model, tokenizer):
    ids = prompt(tokenizer, QUESTION)
    with desk(model, tokenizer, batch=1) as at:
        assert at.engine.load().seconds_before(0) is None, "nothing has ended yet"
        at.ask(*(Request(ids, 40) for _ in range(3)))
        first = at.engine.submit(Request(ids, 200))
        at.wait(first, PromptRead)
        waiting = [at.engine.submit(Request(ids, 1)) for _ in range(3)]
        load = at.engine.load()
        assert load.seconds_each > 0
        assert (
            load.seconds_before(1)
            == pytest.approx(2 * load.seconds_before(0))
            == pytest.approx(2 * load.seconds_each)
        )
        at.engine.cancel(first)
        for number in waiting:
            at.wait(number)


def test_of_answers_side_by_side_one_ends_sooner():
    load = Load(4, 8, 0, 0, 0, 0, 0.0, seconds_each=8.0)
    assert [load.seconds_before(place) for place in (0, 3)] == [2.0, 8.0]
    assert Load(0, 0, 0, 0, 0, 0, 0.0, seconds_each=8.0).seconds_before(0) == 8.0
