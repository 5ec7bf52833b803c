"""The switch of a service that runs as a process, turned by other processes."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.serve.test_command import answered, command, served

from fonderie.cli import main


def endless(choices: int) -> dict[str, Any]:
    """An answer that takes seconds: choices one after the other, and the tokens that would end them are banned."""
    return {
        "model": "toy-0.1.0",
        "messages": [{"role": "user", "content": "Que fait le chat ?"}],
        "max_tokens": 450,
        "n": choices,
        "stream": True,
        "extra_body": {"logit_bias": {"1": -100, "2": -100}},
    }


def turned(folder: Path, *arguments: object) -> tuple[int, str]:
    done = subprocess.run(
        command(*arguments), cwd=folder, capture_output=True, text=True, check=False, timeout=60, env=os.environ
    )
    return done.returncode, done.stdout + done.stderr


def invite(folder: Path, *arguments: object) -> str:
    line = [*command()[:1], "invite", *map(str, arguments)]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


@pytest.mark.slow
def test_another_process_closes_it_while_an_answer_runs_and_opens_it_again(small, tmp_path):
    with (
        served(tmp_path, small.release, "--batch", 1) as (first, url),
        openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client,
    ):
        once = client.with_options(max_retries=0)
        chunks = iter(client.chat.completions.create(**endless(3)))
        next(chunks)
        status, said = turned(tmp_path, "--close", "--message", "Une panne ; à demain.")
        assert (status, "closed since" in said) == (0, True), said
        with pytest.raises(openai.InternalServerError, match=r"closed: Une panne ; à demain\.") as error:
            once.chat.completions.create(**endless(1))
        assert (error.value.status_code, error.value.code) == (503, "closed")
        assert error.value.response.headers["retry-after"] == "600"
        assert answered(f"{url}/ready") == (503, {"status": "closed"})
        assert answered(f"{url}/health") == (200, {"status": "ok"})
        assert list(chunks)[-1].choices[0].finish_reason == "length", "what ran has finished"

        assert turned(tmp_path, "--reopen") == (0, "The service is open to everyone\n")
        assert answered(f"{url}/ready") == (200, {"status": "ready"})
        chunks = iter(client.chat.completions.create(**endless(16)))
        next(chunks)
        # From this process, which has all imported: a new one takes seconds to start, and the answer no longer.
        assert (
            main(["serve", "--close", "--now", "--database", f"sqlite:///{tmp_path / 'fonderie-service.db'}"]) == 0
        )
        with pytest.raises(openai.APIError, match="cut off"):
            list(chunks)
        first.send_signal(signal.SIGTERM)
        assert first.wait(30) == 0

    # It is closed until somebody opens it, and says so at start.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    line = command(small.release, "--port", 0, "--threads", 1)
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("The service is closed since ")
        url = process.stdout.readline().split()[0]
        assert answered(f"{url}/ready")[0] == 503
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    status, said = turned(tmp_path, "--reopen")
    assert (status, "No running service has answered" in said) == (1, True), said


def test_closing_where_there_is_no_service_says_so_and_makes_no_database(tmp_path):
    status, said = turned(tmp_path, "--close")
    assert (status, "does not exist" in said) == (2, True), said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "RELEASE is missing"),
        (("--message", "Bonjour"), "--message goes with --close"),
        (("--message-fr", "Bonjour", "--open"), "--message-fr goes with --close"),
        (("--now", "--reopen"), "--now goes with --close"),
        (("somewhere", "--close"), "starts none"),
        (("somewhere", "--no-guards", "--guards", "x.toml"), "--no-guards"),
        (("somewhere", "--guards", "missing.toml"), "missing.toml cannot be read"),
    ],
)
def test_options_that_contradict_each_other_are_refused(arguments, problem, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["serve", *arguments]) in (1, 2)
    assert problem in capsys.readouterr().err


def test_a_code_is_printed_once_and_its_hash_is_kept(tmp_path):
    code = invite(tmp_path, "--uses", 3, "--note", "les relecteurs")
    assert len(code) == 23
    listed = json.loads(invite(tmp_path, "--list", "--json"))
    assert [(item["note"], item["uses_left"]) for item in listed] == [("les relecteurs", 3)]
    assert code not in json.dumps(listed)
    assert code.encode() not in (tmp_path / "fonderie-service.db").read_bytes()
