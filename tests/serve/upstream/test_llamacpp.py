"""llama.cpp's llama-server as the upstream: what it is asked, and its own words (build 11434) understood."""

import json

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serve.upstream.proxying import proxying, scripted, told

from fonderie.serve.upstream.llamacpp_schema import passed_over_in
from fonderie.tokens.tokenizer import Tokenizer

MODEL = "toy-0.1.0"
MESSAGES = [{"role": "user", "content": "Combien ?"}]
CONTEXT = 256


def chunk(text: str, number: int) -> dict[str, object]:
    """As llama-server writes a piece."""
    return {
        "index": 0,
        "content": text,
        "tokens": [30],
        "stop": False,
        "id_slot": -1,
        "tokens_predicted": number,
        "tokens_evaluated": 6,
    }


def last(stop_type: str, number: int) -> dict[str, object]:
    """As llama-server ends a stream; shortened."""
    return {
        "index": 0,
        "content": "",
        "tokens": [],
        "id_slot": 6,
        "stop": True,
        "model": "demo.gguf",
        "tokens_predicted": number,
        "tokens_evaluated": 6,
        "truncated": False,
        "stop_type": stop_type,
        "stopping_word": "",
        "tokens_cached": 14,
        "timings": {"cache_n": 2, "prompt_n": 4, "predicted_n": number},
    }


@pytest.fixture(scope="module")
def upstream(small):
    tokenizer = Tokenizer(small.release)

    def detokenize(data: bytes) -> tuple[int, bytes]:
        return 200, json.dumps({"content": tokenizer.decode(json.loads(data)["tokens"])}).encode()

    props = json.dumps({"default_generation_settings": {"n_ctx": CONTEXT}, "total_slots": 8}).encode()
    said = told(chunk("9", 1), chunk(" ×", 2), chunk("", 3), last("eos", 3))
    with scripted(
        {
            "/props": lambda _: (200, props),
            "/health": lambda _: (200, b'{"status":"ok"}'),
            "/detokenize": detokenize,
            "/completion": lambda _: (200, said),
        }
    ) as found:
        yield found


@pytest.fixture(scope="module")
def client(small, upstream, tmp_path_factory):
    with (
        proxying(small.release, tmp_path_factory.mktemp("front"), upstream.url, kind="llamacpp") as front,
        openai.OpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0) as found,
    ):
        yield found


def test_it_is_asked_with_tokens_and_with_every_setting(client, upstream, small):
    answer = client.chat.completions.create(
        model=MODEL,
        messages=MESSAGES,
        seed=2**40,
        temperature=0.5,
        max_tokens=7,
        stop="Z",
        logit_bias={"5": -100},
        extra_body={"repetition_penalty": 1.2, "top_k": 4},
    )
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("9 ×", "stop")
    assert (answer.usage.completion_tokens, answer.usage.prompt_tokens_details.cached_tokens) == (3, 2)
    asked = upstream.posted[-1]
    prompt = Tokenizer(small.release).encode("Combien ?")
    assert prompt == [token for token in asked["prompt"] if token in prompt]
    assert asked["n_predict"] == 7
    assert asked["samplers"] == ["penalties", "temperature", "top_k", "top_p", "min_p"]
    assert (asked["temperature"], asked["top_k"], asked["top_p"], asked["min_p"]) == (0.5, 4, 1.0, 0.0)
    assert (asked["repeat_penalty"], asked["repeat_last_n"]) == (1.2, CONTEXT)
    assert 0 <= asked["seed"] < 2**32 - 1
    assert (asked["logit_bias"], asked["stop"]) == ([[5, -100.0]], ["Z"])


def test_its_context_is_what_models_say(client):
    model = client.models.retrieve(MODEL)
    assert (model.max_model_len, model.engine, model.capabilities) == (CONTEXT, "llamacpp", ["json_schema"])


