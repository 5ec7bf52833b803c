"""A service of ours as the upstream of another: a real server of vLLM's parameters, and the answers must be the same."""

import asyncio
import json
import time

import openai
import pytest
from tests.serve.serving import serving
from tests.serve.upstream.proxying import make, proxying

MODEL = "toy-0.1.0"
MESSAGES = [{"role": "user", "content": "Que fait le chat ?"}]
SCHEMA = {
    "type": "object",
    "properties": {"nom": {"enum": ["renard", "ours"]}, "pattes": {"enum": [2, 4]}},
    "required": ["nom", "pattes"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "animal", "schema": SCHEMA}}


@pytest.fixture(scope="module")
def behind(small, tmp_path_factory):
    with serving([small.release], make(tmp_path_factory.mktemp("behind")), waiting=64) as found:
        yield found


@pytest.fixture(scope="module")
def front(small, behind, tmp_path_factory):
    with proxying(small.release, tmp_path_factory.mktemp("front"), behind.url, batch=4, waiting=64) as found:
        yield found


@pytest.fixture(scope="module")
def clients(behind, front):
    """One that asks our engine, and one that asks through the front."""
    with (
        openai.OpenAI(base_url=f"{behind.url}/v1", api_key="none", max_retries=0) as own,
        openai.OpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0) as through,
    ):
        yield own, through


def answered(found):
    return [
        (choice.message.content, choice.finish_reason, choice.logprobs) for choice in found.choices
    ], found.usage


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0},
        {"seed": 7},
        {"seed": 7, "n": 3},
        {"seed": 3, "max_tokens": 2},
        {"seed": 3, "stop": ["e", "zzz"]},
        {"seed": 3, "top_p": 0.5, "presence_penalty": 1.5, "frequency_penalty": 0.5},
        {"seed": 3, "extra_body": {"top_k": 3, "min_p": 0.1, "repetition_penalty": 1.3}},
        {"seed": 3, "logit_bias": {"70": 100}, "max_tokens": 5},
        {"seed": 3, "logprobs": True, "top_logprobs": 2},
        {"seed": 3, "logprobs": True, "stop": ["e"]},
        {"seed": 3, "response_format": FORMAT},
    ],
    ids=" ".join,
)
def test_the_answer_is_that_of_our_own_engine(clients, settings):
    asked = {"model": MODEL, "messages": MESSAGES, "max_tokens": 40, **settings}
    own, through = (answered(client.chat.completions.create(**asked)) for client in clients)
    # What the upstream's cache holds depends on who asked before.
    own[1].prompt_tokens_details = through[1].prompt_tokens_details = None
    assert through == own
    streamed = [""] * settings.get("n", 1)
    for chunk in clients[1].chat.completions.create(**asked, stream=True):
        streamed[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert streamed == [text for text, _, _ in own[0]]


@pytest.mark.parametrize(
    "settings",
    [
        {"echo": True, "logprobs": 2, "max_tokens": 1},
        {"echo": True, "logprobs": 2, "max_tokens": 0},
        {"echo": True, "max_tokens": 2},
        {"logprobs": 1, "max_tokens": 6},
        {"max_tokens": 0},
        {"max_tokens": 6, "extra_body": {"return_token_ids": True, "stop_token_ids": [70, 71]}},
    ],
    ids=" ".join,
)
def test_so_are_completions_and_their_log_probabilities(clients, settings):
    asked = {"model": MODEL, "prompt": [[0, 60, 61, 62, 63], [0, 90, 91]], "temperature": 0, **settings}
    own, through = (client.completions.create(**asked) for client in clients)
    assert [choice.to_dict() for choice in through.choices] == [choice.to_dict() for choice in own.choices]
    assert through.usage.completion_tokens == own.usage.completion_tokens


def test_responses_and_tokens_work_as_well(clients, front):
    own, through = (
        client.responses.create(model=MODEL, input="Bonjour", max_output_tokens=8, extra_body={"seed": 2})
        for client in clients
    )
    assert through.output_text == own.output_text
    found = clients[1].post("/../tokenize", cast_to=object, body={"model": MODEL, "prompt": "Le chat"})
    assert found == clients[0].post("/../tokenize", cast_to=object, body={"model": MODEL, "prompt": "Le chat"})


def test_what_the_upstream_cannot_do_is_declared_and_refused_by_name(clients):
    (model,) = clients[1].models.list().data
    assert (model.engine, model.digest) == ("vllm", clients[0].models.retrieve(MODEL).digest)
    assert set(model.capabilities) == {"echo_logprobs", "json_schema", "logprobs", "presence_and_frequency_penalty"}
    assert {"embeddings", "same_seed_same_answer"} < set(clients[0].models.retrieve(MODEL).capabilities)
    with pytest.raises(openai.BadRequestError) as error:
        clients[1].embeddings.create(model=MODEL, input="Le chat")
    assert (error.value.param, error.value.code) == ("model", "unsupported_parameter")


def test_a_client_that_leaves_frees_the_upstream(behind, front):
    async def main() -> None:
        async with openai.AsyncOpenAI(base_url=f"{front.url}/v1", api_key="none") as client:
            streams = [
                await client.completions.create(
                    model=MODEL, prompt="Le chat", max_tokens=490, stream=True, extra_body={"ignore_eos": True}
                )
                for _ in range(4)
            ]
            for stream in streams:
                await anext(aiter(stream))
                await stream.close()

    asyncio.run(main())
    deadline = time.monotonic() + 20
    engines = (front.served[0].engine, behind.served[0].engine)
    while any(engine.load().running or engine.load().waiting for engine in engines):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    # 4 answers of 490 tokens were asked for; whoever had said them all would show it here.
    assert behind.served[0].engine.load().answer_tokens < 4 * 490


def test_more_than_are_asked_at_once_stand_in_line(front):
    async def main() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0) as client:
            asked = [
                client.chat.completions.create(
                    model=MODEL, messages=MESSAGES, max_tokens=30, seed=4, response_format=FORMAT
                )
                for _ in range(12)
            ]
            return [answer.choices[0].message.content or "" for answer in await asyncio.gather(*asked)]

    answers = asyncio.run(main())
    assert len(set(answers)) == 1
    assert set(json.loads(answers[0])) == {"nom", "pattes"}
