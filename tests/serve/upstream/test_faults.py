"""Upstreams that are not there, not themselves, or not well."""

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import openai
import pytest
from tests.serve.serving import serving
from tests.serve.upstream.proxying import Scripted, make, proxying, scripted, told

from fonderie.commands.engines import add_engine, opener
from fonderie.core.errors import UsageError
from fonderie.serve.answers import Answers
from fonderie.serve.engine.engine import Limits
from fonderie.serve.engine.request import Finished, Request
from fonderie.serve.upstream.opening import open_upstream
from fonderie.tokens.tokenizer import Tokenizer

pytestmark = pytest.mark.slow

MODEL = "toy-0.1.0"
MESSAGES = [{"role": "user", "content": "Que fait le chat ?"}]


def piece(tokens: list[int], reason: str | None = None) -> dict[str, object]:
    return {"choices": [{"index": 0, "text": "", "token_ids": tokens, "finish_reason": reason}]}


@contextmanager
def vllm(small) -> Iterator[Scripted]:
    """What answers as vLLM does, for as long as the block lasts."""
    tokenizer = Tokenizer(small.release)

    def detokenize(data: bytes) -> tuple[int, bytes]:
        return 200, json.dumps({"prompt": tokenizer.decode(json.loads(data)["tokens"])}).encode()

    models = json.dumps({"data": [{"id": "whatever", "max_model_len": 512}]}).encode()
    with scripted(
        {
            "/v1/models": lambda _: (200, models),
            "/health": lambda _: (200, b""),
            "/detokenize": detokenize,
            "/v1/completions": lambda _: (200, told(piece([70, 71]), piece([], "stop")) + b"data: [DONE]\n\n"),
        }
    ) as found:
        yield found


@pytest.fixture(scope="module")
def upstream(small):
    with vllm(small) as found:
        yield found


@pytest.fixture(scope="module")
def front(small, upstream, tmp_path_factory):
    with proxying(small.release, tmp_path_factory.mktemp("front"), upstream.url, batch=2) as found:
        yield found


@pytest.fixture
def client(front):
    with openai.OpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0) as found:
        yield found


def open_at(small, url: str, kind: str = "vllm", alone: bool = True) -> None:
    async def opened() -> None:
        open_upstream(small.release, Answers(), kind=kind, url=url, key="k", alone=alone, limits=Limits())

    asyncio.run(opened())


def test_an_upstream_that_is_not_there_ends_the_command_with_the_way_out(small, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "fonderie"), "serve", str(small.release), "--port", "0"]
    done = subprocess.run(
        [*command, "--engine", "vllm", "--upstream", f"http://127.0.0.1:{port}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert f"no upstream answers at http://127.0.0.1:{port}" in done.stderr
    assert "--upstream" in done.stderr


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"/v1/models": (200, b'{"data":[{"id":"a"}]}')}, "is not vllm"),
        ({"/v1/models": (200, b"<html>")}, "is not vllm"),
        ({"/v1/models": (401, b"{}")}, "answers 401"),
        ({"/v1/models": (503, b"{}")}, "answers 503"),
        ({"/detokenize": (200, b'{"prompt": "something else"}')}, "reads the tokens"),
        ({"/detokenize": (404, b"{}")}, "answers 404"),
        ({"/detokenize": (200, b"{}")}, "is not vllm"),
    ],
)
def test_an_upstream_of_another_kind_or_model_is_not_taken(small, upstream, changed, said):
    kept = dict(upstream.answers)
    upstream.answers |= {path: lambda _, answer=answer: answer for path, answer in changed.items()}
    try:
        with pytest.raises(UsageError, match=said):
            open_at(small, upstream.url)
    finally:
        upstream.answers |= kept


def test_of_several_releases_each_must_be_there_by_its_name(small, upstream):
    with pytest.raises(UsageError, match="serves whatever, and not toy") as error:
        open_at(small, upstream.url, alone=False)
    assert "--served-model-name" in error.value.hint
    with pytest.raises(UsageError, match="answers 404"):
        open_at(small, upstream.url, kind="llamacpp")


def test_each_release_is_asked_at_its_own_upstream_with_the_key_of_the_environment(small, upstream, monkeypatch):
    async def opened(*arguments: str) -> None:
        parser = argparse.ArgumentParser()
        parser.add_argument("releases", type=Path, nargs="+")
        add_engine(parser)
        options = parser.parse_args([str(small.release), str(small.release), "--engine", "vllm", *arguments])
        open_next = opener(options)
        for release in options.releases:
            open_next(release, Answers())

    monkeypatch.setenv("FONDERIE_UPSTREAM_KEY", "secret")
    with vllm(small) as other:
        asyncio.run(opened("--upstream", upstream.url, "--upstream", other.url))
        assert set(other.keys) == {"Bearer secret"}
        assert upstream.keys[-1] == "Bearer secret"
        # One upstream for both: it must know each release by its name.
        with pytest.raises(UsageError, match="and not toy"):
            asyncio.run(opened("--upstream", other.url))


@contextmanager
def answering(upstream, status: int, body: bytes) -> Iterator[None]:
    """Every completion is this, for as long as the block lasts."""
    kept = upstream.answers["/v1/completions"]
    upstream.answers["/v1/completions"] = lambda _: (status, body)
    try:
        yield
    finally:
        upstream.answers["/v1/completions"] = kept


