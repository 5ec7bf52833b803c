"""Plain completions: what is echoed is what was given, and every token says where it is in the text."""

import openai
import pytest

MODEL = "toy-0.1.0"
PROMPT = "Où est l'œuf \U0001f98a ? 한 \u202e"


def check(text, logprobs):
    """Each token is in the text where it says; one that is no whole character, in the character it is a part of."""
    begins = logprobs.text_offset
    assert begins == sorted(begins)
    assert begins[-1] <= len(text)
    for token, begin in zip(logprobs.tokens, begins, strict=True):
        if token.startswith("bytes:"):
            parts = bytes.fromhex(token.removeprefix("bytes:").replace("\\x", ""))
            assert parts[:1] in text[begin : begin + 1].encode() or text[begin] == "\ufffd"
        elif not token.startswith("<|"):
            assert text[begin:].startswith(token)


def test_a_prompt_of_words_is_echoed_as_it_was_given(client):
    for settings in ({}, {"logprobs": 1}, {"logprobs": 1, "max_tokens": 0}):
        asked = {"model": MODEL, "prompt": PROMPT, "max_tokens": 6, "seed": 1, **settings}
        alone = client.completions.create(**asked).choices[0]
        echoed = client.completions.create(**asked, echo=True).choices[0]
        assert echoed.text == PROMPT + alone.text
    found = echoed.logprobs
    assert (found.tokens[0], found.token_logprobs[0], found.text_offset[:2]) == ("<|bos|>", None, [0, 0])
    check(echoed.text, echoed.logprobs)


def test_a_prompt_of_tokens_is_echoed_with_the_special_ones_among_them(client):
    prompt = [0, 60, 61, 2, 62]
    echoed = client.completions.create(model=MODEL, prompt=prompt, max_tokens=0, echo=True, logprobs=0).choices[0]
    assert echoed.text.startswith("<|bos|>")
    assert "<|end|>" in echoed.text
    assert echoed.logprobs.text_offset[1] == len("<|bos|>")
    check(echoed.text, echoed.logprobs)


@pytest.mark.parametrize("seed", range(3))
def test_tokens_of_an_answer_say_where_they_are_in_it_streamed_or_not(client, seed):
    # The hottest there is, so that an untrained model says parts of characters and special tokens too.
    asked = {"model": MODEL, "prompt": PROMPT, "max_tokens": 120, "seed": seed, "temperature": 2, "logprobs": 0}
    whole = client.completions.create(**asked, extra_body={"ignore_eos": True}).choices[0]
    check(whole.text, whole.logprobs)
    begins: list[int] = []
    for chunk in client.completions.create(**asked, extra_body={"ignore_eos": True}, stream=True):
        logprobs = chunk.choices[0].logprobs
        begins += [] if logprobs is None else logprobs.text_offset
    assert begins == whole.logprobs.text_offset


def test_cached_tokens_of_all_prompts_are_counted(client):
    prompts = ["Le vieux facteur " * 20, "Une voisine dessine " * 20]
    for prompt in prompts:
        client.completions.create(model=MODEL, prompt=prompt, max_tokens=1)
    usage = client.completions.create(model=MODEL, prompt=prompts, max_tokens=1, n=2).usage
    each = [client.completions.create(model=MODEL, prompt=prompt, max_tokens=1).usage for prompt in prompts]
    assert usage.prompt_tokens == sum(one.prompt_tokens for one in each)
    cached = [one.prompt_tokens_details.cached_tokens for one in each]
    assert usage.prompt_tokens_details.cached_tokens == sum(cached)
    assert min(cached) >= 64


def test_more_answers_than_ever_stand_in_line_are_no_matter_of_trying_again(client, running):
    assert running.served[0].engine.limits.waiting == 64
    with pytest.raises(openai.BadRequestError, match="65 answers are asked for at once, and no more than 64"):
        client.completions.create(model=MODEL, prompt=["a"] * 65, max_tokens=1)
    with pytest.raises(openai.BadRequestError, match="80 answers"):
        client.completions.create(model=MODEL, prompt=["a"] * 5, n=16, max_tokens=1, stream=True)
