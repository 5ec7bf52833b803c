"""How far an upstream answers as our own engine does, for the same release: two running services compared.

python docs/log/0014-upstreams.py OWN UPSTREAM BEHIND

OWN and UPSTREAM are addresses of two `fonderie serve` of one release, the second with --engine vllm or llamacpp;
BEHIND is that of the engine behind it, which is asked whether it is idle. Prints one JSON line for each comparison.
"""

import asyncio
import json
import re
import sys
import time
from collections import Counter
from typing import Any

import httpx2
import openai

QUESTIONS = (
    "Bonjour, qui es-tu ?",
    "Où est la clé ?",
    "Qui a vu le renard ?",
    "Combien font 3 + 4 ?",
    "Que fait la voisine ?",
    "Raconte-moi une histoire.",
    "Quelle est la couleur du ciel ?",
    "Comment s'appelle le facteur ?",
    "Avez-vous une table pour deux ?",
    "What is your name?",
)
DRAWS = 400
SCHEMA = {
    "type": "object",
    "properties": {"nom": {"enum": ["renard", "ours"]}, "pattes": {"enum": [2, 4]}, "ami": {"type": "boolean"}},
    "required": ["nom", "pattes", "ami"],
    "additionalProperties": False,
}
ENDS = {"1": -100.0, "2": -100.0}
"""Of the demonstration's tokens: the end of a document, and of a turn."""


def line(name: str, **values: Any) -> None:
    """Print a comparison."""
    print(json.dumps({"name": name, **values}, ensure_ascii=False))


def chat(client: openai.OpenAI, model: str, question: str, **settings: Any) -> str:
    """The answer's text."""
    found = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": question}], **{"max_tokens": 60, **settings}
    )
    return found.choices[0].message.content or ""


def same_text(clients: tuple[openai.OpenAI, openai.OpenAI], model: str, name: str, **settings: Any) -> None:
    """How many greedy answers are the same, to the character."""
    try:
        answers = [[chat(client, model, question, **settings) for question in QUESTIONS] for client in clients]
    except openai.BadRequestError as error:
        line(name, refused=error.param)
        return
    line(name, same=sum(map(str.__eq__, *answers)), n=len(QUESTIONS))


def draws(clients: tuple[openai.OpenAI, openai.OpenAI], model: str) -> None:
    """The first words drawn with many seeds: total variation between the two, and between halves of our own."""
    settings: dict[str, Any] = {"max_tokens": 1, "temperature": 1.3, "extra_body": {"top_k": 8}}
    own, other = (
        [chat(client, model, QUESTIONS[0], seed=seed, **settings) for seed in range(DRAWS)] for client in clients
    )
    again = [chat(clients[0], model, QUESTIONS[0], seed=DRAWS + seed, **settings) for seed in range(DRAWS)]
    line("draws", between=apart(own, other), within_our_own=apart(own, again), n=DRAWS)


def apart(one: list[str], other: list[str]) -> float:
    """Half the sum of differences of shares: 0 where they are the same, 1 where nothing is."""
    a, b = Counter(one), Counter(other)
    return round(sum(abs(a[word] - b[word]) for word in a | b) / 2 / len(one), 3)


def likelihoods(clients: tuple[openai.OpenAI, openai.OpenAI], model: str) -> None:
    """The largest difference of a log-probability of a given text."""
    settings: dict[str, Any] = {"max_tokens": 1, "echo": True, "logprobs": 1, "temperature": 0}
    try:
        own, other = (
            client.completions.create(model=model, prompt=list(QUESTIONS), **settings).choices for client in clients
        )
    except openai.BadRequestError as error:
        line("echo_logprobs", refused=error.param)
        return
    pairs = [
        (ours, theirs)
        for one, another in zip(own, other, strict=True)
        for ours, theirs in zip(one.logprobs.token_logprobs[1:], another.logprobs.token_logprobs[1:], strict=True)
    ]
    line("echo_logprobs", largest_difference=max(abs(ours - theirs) for ours, theirs in pairs), n=len(pairs))


def schemas(client: openai.OpenAI, model: str) -> None:
    """How many answers match a schema, with any seed."""
    form = {"type": "json_schema", "json_schema": {"name": "animal", "schema": SCHEMA}}
    texts = [
        chat(client, model, QUESTIONS[0], seed=seed, response_format=form, max_tokens=80) for seed in range(20)
    ]
    match = 0
    for text in texts:
        try:
            found = json.loads(text)
        except ValueError:
            continue
        match += set(found) == set(SCHEMA["required"]) and found["nom"] in ("renard", "ours")
    line("json_schema", match=match, n=len(texts))


async def leaving(url: str, behind: str, model: str) -> None:
    """After how long the engine behind is idle once eight clients of long answers have left."""
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        streams = [
            await client.completions.create(model=model, prompt="Le", max_tokens=230, stream=True, logit_bias=ENDS)
            for _ in range(8)
        ]
        for stream in streams:
            await anext(aiter(stream))
        busy = running(behind)
        for stream in streams:
            await stream.close()
    begun = time.perf_counter()
    while running(behind) and time.perf_counter() - begun < 30:
        await asyncio.sleep(0.005)
    line("leaving", running_before=busy, idle_after_seconds=round(time.perf_counter() - begun, 3))


def running(behind: str) -> int:
    """Requests that vLLM or llama-server says it is answering."""
    text = httpx2.get(f"{behind}/metrics", trust_env=False).text
    found = re.search(r"^(?:vllm:num_requests_running|llamacpp:requests_processing)(?:\{.*\})? (\S+)", text, re.M)
    assert found is not None, "start llama-server with --metrics"
    return int(float(found[1]))


def main() -> None:
    """Every comparison."""
    own, upstream, behind = sys.argv[1:]
    clients = tuple(openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) for url in (own, upstream))
    entry = clients[1].models.list().data[0]
    line("model", id=entry.id, engine=entry.engine, capabilities=entry.capabilities)
    same_text(clients, entry.id, "greedy", temperature=0)
    same_text(clients, entry.id, "stop", temperature=0, stop=["e ", "qu"])
    same_text(clients, entry.id, "length", temperature=0, max_tokens=5)
    same_text(clients, entry.id, "logit_bias", temperature=0, logit_bias={**ENDS, "19": 4}, max_tokens=40)
    same_text(clients, entry.id, "repetition_penalty", temperature=0, extra_body={"repetition_penalty": 1.8})
    same_text(clients, entry.id, "presence_penalty", temperature=0, presence_penalty=2)
    same_text(clients, entry.id, "frequency_penalty", temperature=0, frequency_penalty=2)
    same_text(clients, entry.id, "min_p", temperature=2, extra_body={"min_p": 1.0})
    same_text(clients, entry.id, "top_p", temperature=2, top_p=0.0001)
    draws(clients, entry.id)
    likelihoods(clients, entry.id)
    schemas(clients[1], entry.id)
    asyncio.run(leaving(upstream, behind, entry.id))


if __name__ == "__main__":
    main()
