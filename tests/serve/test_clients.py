"""Other people's clients against the running server: what they send is taken, what they get is understood."""

import asyncio
import base64
import json
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx2
import openai
import pytest
from tests.serve.serving import door, serving

from fonderie.serve.api.app import make_api
from fonderie.serve.engine.engine import QueueFullError
from fonderie.serve.engine.request import Request
from fonderie.serve.served import Served

MESSAGES = [{"role": "user", "content": "Que fait le chat ?"}]


def test_models_are_listed(client):
    (model,) = client.models.list().data
    assert model.id == "toy-0.1.0"
    assert client.models.retrieve("toy-0.1.0").object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other")


def test_the_same_seed_gives_the_same_answer_streamed_or_not(client):
    settings = {"model": "toy-0.1.0", "messages": MESSAGES, "seed": 5, "max_tokens": 40}
    whole = client.chat.completions.create(**settings)
    again = client.chat.completions.create(**settings)
    chunks = list(client.chat.completions.create(**settings, stream=True, stream_options={"include_usage": True}))
    text = whole.choices[0].message.content
    assert text
    assert again.choices[0].message.content == text
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == text
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason in ("length", "stop")
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    assert whole.system_fingerprint.startswith("fp_")


def test_several_choices_differ_and_the_first_is_the_seeds(client):
    settings = {"model": "toy-0.1.0", "messages": MESSAGES, "seed": 5, "max_tokens": 30}
    one = client.chat.completions.create(**settings)
    three = client.chat.completions.create(**settings, n=3)
    texts = [choice.message.content for choice in three.choices]
    assert texts[0] == one.choices[0].message.content
    assert len(set(texts)) == 3
    assert three.usage.prompt_tokens == one.usage.prompt_tokens
    streamed = ["", "", ""]
    for chunk in client.chat.completions.create(**settings, n=3, stream=True):
        streamed[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert streamed == texts


def test_log_probabilities_come_for_each_token(client):
    answer = client.chat.completions.create(
        model="toy-0.1.0", messages=MESSAGES, seed=1, max_tokens=20, logprobs=True, top_logprobs=3
    )
    entries = answer.choices[0].logprobs.content
    # A stop token counts as said, and has no entry.
    assert answer.usage.completion_tokens - len(entries) in (0, 1)
    assert all(len(entry.top_logprobs) == 3 and entry.logprob <= 0 for entry in entries)
    spelt = b"".join(bytes(entry.bytes) for entry in entries).decode("utf-8", "replace")
    assert spelt == answer.choices[0].message.content


def test_json_of_a_schema_comes_out_of_any_model(client):
    schema = {
        "type": "object",
        "properties": {"chat": {"type": "boolean"}, "nombre": {"type": "integer", "maximum": 99}},
        "required": ["chat", "nombre"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model="toy-0.1.0",
        messages=MESSAGES,
        response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema, "strict": True}},
    )
    found = json.loads(answer.choices[0].message.content)
    assert set(found) == {"chat", "nombre"}
    with pytest.raises(openai.BadRequestError, match="not supported"):
        client.chat.completions.create(
            model="toy-0.1.0",
            messages=MESSAGES,
            response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {"$ref": "http://x/y"}}},
        )


def test_json_mode_gives_an_object_and_nothing_else(client, running):
    (served,) = running.served
    brace = served.tokenizer.encode("}")[0]
    settings = {"model": "toy-0.1.0", "messages": MESSAGES, "response_format": {"type": "json_object"}, "seed": 2}
    short = client.chat.completions.create(**settings, logit_bias={str(brace): 100}).choices[0]
    assert isinstance(json.loads(short.message.content), dict)
    assert short.finish_reason == "stop"
    cut = client.chat.completions.create(**settings, max_tokens=3).choices[0]
    assert cut.message.content.startswith("{")


