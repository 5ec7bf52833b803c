"""`fonderie serve` as a process: it says where it listens, answers, and lets what runs finish when told to stop."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest

MESSAGES = [{"role": "user", "content": "Que fait le chat ?"}]


def command(*arguments: object) -> list[str]:
    return [str(Path(sys.executable).parent / "fonderie"), "serve", *map(str, arguments)]


@contextmanager
def served(folder: Path, *arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command(*arguments, "--port", 0, "--threads", 1),
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=folder,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().split()[0]
    finally:
        process.kill()
        process.wait()


def answered(url: str) -> tuple[int, dict[str, str]]:
    """Status and JSON of an address."""
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.mark.slow
def test_told_to_stop_it_says_so_finishes_what_runs_and_takes_nothing_more(small, tmp_path):
    with (
        served(tmp_path, small.release, "--batch", 1) as (process, url),
        openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client,
    ):
        stream = client.chat.completions.create(
            model="toy-0.1.0",
            messages=MESSAGES,
            max_tokens=450,
            n=4,
            stream=True,
            extra_body={"logit_bias": {"1": -100, "2": -100}},
        )
        chunks = iter(stream)
        next(chunks)
        process.send_signal(signal.SIGTERM)
        while (found := answered(f"{url}/ready")) == (200, {"status": "ready"}):
            pass
        assert found == (503, {"status": "draining"})
        assert answered(f"{url}/health") == (200, {"status": "ok"})
        with pytest.raises(openai.InternalServerError, match="stopping"):
            client.completions.create(model="toy-0.1.0", prompt="Le chat")
        rest = list(chunks)
        assert rest[-1].choices[0].finish_reason == "length"
        assert process.wait(30) == 0
        with pytest.raises(openai.APIConnectionError):
            client.models.list()


def test_an_address_that_is_taken_is_told_before_any_model_is_loaded(small, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            command(small.release, "--port", port),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=tmp_path,
        )
    assert done.returncode == 2
    assert f"127.0.0.1:{port} cannot be listened on" in done.stderr


def test_a_folder_that_is_no_release_is_refused(tmp_path):
    done = subprocess.run(command(tmp_path), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "is not a release: it has no release.json" in done.stderr
