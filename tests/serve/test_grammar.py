"""Answers that must match a schema: they do, and a schema that cannot be followed harms nobody but who sent it."""

import json
import threading

import openai
import pytest
from tests.serve.asking import desk, prompt

from fonderie.serve.engine.grammar import LONGEST_SCHEMA, GrammarError, Grammars, json_grammar
from fonderie.serve.engine.request import Finished, PromptRead, Request, Sampling

QUESTION = "Bonjour, où est le petit renard ?"
ASKED = {"model": "toy-0.1.0", "messages": [{"role": "user", "content": QUESTION}], "seed": 1, "max_tokens": 60}


@pytest.fixture(scope="module")
def grammars(tokenizer, tokenizer_folder):
    return Grammars(tokenizer_folder, tokenizer.vocabulary, tokenizer.eos)


def form(schema):
    return {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}


def closed(**properties):
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


def test_json_comes_as_the_schema_says_from_a_model_that_knows_nothing(model, tokenizer, grammars):
    schema = closed(nom={"type": "string", "maxLength": 8}, âge={"type": "integer", "maximum": 999})
    ids, grammar = prompt(tokenizer, QUESTION), grammars.compiled(json_grammar(schema))
    with desk(model, tokenizer) as at:
        answers = at.ask(*(Request(ids, 200, Sampling(seed=n), grammar=grammar) for n in range(5)))
        (again,) = at.ask(Request(ids, 200, Sampling(seed=3), grammar=grammar))
    for answer in answers:
        found = json.loads(answer.text)
        assert list(found) == ["nom", "âge"]
        assert isinstance(found["nom"], str)
        assert found["âge"] <= 999
        assert answer.end.reason == "stop"
    assert again.text == answers[3].text, "answers that began with one grammar are apart"


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"$ref": "https://example.org/other"}, "retriev"),
        ({"not": {}}, 'Unimplemented keys: ["not"]'),
        ({"type": "string", "pattern": "(?=a)b"}, "look-around"),
        ({"type": "integer", "minimum": 5, "maximum": 3}, "minimum (5) is greater than maximum (3)"),
        ({"enum": ["\ud83d"]}, "hex escape"),
        ({"enum": [float("nan")]}, "expected value"),
        ({"enum": ["a" * 100] * 1_000}, f"{LONGEST_SCHEMA:,} are the most"),
    ],
)
def test_a_schema_that_is_not_supported_is_refused_with_what_is_wrong(schema, said):
    with pytest.raises(GrammarError) as error:
        json_grammar(schema)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("depth", [300, 100_000])
def test_a_schema_that_is_nested_too_deeply_is_refused(depth):
    schema: dict[str, object] = {}
    for _ in range(depth):
        schema = {"items": schema}
    with pytest.raises(GrammarError, match=r"recursion limit|nested too deeply"):
        json_grammar(schema)


def test_a_schema_that_nothing_matches_is_refused_before_it_is_asked(client, grammars):
    with pytest.raises(GrammarError, match="no text matches"):
        grammars.compiled(json_grammar({"$ref": "#"}))
    with pytest.raises(openai.BadRequestError, match="no text matches") as error:
        client.chat.completions.create(**ASKED, response_format=form({"$ref": "#"}))
    assert error.value.param == "response_format"


def test_a_schema_that_refers_to_itself_is_followed(client):
    tree = {"$defs": {"t": closed(n={"enum": [1, 2]}, of={"anyOf": [{"$ref": "#/$defs/t"}, {"type": "null"}]})}}
    answer = client.chat.completions.create(
        **{**ASKED, "max_tokens": 400}, response_format=form({**tree, "$ref": "#/$defs/t"})
    )
    if answer.choices[0].finish_reason == "stop":
        assert set(json.loads(answer.choices[0].message.content)) == {"n", "of"}
    assert answer.choices[0].message.content.startswith('{"n": ')


WIDE = {"type": "object", "properties": {f"p{n}": {"type": "null"} for n in range(1_100)}}
"""Compiles, and is too wide to be walked: any of 1,100 properties may come next."""


def test_a_schema_that_fails_in_mid_answer_ends_that_answer_alone(client, unended, capfd):
    with pytest.raises(openai.BadRequestError, match="the schema fails") as error:
        client.chat.completions.create(**ASKED, response_format=form(WIDE), logit_bias=unended)
    assert error.value.code == "invalid_schema"
    assert client.chat.completions.create(**ASKED).choices
    assert capfd.readouterr().err == "", "its words are no concern of the service's log"


@pytest.fixture
def unended(running):
    """So that an object is not over before it has begun."""
    return {str(token): -100 for token in running.served[0].tokenizer.encode("}")}


def test_others_are_answered_while_a_schema_is_compiled(running, client, unended):
    slow = {"type": "object", "properties": {f"p{n}": {"type": "null"} for n in range(1_100)}}
    assert len(json.dumps(slow)) < LONGEST_SCHEMA
    ended = threading.Event()

    def compile_it() -> None:
        try:
            with (
                openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0) as other,
                pytest.raises(openai.BadRequestError, match="the schema fails"),  # it is too wide as well
            ):
                other.chat.completions.create(**ASKED, response_format=form(slow), logit_bias=unended)
        finally:
            ended.set()

    thread = threading.Thread(target=compile_it)
    thread.start()
    answered = 0
    while not ended.wait(0.01):
        client.chat.completions.create(**{**ASKED, "max_tokens": 1})
        answered += 1
    thread.join()
    assert answered >= 2


def test_the_schema_of_one_is_nothing_to_those_beside_it(model, tokenizer, grammars):
    ids = prompt(tokenizer, QUESTION)
    grammar = grammars.compiled(json_grammar(closed(a={"type": "boolean"})))
    with desk(model, tokenizer) as at:
        (alone,) = at.ask(Request(ids, 30, Sampling(seed=1)))
        long = at.engine.submit(Request(ids, 300))
        at.wait(long, PromptRead)
        held, beside = at.ask(Request(ids, 90, grammar=grammar), Request(ids, 30, Sampling(seed=1)))
        at.engine.cancel(long)
    assert set(json.loads(held.text)) == {"a"}
    assert beside.text == alone.text
    assert isinstance(held.events[-1], Finished)
