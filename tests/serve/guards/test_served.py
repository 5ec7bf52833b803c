"""Guards in front of a running server: every route, streamed or not, and the log-probabilities with the text."""

from collections.abc import Callable
from dataclasses import replace

import openai
import pytest
from tests.serve.serving import Running, door, serving

from fonderie.serve.api.app import make_api
from fonderie.serve.guards.guards import Guards
from fonderie.serve.guards.rules import GuardFile
from fonderie.serve.served import Served

GUARDED = "guarded"
SENTENCE = "Le renard dort dans la forêt, et le chat noir court vers la rue."
SCHEMA = {
    "type": "object",
    "properties": {"dit": {"const": SENTENCE}},
    "required": ["dit"],
    "additionalProperties": False,
}
"""Makes a model that knows nothing say something known, token by token."""
PLAIN = f'{{"dit": "{SENTENCE}"}}'
TERM = "chat noir"
ASKED = {
    "messages": [{"role": "user", "content": "Que fait le chat ?"}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}},
}


@pytest.fixture(scope="module")
def models() -> dict[str, Served]:
    return {}


@pytest.fixture(scope="module")
def running(small, models, tmp_path_factory):
    def make(served):
        # One release twice: as it is, and behind guards, which each test chooses.
        models.update({"plain": served[0], GUARDED: replace(served[0], name=GUARDED)})
        return make_api(models, door(tmp_path_factory.mktemp("database")))

    with serving([small.release], make) as found:
        yield found


@pytest.fixture
def client(running: Running):
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0) as found:
        yield found


@pytest.fixture
def guard(models) -> Callable[..., Guards]:
    """Put guards before the model that is called "guarded"."""

    def put(term: str, **modes: str) -> Guards:
        category = {"test": {**modes, "rules": [{"language": "fr", "terms": [term]}]}}
        guards = Guards(GuardFile.model_validate({"format": 1, "category": category}))
        models[GUARDED] = replace(models[GUARDED], guards=guards)
        return guards

    return put


def test_an_answer_is_cut_off_before_what_is_blocked_streamed_or_not(client, guard):
    guards = guard(TERM, after="block")
    whole = client.chat.completions.create(**ASKED, model=GUARDED).choices[0]
    assert whole.finish_reason == "content_filter"
    assert whole.model_extra == {"blocked_by": "test"}
    assert whole.message.content == PLAIN[: PLAIN.index(TERM)]
    chunks = list(client.chat.completions.create(**ASKED, model=GUARDED, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.message.content
    assert chunks[-1].choices[0].finish_reason == "content_filter"
    assert guards.counts == {("test", "after"): 2}
    response = client.responses.create(
        model=GUARDED,
        input=ASKED["messages"][0]["content"],
        text={"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}},
    )
    assert response.output_text == whole.message.content
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "content_filter")


def test_log_probabilities_are_held_back_with_their_text(client, guard):
    guard(TERM, after="block")
    chunks = list(client.chat.completions.create(**ASKED, model=GUARDED, stream=True, logprobs=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    entries = [
        entry for chunk in chunks if chunk.choices[0].logprobs for entry in chunk.choices[0].logprobs.content
    ]
    spelt = b"".join(bytes(entry.bytes) for entry in entries).decode("utf-8", "replace")
    assert text.startswith(spelt)
    assert PLAIN.startswith(text)
    guard("jamais dit", after="block")
    chunks = list(client.chat.completions.create(**ASKED, model=GUARDED, stream=True, logprobs=True))
    entries = [
        entry for chunk in chunks if chunk.choices[0].logprobs for entry in chunk.choices[0].logprobs.content
    ]
    assert b"".join(bytes(entry.bytes) for entry in entries).decode("utf-8", "replace") == PLAIN


def test_what_is_let_through_is_unchanged_and_says_what_it_warns_of(client, guard):
    guard(TERM, after="warn")
    whole = client.chat.completions.create(**ASKED, model=GUARDED).choices[0]
    assert whole.message.content == PLAIN
    assert whole.model_extra == {"warnings": ["test"]}
    guards = guard("chat", before="warn", after="log")
    chunks = list(client.chat.completions.create(**ASKED, model=GUARDED, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == PLAIN
    assert chunks[-1].choices[0].model_extra == {"warnings": ["test"]}
    assert guards.counts["test", "before"] == 1
    text = client.completions.create(model=GUARDED, prompt="Le chat", max_tokens=3, seed=1).choices[0]
    assert text.model_extra["warnings"] == ["test"]


def test_a_blocked_question_is_refused_with_its_category_on_every_route(client, guard):
    guard("fait le chat", before="block")
    for ask in (
        lambda: client.chat.completions.create(**ASKED, model=GUARDED),
        lambda: client.chat.completions.create(**ASKED, model=GUARDED, stream=True),
        lambda: client.completions.create(model=GUARDED, prompt="Que fait le chat", max_tokens=3),
        lambda: client.responses.create(model=GUARDED, input="Que fait le chat ?"),
    ):
        with pytest.raises(openai.BadRequestError) as error:
            ask()
        assert error.value.code == "content_policy"
        assert error.value.body["category"] == "test"
        assert "chat" not in error.value.body["message"]
    # The marks between turns keep the words of two turns apart, and make one word of nothing.
    guard("fait le chat que", before="block")
    turns = (("user", "Que fait"), ("assistant", "le chat"), ("user", "que"))
    messages = [{"role": role, "content": content} for role, content in turns]
    client.chat.completions.create(model=GUARDED, messages=messages, max_tokens=1)
    guard("fait", before="block")
    with pytest.raises(openai.BadRequestError, match="guards found test"):
        client.chat.completions.create(model=GUARDED, messages=messages, max_tokens=1)


def test_tokens_given_as_numbers_are_no_way_around(client, guard, models):
    ids = models[GUARDED].tokenizer.encode("Que fait le chat ?")
    guard("fait le chat", before="block")
    with pytest.raises(openai.BadRequestError, match="guards found test"):
        client.completions.create(model=GUARDED, prompt=ids, max_tokens=3)
    # Nothing is generated: nothing to guard.
    client.completions.create(model=GUARDED, prompt=ids, max_tokens=0, echo=True, logprobs=1)
    client.embeddings.create(model=GUARDED, input="Que fait le chat ?")