@pytest.mark.parametrize(
    ("settings", "param"),
    [
        ({"logprobs": True}, "logprobs"),
        ({"presence_penalty": 1}, "presence_penalty"),
        ({"frequency_penalty": 1}, "frequency_penalty"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "a", "schema": {"type": "string", "pattern": "a+"}},
                }
            },
            "response_format",
        ),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(client, upstream, settings, param):
    before = len(upstream.posted)
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model=MODEL, messages=MESSAGES, **settings)
    assert (error.value.param, error.value.code) == (param, "unsupported_parameter")
    with pytest.raises(openai.BadRequestError) as error:
        client.completions.create(model=MODEL, prompt="a", echo=True, logprobs=1)
    assert error.value.param == "echo"
    assert len(upstream.posted) == before


def test_responses_call_it_by_their_own_names(client):
    pattern = {"type": "json_schema", "name": "a", "schema": {"type": "string", "pattern": "a+"}}
    logprobs = ["message.output_text.logprobs"]
    for asked, param in (({"text": {"format": pattern}}, "text"), ({"include": logprobs}, "include")):
        for stream in (False, True):
            with pytest.raises(openai.BadRequestError) as error:
                client.responses.create(model=MODEL, input="Combien ?", stream=stream, **asked)
            assert (error.value.param, error.value.code) == (param, "unsupported_parameter")


def test_it_ends_by_its_own_reasons(client, upstream):
    for stop_type, reason in (("limit", "length"), ("word", "stop"), ("eos", "stop")):
        upstream.answers["/completion"] = lambda _, kind=stop_type: (200, told(chunk("a", 1), last(kind, 1)))
        answer = client.chat.completions.create(model=MODEL, messages=MESSAGES)
        assert answer.choices[0].finish_reason == reason


def test_its_own_errors_are_told(client, upstream):
    problem = {"error": {"code": 400, "message": "JSON schema conversion failed", "type": "invalid_request_error"}}
    upstream.answers["/completion"] = lambda _: (400, json.dumps(problem).encode())
    with pytest.raises(openai.BadRequestError, match="JSON schema conversion failed") as error:
        client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert error.value.code == "refused_upstream"
    upstream.answers["/completion"] = lambda _: (503, b'{"error":{"message":"Loading model","code":503}}')
    with pytest.raises(openai.InternalServerError) as error:
        client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert error.value.status_code == 503
    upstream.answers["/completion"] = lambda _: (200, told(chunk("a", 1), problem))
    with pytest.raises(openai.APIError, match="breaks an answer off"):
        list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))


@pytest.mark.parametrize(
    ("schema", "passed_over"),
    [
        ({"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]}, None),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "integer", "minimum": 3}}, "title": "A"}, None),
        ({"type": "string", "format": "date"}, None),
        ({"anyOf": [{"const": 1}, {"enum": ["a"]}]}, None),
        ({"type": "string", "format": "email"}, "format"),
        ({"type": "number", "minimum": 3}, "minimum"),
        ({"type": "array", "items": {"type": "string", "pattern": "a"}}, "pattern"),
        ({"anyOf": [{"type": "string"}], "minLength": 3}, "minLength"),
        ({"$ref": "#/$defs/a", "anyOf": [], "$defs": {"a": {}}}, "anyOf"),
        ({"type": "object", "properties": {"a": {"not": {}}}}, "not"),
        ({"oneOf": [{"type": "string"}]}, "oneOf"),
        ({"type": "object", "required": ["a"]}, "required, of what is not among properties,"),
    ],
)
def test_schemas_that_its_grammars_do_not_hold_to_are_known(schema, passed_over):
    assert passed_over_in(schema) == passed_over


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "items", "anyOf", "$ref", "required", "format", "minimum", "$defs", "x"]
            ),
            below,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(JSON)
def test_any_json_at_all_is_taken_for_a_schema(value):
    assert passed_over_in(value) is None or isinstance(value, dict)
    if isinstance(value, dict):
        assert passed_over_in({"items": {**value, "x": 1}}) is not None