def test_completions_take_text_and_tokens_and_echo_log_probabilities(client):
    prompt = [0, 60, 61, 62, 63, 64]
    answer = client.completions.create(
        model="toy-0.1.0", prompt=[prompt, prompt[:4]], max_tokens=1, echo=True, logprobs=1, temperature=0
    )
    first, second = (choice.logprobs for choice in answer.choices)
    assert len(first.tokens) == 7
    assert first.token_logprobs[0] is None
    assert first.top_logprobs[0] is None
    assert second.token_logprobs[:4] == first.token_logprobs[:4]
    for value, top in zip(first.token_logprobs[1:], first.top_logprobs[1:], strict=True):
        assert max(top.values()) >= value
    text = client.completions.create(model="toy-0.1.0", prompt="Le vieux facteur", max_tokens=8, seed=3)
    streamed = client.completions.create(
        model="toy-0.1.0", prompt="Le vieux facteur", max_tokens=8, seed=3, stream=True
    )
    assert "".join(chunk.choices[0].text for chunk in streamed) == text.choices[0].text


def test_embeddings_come_as_the_client_asks_for_them(client, running):
    found = client.embeddings.create(model="toy-0.1.0", input=["Le chat", "Le chat", "Une voisine"]).data
    assert found[0].embedding == found[1].embedding != found[2].embedding
    assert sum(value * value for value in found[0].embedding) == pytest.approx(1, abs=1e-5)
    raw = client.embeddings.create(model="toy-0.1.0", input="Le chat", encoding_format="base64").data[0].embedding
    data = base64.b64decode(raw)
    assert list(struct.unpack(f"<{len(data) // 4}f", data)) == pytest.approx(found[0].embedding)


