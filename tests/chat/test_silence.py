"""What a service writes while people talk, vote and judge without consent: nothing of what they said, anywhere."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from tests.chat.arena import agree, begin, read, vote

MARK = "Xylophage-7302"
COMMENT = "Zygomatique-8841"


@pytest.mark.slow
def test_conversations_are_never_in_logs_and_in_the_database_only_with_consent(small, shadow, tmp_path):
    database = tmp_path / "service.db"
    command = [str(Path(sys.executable).parent / "fonderie"), "--debug", "serve", str(small.release), str(shadow)]
    command += ["--port", "0", "--threads", "1", "--database", f"sqlite:///{database}"]
    command += ["--duel", "toy-0.1.0,max_tokens=12", "--duel", "ombre-9.9.9,max_tokens=12"]
    log = tmp_path / "everything-it-writes.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    try:
        url = _address(process, log)
        with httpx.Client(base_url=url, timeout=60) as client:
            said = f"{MARK}, où es-tu ?"
            _api(client, said)
            turns = [{"role": "user", "text": said}]
            asked = client.post(
                "/chat/answers", json={"model": "toy-0.1.0", "turns": turns, "settings": {"max_tokens": 9}}
            )
            client.get(f"/chat/answers/{asked.json()['id']}")
            state = begin(client, said)
            assert vote(client, state, comment=COMMENT).status_code == 428
            assert vote(client, state, comment=COMMENT, keep=False).status_code == 200
            for path in f"/fr/?q={MARK}", f"/{MARK}", f"/duels/{MARK}":  # addresses are not logged either
                client.get(path)
            client.post("/v1/chat/completions", content=f'{{"{MARK}'.encode())
            assert _holding(tmp_path, MARK, COMMENT) == []
            # With consent the duel is in the database, and nowhere else; deleted, nowhere at all.
            agree(client, "evaluation")
            state = begin(client, said)
            read(client, state)
            assert vote(client, state, comment=COMMENT).status_code == 200
            found = _holding(tmp_path, MARK, COMMENT)
            assert found
            assert {path.name.partition(".db")[0] for path in found} == {"service"}
            client.post("/fr/my-data/delete", data={"sure": "on"})
            assert _holding(tmp_path, MARK, COMMENT) == []
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    assert _holding(tmp_path, MARK, COMMENT) == []
    assert url.encode() in log.read_bytes()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    while "http" not in log.read_text(encoding="utf-8"):
        assert process.poll() is None, log.read_text(encoding="utf-8")
    return log.read_text(encoding="utf-8").split("http", 1)[1].split()[0].join(("http", ""))


def _api(client: httpx.Client, said: str) -> None:
    messages = [{"role": "user", "content": said}]
    for stream in False, True:
        client.post(
            "/v1/chat/completions",
            json={"model": "toy-0.1.0", "messages": messages, "max_tokens": 9, "stream": stream},
        ).raise_for_status()
    client.post("/v1/completions", json={"model": "toy-0.1.0", "prompt": said, "max_tokens": 9}).raise_for_status()
    client.post("/v1/embeddings", json={"model": "toy-0.1.0", "input": said}).raise_for_status()
    refused = client.post("/v1/chat/completions", json={"model": said, "messages": messages, "colour": said})
    assert refused.status_code == 400
    long = client.post("/v1/completions", json={"model": "toy-0.1.0", "prompt": said * 500, "max_tokens": 9})
    assert long.status_code == 400


def _holding(folder: Path, *marks: str) -> list[Path]:
    """The files below a folder that hold a mark."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and any(mark.encode() in path.read_bytes() for mark in marks)
    ]
