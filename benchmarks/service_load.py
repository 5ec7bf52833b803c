"""What the running service stands: a client on loopback against the real `fonderie serve`, another process.

python benchmarks/service_load.py RELEASE [--streams 64] [--dropped 200] [--only NAME…] [-- OPTION…]

    streams   so many streams at once, each to its end, without an error; time to the first token (p50, p95)
    overhead  16 streams at once: the share of the time in which the engine was not at work
    dropped   so many long requests given up at 0.5 s; then one is answered within 5 s
    slow      somebody who asks for a long answer and never reads it does not hold up others
    malformed a prompt of 1 MB, no JSON, no UTF-8, 10,000 headers: 4xx each, and the service goes on
    drained   told to stop, it finishes the stream that runs, takes nothing more, and ends with status 0
    killed    killed while it takes votes: every vote that was acknowledged is in the database

Prints one JSON line for each; exit status 1 if one does not hold.
"""

import argparse
import asyncio
import json
import re
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

ANSWER_TOKENS = 64
DROP_SECONDS, ANSWERED_SECONDS = 0.5, 5.0
OVERHEAD_STREAMS, MOST_OVERHEAD = 16, 0.05
WAITING = 1_024
QUESTION_TOKENS = 40
"""More than the question has."""


@dataclass
class Service:
    """A running `fonderie serve`."""

    process: subprocess.Popen[str]
    url: str
    model: str
    database: Path
    special: list[int] = field(default_factory=list)
    """Tokens that are no text."""
    longest: int = 0
    """Tokens of the longest answer to what is asked here."""

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self.url.removeprefix("http://").split(":")
        return host, int(port)

    def asked(self, tokens: int, **settings: Any) -> dict[str, Any]:
        """A question whose answer is exactly so long: what would end it is banned."""
        banned = {str(token): -100 for token in self.special}
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": "Raconte une longue histoire."}],
            "max_tokens": min(tokens, self.longest),
            "logit_bias": banned,
            **settings,
        }