@pytest.mark.parametrize(
    ("settings", "param", "code"),
    [
        ({"temperature": 3}, "temperature", "invalid_value"),
        ({"n": 0}, "n", "invalid_value"),
        ({"max_tokens": 10_000}, "max_tokens", "context_length_exceeded"),
        ({"tools": [{"type": "function", "function": {"name": "a"}}]}, "tools", "unsupported_parameter"),
        ({"logit_bias": {"99999": 1}}, "logit_bias", "invalid_value"),
        ({"messages": [{"role": "user", "content": "a" * 1_000_000}]}, "messages", "context_length_exceeded"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages", "invalid_value"),
        ({"extra_body": {"mirostat": 1}}, "mirostat", "unsupported_parameter"),
        ({"top_logprobs": 2}, "top_logprobs", "invalid_value"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
        ({"logit_bias": {"\u0663": 1}}, "logit_bias", "invalid_value"),
        ({"extra_body": {"repetition_penalty": 1e-300}}, "repetition_penalty", "invalid_value"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(client, settings, param, code):
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(**{"model": "toy-0.1.0", "messages": MESSAGES, **settings})
    assert (error.value.param, error.value.code) == (param, code)
    assert error.value.request_id.startswith("req_")


def test_many_at_once_each_get_what_they_get_alone(running):
    async def ask(client: openai.AsyncOpenAI, seed: int) -> str:
        text = ""
        async for chunk in await client.chat.completions.create(
            model="toy-0.1.0", messages=MESSAGES, seed=seed, max_tokens=20, stream=True
        ):
            text += chunk.choices[0].delta.content or ""
        return text

    async def main() -> None:
        async with openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key="none") as client:
            together = await asyncio.gather(*(ask(client, seed) for seed in range(24)))
            alone = [await ask(client, seed) for seed in (0, 11, 23)]
        assert alone == [together[0], together[11], together[23]]

    asyncio.run(main())


BANNED = {"logit_bias": {"1": -100, "2": -100}}


@pytest.fixture(scope="module")
def narrow(small, tmp_path_factory):
    """A server that answers one and lets one more wait."""

    def make(served):
        return make_api({one.name: one for one in served}, door(tmp_path_factory.mktemp("narrow")))

    with serving([small.release], make, batch=1, waiting=1) as found:
        yield found


@contextmanager
def crowd(engine):
    """Others ask for long answers whenever there is room in the line, until they leave."""
    left, numbers = threading.Event(), []

    def ask() -> None:
        while not left.is_set():
            try:
                numbers.append(engine.submit(Request((0, 60, 61), 400)))
            except QueueFullError:
                left.wait(0.001)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield left
    finally:
        left.set()
        thread.join()
        for number in numbers:
            engine.cancel(number)


def refused(client: openai.OpenAI, settings: dict[str, object]) -> openai.RateLimitError:
    for _ in range(50):  # now and then a question slips in when an answer has just ended
        try:
            client.chat.completions.create(**settings)
        except openai.RateLimitError as error:
            return error
    raise AssertionError("nobody is turned away")


def test_a_full_line_is_a_rate_limit_that_the_client_waits_for_and_tries_again(narrow):
    (served,) = narrow.served
    settings = {"model": "toy-0.1.0", "messages": MESSAGES, "max_tokens": 2}
    with openai.OpenAI(base_url=f"{narrow.url}/v1", api_key="none", max_retries=0) as client:
        client.chat.completions.create(**settings)  # from now on it knows how long an answer takes
        with crowd(served.engine) as left:
            error = refused(client, settings)
            assert error.code == "overloaded"
            assert 1 <= int(error.response.headers["retry-after"]) <= 10
            patient = client.with_options(max_retries=8)
            with ThreadPoolExecutor(1) as other:
                answer = other.submit(lambda: patient.chat.completions.create(**settings))
                time.sleep(0.3)
                left.set()
                assert answer.result(30).choices


def nobody_is_left(served: Served) -> None:
    """Within five seconds of their leaving: the engine looks for them once a round."""
    deadline = time.monotonic() + 5
    while (served.engine.load().running or served.engine.load().waiting) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (served.engine.load().running, served.engine.load().waiting) == (0, 0)


def test_who_has_no_patience_gives_up_and_the_engine_too(running):
    (served,) = running.served
    with (
        openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0, timeout=0.1) as client,
        pytest.raises(openai.APITimeoutError),
    ):
        client.chat.completions.create(
            model="toy-0.1.0", messages=MESSAGES, max_tokens=400, n=16, extra_body=BANNED
        )
    nobody_is_left(served)


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_the_line_is_forgotten_at_once_streamed_or_not(running, stream):
    (served,) = running.served
    others = [served.engine.submit(Request((0, 60, 61), 500)) for _ in range(60)]

    def in_line() -> int:
        return sum(served.engine.position(number) is not None for number in others)

    with (
        openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0, timeout=0.2) as client,
        pytest.raises(openai.APITimeoutError),
    ):
        client.chat.completions.create(model="toy-0.1.0", messages=MESSAGES, stream=stream)
    while served.engine.load().waiting > in_line() > 0:
        time.sleep(0.01)
    assert in_line() > 0, "who left stood in line until its turn came"
    for number in others:
        served.engine.cancel(number)
    nobody_is_left(served)


HALF = "\ud83e"
"""Of a surrogate pair: JSON can say it, and it is no text."""


@pytest.mark.parametrize(
    ("path", "fields", "said"),
    [
        ("completions", {"prompt": []}, "prompt: List should have at least 1 item"),
        ("completions", {"prompt": [1, "a"]}, "prompt.1: Input should be a valid integer"),
        ("completions", {"prompt": ["a"] * 257}, "prompt: List should have at most 256 items"),
        ("completions", {"prompt": "a", "stop": [""]}, "stop.0: String should have at least 1 character"),
        ("completions", {"prompt": "a", "stop": list("abcde")}, "stop: List should have at most 4 items"),
        ("completions", {"prompt": HALF}, "prompt: this is no text: it holds half of a surrogate pair"),
        ("completions", {"prompt": ["a", HALF]}, "prompt.1: this is no text"),
        ("embeddings", {"input": HALF}, "input: this is no text"),
        ("responses", {"input": HALF}, "input: this is no text"),
        ("responses", {"input": "a", "instructions": HALF}, "instructions: this is no text"),
        ("responses", {"input": "a", "metadata": {"a": HALF}}, "metadata.a: this is no text"),
        ("chat/completions", {"messages": [{"role": "user", "content": HALF}]}, "messages.0.content: this is no"),
        (
            "chat/completions",
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "a"}}]}]},
            "messages.0.content.0.type: Input should be 'text'",
        ),
        ("chat/completions", [], "the body: this is no JSON object"),
    ],
)
def test_the_problem_is_told_where_it_is_and_not_as_python_sees_it(running, path, fields, said):
    body = {"model": "toy-0.1.0", **fields} if isinstance(fields, dict) else fields
    with httpx2.Client(base_url=running.url, trust_env=False) as plain:
        # Escaped, as no client of Python's would send half a pair otherwise.
        answer = plain.post(
            f"/v1/{path}", content=json.dumps(body).encode(), headers={"content-type": "application/json"}
        )
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["message"].startswith(said)


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "content-type is missing: send application/json"),
        ({"content-type": "application/x-www-form-urlencoded"}, "is 'application/x-www-form-urlencoded'"),
        ({"content-type": "application/json", "content-encoding": "gzip"}, "send no content-encoding"),
    ],
)
def test_a_body_that_is_not_said_to_be_json_is_told_what_it_should_be(running, headers, said):
    body = json.dumps({"model": "toy-0.1.0", "messages": MESSAGES, "max_tokens": 1}).encode()
    with httpx2.Client(base_url=running.url, trust_env=False) as plain:
        answer = plain.post("/v1/chat/completions", content=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]["type"]) == (415, "invalid_request_error")
        assert said in answer.json()["error"]["message"]
        utf8 = {"content-type": "Application/JSON; charset=utf-8"}
        assert plain.post("/v1/chat/completions", content=body, headers=utf8).status_code == 200


