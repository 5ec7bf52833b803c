"""What answers take is counted for the key that asked, whichever way it asked, and though nobody reads the end."""

import json
import socket
import time
from collections.abc import Callable

import openai
import pytest
from tests.serve.serving import serving

from fonderie.serve.access import Door
from fonderie.serve.api.app import make_api
from fonderie.serve.database.base import open_database
from fonderie.serve.keys import add_key
from fonderie.serve.served import conversation_prompt
from fonderie.serve.usage import Used, used_on

PATIENCE_SECONDS = 30
MODEL = "toy-0.1.0"
MESSAGES = [{"role": "user", "content": "Que fait le chat ?"}]
ENDLESS = {"logit_bias": {"1": -100, "2": -100}}
"""Neither of the tokens that end an answer."""
DAY, NOON = "2027-01-15", 1_800_014_400.0 - 1_800_014_400.0 % 86400 + 43200
A_DAY = 100_000


@pytest.fixture(scope="module")
def served(small, tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('quota') / 'service.db'}"
    with open_database(url) as database:
        door = Door(database, clock=lambda: NOON)
        with serving([small.release], lambda found: make_api({one.name: one for one in found}, door)) as running:
            yield running, database


def wait_until(there: Callable[[], object]) -> None:
    limit = time.monotonic() + PATIENCE_SECONDS
    while not there():
        assert time.monotonic() < limit, "it never came"
        time.sleep(0.01)


class Holder:
    """The holder of a fresh key, and what it has used."""

    def __init__(self, served, name: str, per_day_tokens: int = A_DAY) -> None:
        self.running, self.database = served
        self.name, self.per_day_tokens = name, per_day_tokens
        with self.database.write() as connection:
            self.key = add_key(connection, name, NOON, per_day_tokens=per_day_tokens)
        self.client = openai.OpenAI(base_url=f"{self.running.url}/v1", api_key=self.key, max_retries=2)

    def written(self) -> Used:
        with self.database.read() as connection:
            return used_on(connection, DAY, f"key:{self.name}")

    def used(self) -> int:
        headers = self.client.models.with_raw_response.list().headers
        return self.per_day_tokens - int(headers["x-ratelimit-remaining-tokens"])


@pytest.fixture
def holder(served, request):
    return Holder(served, request.node.name)


def test_every_way_of_asking_counts_what_its_answer_says(holder):
    client, expected = holder.client, 0
    answers = [
        lambda: client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=9, n=3, seed=1),
        lambda: client.completions.create(model=MODEL, prompt=["Le chat", "Le chat"], max_tokens=5, n=2, seed=1),
        lambda: client.completions.create(model=MODEL, prompt="Le chat dort", max_tokens=0, echo=True, logprobs=1),
        lambda: client.embeddings.create(model=MODEL, input=["Le chat", "Une voisine"]),
        lambda: client.responses.create(model=MODEL, input="Que fait le chat ?", max_output_tokens=16, store=False),
    ]
    for ask in answers:
        expected += ask().usage.total_tokens
        assert holder.used() == expected
    stream = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, max_tokens=9, n=2, stream=True, stream_options={"include_usage": True}
    )
    expected += list(stream)[-1].usage.total_tokens
    assert holder.used() == expected
    wait_until(lambda: holder.written().tokens == expected)  # about a second later
    assert holder.written().requests == 6


def test_what_is_refused_is_not_counted(holder):
    with pytest.raises(openai.BadRequestError):
        holder.client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=100_000)
    with pytest.raises(openai.NotFoundError):
        holder.client.chat.completions.create(model="other", messages=MESSAGES)
    assert holder.used() == 0


@pytest.mark.parametrize("streams", [True, False])
def test_an_answer_that_is_given_up_counts_as_far_as_it_came(served, streams):
    holder = Holder(served, f"leaves {streams}")
    engine = holder.running.served[0].engine
    body = json.dumps({"model": MODEL, "messages": MESSAGES, "max_tokens": 450, "stream": streams, **ENDLESS})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {holder.key}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    before = engine.load().rounds
    with socket.create_connection(("127.0.0.1", int(holder.running.url.rpartition(":")[2]))) as connection:
        connection.sendall((head + body).encode())
        wait_until(lambda: engine.load().rounds > before + 3)
    wait_until(lambda: holder.used() > 0)
    assert engine.load().running == 0
    prompt = len(conversation_prompt(holder.running.served[0], [("user", MESSAGES[0]["content"])]))
    assert prompt + 1 <= holder.used() <= prompt + 450


def test_when_the_days_tokens_are_used_up_the_client_is_told_once_and_does_not_ask_again(served):
    holder = Holder(served, "little", per_day_tokens=20)
    asked = {"model": MODEL, "messages": MESSAGES, "max_tokens": 30, "extra_body": ENDLESS}
    assert (
        holder.client.chat.completions.create(**asked).usage.completion_tokens == 30
    )  # what has begun is finished
    begun = time.monotonic()
    with pytest.raises(openai.RateLimitError) as error:
        holder.client.chat.completions.create(**asked)
    assert error.value.code == "insufficient_quota"
    assert time.monotonic() - begun < 30, "it waited for midnight"
    remaining = error.value.response.headers["x-ratelimit-remaining-requests"]
    assert int(remaining) == 600 - 2, "the client's two retries would have been counted"


def test_everybody_without_a_key_is_counted_together(served):
    running, database = served
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key="none") as client:
        usage = client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=7).usage

    def written() -> Used:
        with database.read() as connection:
            return used_on(connection, DAY, "public")

    wait_until(lambda: written().answer_tokens)
    assert written() == Used(1, usage.prompt_tokens, usage.completion_tokens)