@contextmanager
def service(release: Path, folder: Path, *options: str) -> Iterator[Service]:
    """Start one in a folder, with a database of its own there; killed at the end if it still runs."""
    command = [str(Path(sys.executable).parent / "fonderie"), "serve", str(release), "--port", "0"]
    command += [
        "--waiting",
        str(WAITING),
        "--per-minute-per-address",
        "100000",
        "--no-guards",
        "--open-metrics",
        *options,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder)
    try:
        assert process.stdout is not None
        url, model = process.stdout.readline().split()[:2]
        found = Service(process, url, model, folder / "fonderie-service.db")
        tokens = json.loads((release / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
        found.special = [token["id"] for token in tokens if token["special"]]
        with httpx2.Client(base_url=url, timeout=120) as client:
            found.longest = client.get("/v1/models").json()["data"][0]["max_model_len"] - QUESTION_TOKENS
            client.post("/v1/chat/completions", json=found.asked(2)).raise_for_status()  # warm
        yield found
    finally:
        process.kill()
        process.wait()


def client_of(service: Service) -> httpx2.AsyncClient:
    """A client with as many connections as it is asked for."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    return httpx2.AsyncClient(base_url=service.url, timeout=120, limits=limits)


async def events(client: httpx2.AsyncClient, service: Service, tokens: int) -> AsyncIterator[dict[str, Any]]:
    """The chunks of one stream; AssertionError unless it ends as streams do."""
    async with client.stream("POST", "/v1/chat/completions", json=service.asked(tokens, stream=True)) as response:
        assert response.status_code == 200, f"{response.status_code}: {(await response.aread())[:200]!r}"
        ended = False
        async for line in response.aiter_lines():
            if line == "data: [DONE]":
                ended = True
            elif line.startswith("data: "):
                chunk = json.loads(line[6:])
                assert "error" not in chunk, chunk
                yield chunk
        assert ended, "the stream has no [DONE]"


@dataclass
class Streamed:
    """One stream, as its client saw it."""

    first_seconds: float | None = None
    """Until the first text."""
    chunks: int = 0
    reason: str | None = None


async def streamed(client: httpx2.AsyncClient, service: Service, tokens: int) -> Streamed:
    """Read one stream to its end."""
    found, begun = Streamed(), time.perf_counter()
    async for chunk in events(client, service, tokens):
        for choice in chunk["choices"]:
            if choice["delta"].get("content"):
                found.chunks += 1
                if found.first_seconds is None:
                    found.first_seconds = time.perf_counter() - begun
            found.reason = choice["finish_reason"] or found.reason
    assert found.reason == "length", f"the answer ended by {found.reason}"
    return found


async def busy_seconds(client: httpx2.AsyncClient) -> float:
    """What the engine says of the time that it has worked."""
    text = (await client.get("/metrics")).text
    values = re.findall(r"^fonderie_engine_busy_seconds_total\{[^}]*\} (\S+)$", text, re.MULTILINE)
    assert len(values) == 1, "the metrics do not say how long the engine was busy"
    return float(values[0])


async def streams(service: Service, number: int) -> dict[str, Any]:
    """All at once, each to its end."""
    async with client_of(service) as client:
        begun = time.perf_counter()
        found = await asyncio.gather(*(streamed(client, service, ANSWER_TOKENS) for _ in range(number)))
        seconds = time.perf_counter() - begun
    firsts = sorted(one.first_seconds for one in found if one.first_seconds is not None)
    return {
        "streams": number,
        "tokens_per_second": round(number * ANSWER_TOKENS / seconds, 1),
        "first_token_p50_seconds": round(statistics.median(firsts), 3),
        "first_token_p95_seconds": round(firsts[int(0.95 * (len(firsts) - 1))], 3),
    }


async def overhead(service: Service, tokens: int = 200, rounds: int = 3) -> dict[str, Any]:
    """16 streams: how much of the time between first question and last answer the engine was not at work."""
    shares = []
    async with client_of(service) as client:
        for _ in range(rounds):
            before, begun = await busy_seconds(client), time.perf_counter()
            await asyncio.gather(*(streamed(client, service, tokens) for _ in range(OVERHEAD_STREAMS)))
            seconds = time.perf_counter() - begun
            shares.append(1 - (await busy_seconds(client) - before) / seconds)
    share = statistics.median(shares)
    assert share <= MOST_OVERHEAD, f"{share:.1%} of the time is not the engine's"
    return {"share": round(share, 4), "streams": OVERHEAD_STREAMS, "tokens_each": tokens, "rounds": rounds}


async def dropped(service: Service, number: int, tokens: int = 400) -> dict[str, Any]:
    """Many who leave; whoever comes next does not wait for their answers."""

    async def leave(client: httpx2.AsyncClient) -> str:
        begun = False
        try:
            async with asyncio.timeout(DROP_SECONDS):
                async for _ in events(client, service, tokens):
                    begun = True
        except TimeoutError:
            return "left in its midst" if begun else "left before its beginning"
        return "had ended"

    async with client_of(service) as client:
        left = await asyncio.gather(*(leave(client) for _ in range(number)))
    async with client_of(service) as client:
        begun = time.perf_counter()
        response = await client.post("/v1/chat/completions", json=service.asked(8))
        seconds = time.perf_counter() - begun
    assert response.status_code == 200, response.text[:200]
    assert seconds <= ANSWERED_SECONDS, f"answered after {seconds:.1f} s"
    return {**Counter(left), "answered_after_seconds": round(seconds, 3)}


async def slow(service: Service, tokens: int = 400) -> dict[str, Any]:
    """Readers who never read: the next question takes as long as without them."""

    async def seconds(client: httpx2.AsyncClient) -> float:
        begun = time.perf_counter()
        await streamed(client, service, 16)
        return time.perf_counter() - begun

    body = json.dumps(service.asked(tokens, stream=True, n=4, logprobs=True, top_logprobs=20)).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: "
    async with client_of(service) as client:
        alone = statistics.median([await seconds(client) for _ in range(3)])
        deaf = []
        for _ in range(4):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(service.place)
            one.sendall(head + str(len(body)).encode() + b"\r\n\r\n" + body)
            deaf.append(one)
        await asyncio.sleep(0.5)
        begun = [one.recv(12, socket.MSG_PEEK) for one in deaf]
        assert begun == [b"HTTP/1.1 200"] * len(deaf), begun
        beside = statistics.median([await seconds(client) for _ in range(3)])
        for one in deaf:
            one.close()
    # Its 16 answers are computed beside the next ones, so that these may take some times longer, but never wait.
    assert beside < ANSWERED_SECONDS, f"beside readers who do not read, an answer took {beside:.1f} s"
    return {"seconds_alone": round(alone, 3), "seconds_beside": round(beside, 3), "answers_unread": 4 * len(deaf)}


async def malformed(service: Service) -> dict[str, Any]:
    """What is no request of ours is told so, and nothing else happens."""
    path, kind = "/v1/chat/completions", {"content-type": "application/json"}
    large = service.asked(8, messages=[{"role": "user", "content": "a" * 1_000_000}])
    statuses: dict[str, int] = {}
    async with client_of(service) as client:
        for name, content in {
            "prompt of 1 MB": json.dumps(large).encode(),
            "body of 8 MB": b" " * 8_000_000,
            "no JSON": b'{"model": ',
            "no UTF-8": b'{"model": "\xff\xfe", "messages": []}',
            "half a surrogate": b'{"model": "\\ud800", "messages": [{"role": "user", "content": "a"}]}',
            "deep": b"[" * 100_000,
            "nothing": b"",
        }.items():
            response = await client.post(path, content=content, headers=kind)
            statuses[name] = response.status_code
            assert "error" in response.json(), f"{name}: {response.text[:200]}"
        many = [(f"x-{number}", "a") for number in range(10_000)]
        statuses["10,000 headers"] = (await client.get("/v1/models", headers=many)).status_code
        for name, status in statuses.items():
            assert 400 <= status < 500, f"{name}: {status}"
        assert (await client.get("/health")).status_code == 200
        assert (await client.post(path, json=service.asked(2))).status_code == 200
    return {"statuses": statuses}


async def drained(service: Service, tokens: int = 300) -> dict[str, Any]:
    """A stream that runs when the service is told to stop comes to its end."""
    chunks = 0
    async with client_of(service) as client:
        async for _ in events(client, service, tokens):
            chunks += 1
            if chunks == 3:
                service.process.send_signal(signal.SIGTERM)
                begun = time.perf_counter()
        seconds = time.perf_counter() - begun
    status = await asyncio.to_thread(service.process.wait, 40)
    assert status == 0, f"it ended with status {status}"
    with closing(socket.socket()) as late:
        assert late.connect_ex(service.place) != 0, "it still listens"
    return {"chunks": chunks, "finished_after_seconds": round(seconds, 3), "status": status}


@asynccontextmanager
async def judge(service: Service) -> AsyncIterator[httpx2.AsyncClient]:
    """A visitor who has agreed that votes are kept."""
    async with client_of(service) as client:
        page = (await client.get("/fr/consent")).text
        form = {name: re.search(rf'name="{name}" value="([^"]+)"', page) for name in ("version", "hash")}
        given = {name: found.group(1) for name, found in form.items() if found is not None}
        response = await client.post(
            "/fr/consent", data={**given, "evaluation": "on"}, headers={"accept": "application/json"}
        )
        assert response.status_code == 200, response.text[:200]
        yield client


async def ballot(client: httpx2.AsyncClient, service: Service, number: int) -> dict[str, Any]:
    """An answer of the chat page, and what a thumb for it says."""
    turns = [{"role": "user", "text": f"Question {number} ?"}]
    asked = await client.post(
        "/chat/answers", json={"model": service.model, "turns": turns, "settings": {"max_tokens": 4}}
    )
    assert asked.status_code == 202, asked.text[:200]
    text, end = "", {}
    stream = (await client.get(f"/chat/answers/{asked.json()['id']}")).text
    for kind, data in re.findall(r"event: (\w+)\ndata: (.*)\n", stream):
        if kind == "text":
            text += json.loads(data)["text"]
        elif kind == "end":
            end = json.loads(data)
    return {
        "model": service.model,
        "turns": [*turns, {"role": "assistant", "text": text}],
        "settings": asked.json()["settings"],
        "finish_reason": end["reason"],
        "seal": end["seal"],
        "locale": "fr",
        "value": 1,
        "comment": f"vote {number}",
    }


async def killed(service: Service, number: int = 40) -> dict[str, Any]:
    """Votes come in while the process is killed; what was acknowledged before is there after."""
    acknowledged: set[str] = set()

    async def cast(client: httpx2.AsyncClient, ballots: Sequence[dict[str, Any]]) -> None:
        for one in ballots:
            try:
                response = await client.post("/chat/thumbs", json=one)
            except httpx2.TransportError:
                return
            assert response.status_code == 204, response.text[:200]
            acknowledged.add(one["comment"])
            if len(acknowledged) == number // 2:
                service.process.send_signal(signal.SIGKILL)

    async with judge(service) as client:
        made = [await ballot(client, service, one) for one in range(number)]
        ballots = [one for one in made if one["turns"][-1]["text"]]  # one who says nothing is not judged
        number = len(ballots)
        await asyncio.gather(*(cast(client, ballots[first::4]) for first in range(4)))
    await asyncio.to_thread(service.process.wait, 10)
    with closing(sqlite3.connect(service.database)) as database:
        kept = {comment for (comment,) in database.execute("SELECT comment FROM thumbs")}
    lost = acknowledged - kept
    assert not lost, f"{len(lost)} acknowledged votes are gone"
    assert number // 2 <= len(acknowledged) < number, f"killed after {len(acknowledged)} of {number}: too late"
    return {"votes": number, "acknowledged": len(acknowledged), "kept": len(kept)}


def _split(arguments: list[str]) -> Iterator[list[str]]:
    """What stands before the first --, and what after it."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    yield arguments[:at]
    yield arguments[at + 1 :]


Scenario = Callable[[Service], Awaitable[dict[str, Any]]]


def main() -> int:
    """Run what was asked for; each scenario has a service of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", type=Path)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--dropped", type=int, default=200)
    parser.add_argument("--only", nargs="+", default=[])
    mine, theirs = _split(sys.argv[1:])
    options = parser.parse_args(mine)
    scenarios: dict[str, Scenario] = {
        "streams": lambda service: streams(service, options.streams),
        "overhead": overhead,
        "dropped": lambda service: dropped(service, options.dropped),
        "slow": slow,
        "malformed": malformed,
        "drained": drained,
        "killed": killed,
    }
    unknown = set(options.only) - set(scenarios)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there is {', '.join(scenarios)}")
    failed = False
    for name, scenario in scenarios.items():
        if options.only and name not in options.only:
            continue
        line: dict[str, Any] = {"name": name, "held": True}
        with (
            tempfile.TemporaryDirectory() as folder,
            service(options.release.resolve(), Path(folder), *theirs) as found,
        ):
            try:
                line["detail"] = asyncio.run(scenario(found))
            except (AssertionError, httpx2.HTTPError) as error:
                line.update(held=False, detail=f"{type(error).__name__}: {error}")
                failed = True
        print(json.dumps(line), flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