@pytest.mark.parametrize(
    ("status", "body", "expected", "code"),
    [
        (200, b"data: {nonsense\n\n", 502, "bad_upstream"),
        (200, b"data: []\n\n", 502, "bad_upstream"),
        (200, told({"choices": [{"index": 0, "text": "no ids"}]}), 502, "bad_upstream"),
        (200, told({"choices": 5}), 502, "bad_upstream"),
        (200, told(piece(["x"])), 502, "bad_upstream"),
        (200, told({"error": {"message": "out of memory"}}), 502, "bad_upstream"),
        (200, b"", 502, "bad_upstream"),
        (500, b"<html>", 502, "bad_upstream"),
        (401, b"{}", 502, "bad_upstream"),
        (429, b"{}", 503, "unavailable"),
        (503, b"{}", 503, "unavailable"),
        (400, b'{"error":{"message":"too long"}}', 400, "refused_upstream"),
        (400, b'{"object":"error","message":"too long"}', 400, "refused_upstream"),
    ],
)
def test_what_cannot_be_understood_is_502_and_what_is_away_503(
    client, upstream, caplog, status, body, expected, code
):
    with answering(upstream, status, body):
        for stream in (False, True):
            with pytest.raises(openai.APIStatusError) as error:
                client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=stream, max_tokens=9)
            assert (error.value.status_code, error.value.code) == (expected, code)
            assert (error.value.response.headers.get("retry-after") is not None) == (expected == 503)
    assert "memory" not in caplog.text  # what an upstream says is not for the log
    assert client.chat.completions.create(model=MODEL, messages=MESSAGES).choices[0].finish_reason == "stop"


def test_what_only_some_take_for_the_end_of_a_line_is_text(small, client, upstream, front):
    text = "un\x85deux\u2028trois\u2029quatre"
    ids = Tokenizer(small.release).encode(text)
    # As vLLM writes it: not escaped.
    said = json.dumps(piece(ids, "stop") | {"note": text}, ensure_ascii=False).encode()
    with answering(upstream, 200, b"data: " + said + b"\r\n\r\ndata: [DONE]\r\n\r\n"):
        asked = {"model": MODEL, "messages": MESSAGES, "max_tokens": 90}
        assert client.chat.completions.create(**asked).choices[0].message.content == text
        with httpx2.stream("POST", f"{front.url}/v1/chat/completions", json={**asked, "stream": True}) as response:
            events = [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: {")]
    assert "".join(event["choices"][0]["delta"].get("content", "") for event in events) == text


def test_a_line_without_an_end_is_not_waited_for(client, upstream):
    with answering(upstream, 200, b"data: " + b"a" * (5 << 20)), pytest.raises(openai.InternalServerError) as error:
        client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=9)
    assert (error.value.status_code, error.value.code) == (502, "bad_upstream")
    assert "a line without an end" in error.value.message


def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one(client, upstream):
    with answering(upstream, 200, told(piece([70, 71, 72]))):
        with pytest.raises(openai.InternalServerError) as error:
            client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=9)
        assert error.value.status_code == 502
        chunks = iter(client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=9, stream=True))
        assert next(chunks).choices[0].delta.role == "assistant"
        with pytest.raises(openai.APIError, match="without a reason"):
            list(chunks)


def test_an_upstream_that_goes_away_is_503_until_it_is_back(small, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with serving([small.release], make(tmp_path)) as behind:
        relay = Relay(port, int(behind.url.rsplit(":", 1)[1]))
        (tmp_path / "front").mkdir()
        with (
            proxying(small.release, tmp_path / "front", f"http://127.0.0.1:{port}") as front,
            openai.OpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0) as client,
            httpx2.Client(base_url=front.url, trust_env=False) as plain,
        ):
            asked = {"model": MODEL, "messages": MESSAGES, "max_tokens": 4, "seed": 1}
            before = client.chat.completions.create(**asked).choices[0].message.content
            assert plain.get("/ready").status_code == 200
            relay.close()
            for stream in (False, True):
                with pytest.raises(openai.InternalServerError) as error:
                    client.chat.completions.create(**asked, stream=stream)
                assert error.value.status_code == 503
                assert error.value.response.headers["retry-after"] == "5"
            ready = plain.get("/ready")
            assert (ready.status_code, ready.json()["status"]) == (503, "failed")
            assert plain.get("/health").status_code == 200
            relay = Relay(port, int(behind.url.rsplit(":", 1)[1]))
            assert client.chat.completions.create(**asked).choices[0].message.content == before
            assert plain.get("/ready").status_code == 200
            relay.close()


class Relay:
    """A port that leads to another, and can be taken away."""

    def __init__(self, port: int, to: int) -> None:
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", port))
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._to))
            self._open += [client, server]
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    @staticmethod
    def _carry(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self) -> None:
        # accept() in the other thread holds the port until it is woken.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._open:
            with suppress(OSError):  # closed by its other end
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def test_one_that_is_given_up_before_it_has_begun_leaves_its_place(small, upstream):
    async def main() -> None:
        answers = Answers()
        served = open_upstream(
            small.release, answers, kind="vllm", url=upstream.url, key=None, alone=True, limits=Limits(batch=1)
        )
        told: list[tuple[int, int]] = []
        for _ in range(3):
            requests = [Request((0, 60), 5), Request((0, 60), 5)]  # one asked, one in line
            async with answers.ask(served.engine, requests, lambda _most: lambda *used: told.append(used)) as asked:
                asked.give_up()
                async for item in asked.until_ended(5):
                    assert item is not None
                    assert item[1] == Finished("cancelled", 2, 0)
        load = served.engine.load()
        assert (load.running, load.waiting, len(told)) == (0, 0, 6)
        assert served.engine.close()
        with pytest.raises(RuntimeError, match="closing"):
            served.engine.submit(Request((0, 60), 5))

    asyncio.run(main())
