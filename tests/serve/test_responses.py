"""OpenAI's client speaks Responses with the running server: whole, streamed, parsed, refused."""

import asyncio
import json
from typing import Literal

import openai
import pytest
from pydantic import BaseModel

QUESTION = "Que fait le chat ?"
MODEL = "toy-0.1.0"


def test_the_answer_is_that_of_the_same_conversation_in_chat(client):
    settings = {"model": MODEL, "temperature": 0.8, "seed": 5}
    chat = client.chat.completions.create(
        **settings,
        messages=[{"role": "system", "content": "Sois bref."}, {"role": "user", "content": QUESTION}],
        max_tokens=30,
    )
    found = client.responses.create(
        model=MODEL,
        instructions="Sois bref.",
        input=QUESTION,
        temperature=0.8,
        max_output_tokens=30,
        extra_body={"seed": 5},
    )
    assert found.output_text == chat.choices[0].message.content != ""
    assert found.usage.input_tokens == chat.usage.prompt_tokens
    assert found.usage.output_tokens == chat.usage.completion_tokens
    assert found.store is False
    if chat.choices[0].finish_reason == "length":
        assert (found.status, found.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    else:
        assert (found.status, found.incomplete_details) == ("completed", None)


def test_an_earlier_answer_goes_back_as_it_came(client):
    first = client.responses.create(model=MODEL, input=QUESTION, max_output_tokens=10)
    said = [{"role": "user", "content": QUESTION}, *(item.to_dict() for item in first.output)]
    again = client.responses.create(
        model=MODEL, input=[*said, {"role": "user", "content": "Et puis ?"}], max_output_tokens=4
    )
    assert again.usage.input_tokens > first.usage.input_tokens + first.usage.output_tokens


def test_a_stream_is_the_documented_events_in_their_order(client):
    whole = client.responses.create(model=MODEL, input=QUESTION, max_output_tokens=20, extra_body={"seed": 3})
    events = list(
        client.responses.create(
            model=MODEL, input=QUESTION, max_output_tokens=20, stream=True, extra_body={"seed": 3}
        )
    )
    kinds = [event.type for event in events]
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * len(deltas),
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        f"response.{whole.status}",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(event.delta for event in deltas) == whole.output_text == events[-1].response.output_text
    assert events[-1].response.usage == whole.usage
    assert len({event.item_id for event in deltas} | {events[-1].response.output[0].id}) == 1


def test_the_clients_own_stream_and_parser_understand_it(client):
    class Animal(BaseModel):
        nom: Literal["renard", "ours"]
        pattes: Literal[2, 4]

    found = client.responses.parse(model=MODEL, input=QUESTION, text_format=Animal, temperature=0)
    assert isinstance(found.output_parsed, Animal)
    assert found.status == "completed"
    with client.responses.stream(model=MODEL, input=QUESTION, text_format=Animal, temperature=0) as stream:
        assert stream.get_final_response().output_parsed == found.output_parsed
    plain = client.responses.create(
        model=MODEL, input=QUESTION, text={"format": {"type": "json_object"}}, max_output_tokens=200
    )
    if plain.status == "completed":
        assert isinstance(json.loads(plain.output_text), dict)
    else:
        assert plain.output_text.startswith("{")


def test_log_probabilities_are_included_where_they_are_asked_for(client):
    found = client.responses.create(
        model=MODEL,
        input=QUESTION,
        max_output_tokens=8,
        text={"format": {"type": "json_object"}},  # no special token comes then, which text leaves out
        include=["message.output_text.logprobs"],
        top_logprobs=2,
    )
    entries = found.output[0].content[0].logprobs
    assert all(len(entry.top_logprobs) == 2 for entry in entries)
    assert b"".join(bytes(entry.bytes) for entry in entries).decode("utf-8", "replace") == found.output_text
    assert (
        client.responses.create(model=MODEL, input=QUESTION, max_output_tokens=2).output[0].content[0].logprobs
        == []
    )


def test_an_asynchronous_client_asks_many_at_once(running):
    async def main() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key="none") as client:
            asked = [
                client.responses.create(model=MODEL, input=QUESTION, max_output_tokens=8, extra_body={"seed": seed})
                for seed in (1, 2, 1)
            ]
            return [found.output_text for found in await asyncio.gather(*asked)]

    first, second, third = asyncio.run(main())
    assert first == third != second


@pytest.mark.parametrize(
    ("settings", "param", "code"),
    [
        ({"store": True}, "store", "invalid_value"),
        ({"previous_response_id": "resp_1"}, "previous_response_id", "unsupported_parameter"),
        ({"conversation": "conv_1"}, "conversation", "unsupported_parameter"),
        ({"reasoning": {"effort": "low"}}, "reasoning", "unsupported_parameter"),
        ({"tools": [{"type": "web_search"}]}, "tools", "invalid_value"),
        ({"background": True}, "background", "invalid_value"),
        ({"truncation": "auto"}, "truncation", "invalid_value"),
        ({"text": {"verbosity": "low"}}, "text.verbosity", "unsupported_parameter"),
        (
            {"text": {"format": {"type": "json_schema", "name": "a", "schema": {"$ref": "x"}}}},
            "text",
            "invalid_value",
        ),
        ({"input": []}, "input", "invalid_value"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input", None),
        ({"input": [{"type": "function_call_output", "call_id": "a", "output": "b"}]}, "input", None),
        ({"input": "a " * 600}, "input", "context_length_exceeded"),
        ({"input": "a" * 1_000_000}, "input", "context_length_exceeded"),
        ({"instructions": "a" * 1_000_000}, "instructions", "context_length_exceeded"),
        ({"instructions": "a", "input": [{"role": "system", "content": "b"}]}, "instructions", "invalid_value"),
        ({"max_output_tokens": 10_000}, "max_output_tokens", "context_length_exceeded"),
        ({"top_logprobs": 2}, "top_logprobs", "invalid_value"),
        ({"input": [{"role": "assistant", "content": "a"}]}, None, "invalid_value"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(client, settings, param, code):
    with pytest.raises(openai.BadRequestError) as error:
        client.responses.create(**{"model": MODEL, "input": QUESTION, **settings})
    assert error.value.param == param
    if code is not None:
        assert error.value.code == code


def test_each_route_names_its_own_fields(client):
    with pytest.raises(openai.BadRequestError) as error:
        client.completions.create(model=MODEL, prompt="a " * 600)
    assert (error.value.param, error.value.code) == ("prompt", "context_length_exceeded")
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": QUESTION}], max_completion_tokens=9999
        )
    assert error.value.param == "max_completion_tokens"


def test_what_breaks_in_mid_stream_is_told_as_a_failed_response(running, client):
    long = {"type": "string", "minLength": 400}  # so that it is not over before it is broken off
    form = {"type": "json_schema", "name": "long", "schema": long}
    events = iter(client.responses.create(model=MODEL, input=QUESTION, stream=True, text={"format": form}))
    assert next(events).type == "response.created"
    assert running.served[0].engine.close(finish=False, timeout=30)
    last = list(events)[-1]
    assert (last.type, last.response.status, last.response.error.code) == (
        "response.failed",
        "failed",
        "server_error",
    )
    with pytest.raises(openai.InternalServerError) as error:
        client.responses.create(model=MODEL, input=QUESTION)
    assert error.value.status_code == 503
