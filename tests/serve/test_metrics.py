"""/metrics: the counts are true, nothing in them is anybody's, and only who may reads them."""

import asyncio
import re

import httpx2
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.serve.serving import Running, door, serving

from fonderie.serve.access import Rules
from fonderie.serve.api.app import make_api
from fonderie.serve.keys import add_key

MODEL = "toy-0.1.0"
MESSAGES = [{"role": "user", "content": "Un secret de polichinelle"}]


@pytest.fixture(scope="module")
def running(small, tmp_path_factory):
    def make(served):
        opened = door(tmp_path_factory.mktemp("database"))
        return make_api({one.name: one for one in served}, opened, open_metrics=True)

    with serving([small.release], make, batch=2, waiting=8) as found:
        yield found


def read(running: Running) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample by its name and the values of its labels."""
    with httpx2.Client(trust_env=False) as client:
        answer = client.get(f"{running.url}/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_counts_are_those_of_what_was_asked(running):
    before = read(running)
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0) as client:
        settings = {"model": MODEL, "messages": MESSAGES, "seed": 1, "max_tokens": 9}
        whole = client.chat.completions.create(**settings)
        streamed = list(client.chat.completions.create(**settings, stream=True))
        assert streamed
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(**settings, tools=[{}])
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("Dupont")
    after = read(running)

    def more(name: str, *labels: str) -> float:
        return after[name, labels] - before.get((name, labels), 0)

    route = "/v1/chat/completions"
    assert more("fonderie_http_requests_total", route, "200") == 2
    assert more("fonderie_http_requests_total", route, "400") == 1
    assert more("fonderie_http_requests_total", "/v1/models/{name}", "404") == 1
    assert more("fonderie_http_request_seconds_count", route) == 3
    assert more("fonderie_prompt_tokens_total", MODEL) == 2 * whole.usage.prompt_tokens
    assert more("fonderie_answer_tokens_total", MODEL) == 2 * whole.usage.completion_tokens
    assert more("fonderie_first_text_seconds_count", MODEL) == 2
    assert more("fonderie_answers_total", MODEL, whole.choices[0].finish_reason) == 2
    assert more("fonderie_engine_busy_seconds_total", MODEL) > 0
    assert more("fonderie_engine_rounds_total", MODEL) > 0
    assert (after["fonderie_batch", (MODEL,)], after["fonderie_waiting_limit", (MODEL,)]) == (2, 8)
    assert (after["fonderie_running", (MODEL,)], after["fonderie_waiting", (MODEL,)]) == (0, 0)
    assert (after["fonderie_engine_up", (MODEL,)], after["fonderie_database_up", ()]) == (1, 1)
    assert (after["fonderie_kept", ("votes",)], after["fonderie_kept", ("reports",)]) == (0, 0)


def test_what_runs_and_what_waits_is_seen(running):
    async def main() -> None:
        async with openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0) as client:
            streams = [
                await client.completions.create(
                    model=MODEL, prompt="a", max_tokens=480, stream=True, extra_body={"ignore_eos": True}
                )
                for _ in range(2)
            ]
            waiting = [
                asyncio.ensure_future(client.completions.create(model=MODEL, prompt="a", max_tokens=1))
                for _ in range(3)
            ]
            for _ in range(200):
                if running.served[0].engine.load().waiting == 3:
                    break
                await asyncio.sleep(0.01)
            found = await asyncio.to_thread(read, running)
            assert (found["fonderie_running", (MODEL,)], found["fonderie_waiting", (MODEL,)]) == (2, 3)
            for stream in streams:
                await stream.close()
            await asyncio.gather(*waiting)
        for _ in range(200):
            found = await asyncio.to_thread(read, running)
            if found.get(("fonderie_answers_total", (MODEL, "cancelled"))) == 2:
                break
            await asyncio.sleep(0.01)
        assert found["fonderie_answers_total", (MODEL, "cancelled")] == 2

    asyncio.run(main())


def test_no_label_grows_with_what_people_send_and_nothing_is_anybodys(running):
    with httpx2.Client(base_url=running.url, trust_env=False) as client:
        client.get("/dupont/jean")
        client.get("/v1/models/jean-dupont")
        client.post("/v1/chat/completions", json={"model": "jean", "messages": MESSAGES})
        client.get("/v1/models")
        before = set(read(running))
        for number in range(8):
            client.get(f"/{number}/jean", headers={"user-agent": f"dupont {number}"})
            client.get(f"/v1/models/{number}")
            client.get(f"/v1/models?jean={number}")
        text = client.get("/metrics").text
    assert set(read(running)) == before
    assert not re.search(r"dupont|jean|polichinelle|127\.0\.0\.1", text, re.IGNORECASE)


def test_it_is_for_an_admins_key_unless_it_is_open_to_all(small, tmp_path):
    opened = door(tmp_path, Rules(per_minute_per_address=1000))
    with opened.database.write() as connection:
        keys = {role: add_key(connection, role, role=role, now=0.0) for role in ("user", "admin")}
    with (
        serving([small.release], lambda served: make_api({one.name: one for one in served}, opened)) as running,
        httpx2.Client(base_url=running.url, trust_env=False) as client,
    ):
        assert client.get("/metrics").status_code == 401
        for role, status in (("user", 403), ("admin", 200)):
            found = client.get("/metrics", headers={"authorization": f"Bearer {keys[role]}"})
            assert found.status_code == status
