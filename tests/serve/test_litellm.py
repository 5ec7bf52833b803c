"""litellm against the running server: its names for errors, its streams, its structured answers."""

import asyncio
import json
import os

import pytest
from tests.serve.serving import Running, door, serving

from fonderie.serve.access import Rules
from fonderie.serve.api.app import make_api

# Its list of prices would be fetched when it is imported.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
litellm = pytest.importorskip("litellm")

MESSAGES = [{"role": "user", "content": "Que fait le chat ?"}]


@pytest.fixture
def ask(running: Running):
    return {
        "model": "openai/toy-0.1.0",
        "messages": MESSAGES,
        "api_base": f"{running.url}/v1",
        "api_key": "none",
        "seed": 3,
        "max_tokens": 24,
        "num_retries": 0,
    }


def test_whole_and_streamed_it_says_the_same(ask):
    whole = litellm.completion(**ask)
    text = whole.choices[0].message.content
    assert text
    chunks = list(litellm.completion(**ask, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == text
    rebuilt = litellm.stream_chunk_builder(chunks, messages=MESSAGES)
    assert rebuilt.choices[0].message.content == text
    assert rebuilt.usage.completion_tokens == whole.usage.completion_tokens
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens


def test_asynchronously_too(ask):
    async def main() -> tuple[str, str]:
        whole = await litellm.acompletion(**ask)
        text = ""
        async for chunk in await litellm.acompletion(**ask, stream=True):
            text += chunk.choices[0].delta.content or ""
        return whole.choices[0].message.content, text

    whole, streamed = asyncio.run(main())
    assert whole == streamed


def test_a_schema_is_kept_to(ask):
    schema = {
        "type": "object",
        "properties": {"legs": {"type": "integer", "minimum": 0, "maximum": 9}},
        "required": ["legs"],
        "additionalProperties": False,
    }
    answer = litellm.completion(
        **{**ask, "max_tokens": 100},
        response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema, "strict": True}},
    )
    assert 0 <= json.loads(answer.choices[0].message.content)["legs"] <= 9


def test_text_completions_and_embeddings(ask):
    where = {name: ask[name] for name in ("model", "api_base", "api_key")}
    text = litellm.text_completion(
        **{**where, "model": "text-completion-openai/toy-0.1.0"}, prompt="Le chat", max_tokens=8, seed=1
    )
    assert text.choices[0].text
    found = litellm.embedding(**where, input=["Le chat", "Une voisine"], encoding_format="float")
    assert len(found.data) == 2


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"model": "openai/other"}, "NotFoundError"),
        ({"max_tokens": 100_000}, "ContextWindowExceededError"),
        ({"temperature": 9.0}, "BadRequestError"),
    ],
)
def test_errors_have_the_classes_that_it_gives_to_openais(ask, settings, error):
    with pytest.raises(getattr(litellm, error)):
        litellm.completion(**{**ask, **settings})


def test_a_missing_key_is_an_authentication_error(small, tmp_path, ask):
    def make(served):
        return make_api({one.name: one for one in served}, door(tmp_path, Rules(require_key=True)))

    with serving([small.release], make) as closed, pytest.raises(litellm.AuthenticationError):
        litellm.completion(**{**ask, "api_base": f"{closed.url}/v1"})