def test_the_document_says_what_errors_look_like_and_what_fields_mean(running):
    with httpx2.Client(base_url=running.url, trust_env=False) as plain:
        document = plain.get("/openapi.json").json()
    answers = document["paths"]["/v1/chat/completions"]["post"]["responses"]
    assert set(answers) == {"200", "401", "429", "4XX", "5XX"}
    form = answers["4XX"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
    assert set(document["components"]["schemas"][form]["properties"]) == {"error"}
    fields = document["components"]["schemas"]["ChatFields"]["properties"]
    assert fields["stop"]["description"].startswith("Up to four texts")
    assert not [name for name in document["components"]["schemas"] if "__" in name], "two classes of one name"


def test_asynchronously_errors_have_the_same_classes(running):
    async def main() -> None:
        async with openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0) as client:
            settings = {"model": "toy-0.1.0", "messages": MESSAGES}
            with pytest.raises(openai.NotFoundError):
                await client.chat.completions.create(**{**settings, "model": "other"})
            with pytest.raises(openai.BadRequestError) as error:
                await client.chat.completions.create(**settings, stream=True, temperature=3)
            assert error.value.param == "temperature"
            with pytest.raises(openai.BadRequestError):
                await client.completions.create(model="toy-0.1.0", prompt="a", echo=True, stream=True)

    asyncio.run(main())


def test_min_p_top_k_and_penalties_reach_the_engine(client):
    settings = {"model": "toy-0.1.0", "messages": MESSAGES, "seed": 5, "max_tokens": 30}
    greedy = client.chat.completions.create(**settings, temperature=0).choices[0].message.content
    for narrowed in ({"min_p": 1.0}, {"top_k": 1}):
        assert client.chat.completions.create(**settings, extra_body=narrowed).choices[0].message.content == greedy
    assert client.chat.completions.create(**settings, top_p=1e-9).choices[0].message.content == greedy
    for changed in ({"frequency_penalty": 2.0}, {"extra_body": {"repetition_penalty": 5.0}}):
        answer = client.chat.completions.create(**settings, temperature=0, **changed)
        assert answer.choices[0].message.content != greedy
