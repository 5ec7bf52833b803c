"""Answers that outlive their page: whose they are, where a reader goes on, when they are given up and forgotten."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.chat.conftest import unhurried
from tests.serve.serving import door, serving

from fonderie.chat.site.app import add_site
from fonderie.chat.site.running import Bounds, Runs
from fonderie.serve.api.app import make_api

LONG = {"temperature": 0, "max_tokens": 150}
"""A model as little trained as this one repeats itself to the end."""
BOUNDS = Bounds(alone_seconds=0.5, kept_seconds=60, kept=3)


@contextmanager
def running_site(release: Path, folder: Path, bounds: Bounds) -> Iterator[Any]:
    def make(served):
        there = door(folder)
        models = {one.name: one for one in served}
        app = make_api(models, there)
        add_site(app, models, there, runs=Runs(bounds))
        return app

    with serving([release], make, load=unhurried) as running:
        yield running


@pytest.fixture(scope="module")
def hasty(small, tmp_path_factory) -> Iterator[Any]:
    """The site with bounds that a test can wait for."""
    with running_site(small.release, tmp_path_factory.mktemp("hasty"), BOUNDS) as running:
        yield running


@pytest.fixture(scope="module")
def patient(small, tmp_path_factory) -> Iterator[Any]:
    """The same, but an answer is not given up before a slow machine has come to read it."""
    bounds = replace(BOUNDS, alone_seconds=60.0)
    with running_site(small.release, tmp_path_factory.mktemp("patient"), bounds) as running:
        yield running


def ask(client: httpx2.Client, running: Any, **settings: Any) -> httpx2.Response:
    return client.post(
        "/chat/answers",
        json={
            "model": running.served[0].name,
            "turns": [{"role": "user", "text": "Que fait le chat ?"}],
            "settings": settings,
        },
    )


def events(lines: Iterator[str]) -> Iterator[tuple[int | None, str, dict[str, Any]]]:
    number, kind = None, ""
    for line in lines:
        if line.startswith("id: "):
            number = int(line[4:])
        elif line.startswith("event: "):
            kind = line[7:]
        elif line.startswith("data: "):
            yield number, kind, json.loads(line[6:])
            number = None


def read(client: httpx2.Client, name: str, after: int = 0, most: int | None = None) -> list[Any]:
    """The events of an answer, from one on; at most so many."""
    found = []
    with client.stream("GET", f"/chat/answers/{name}", headers={"last-event-id": str(after)}) as response:
        assert response.status_code == 200, response.read()
        for event in events(response.iter_lines()):
            found.append(event)
            if len(found) == most:
                break
    return found


def until(truth: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not truth():
        assert time.monotonic() < end
        time.sleep(0.05)


def texts(found: list[Any]) -> str:
    return "".join(data["text"] for _, kind, data in found if kind == "text")


def test_a_reader_goes_on_where_it_was(hasty):
    with httpx2.Client(base_url=hasty.url) as client:
        name = ask(client, hasty, **LONG).json()["id"]
        first = [event for event in read(client, name, most=4) if event[1] == "text"]
        rest = read(client, name, after=first[-1][0])
        whole = read(client, name)
        assert texts(first) + texts(rest) == texts(whole)
        assert rest[-1][1] == "end"
        assert rest[-1][2]["reason"] == "length"
        assert rest[-1][2]["answer_tokens"] == 150
        assert read(client, name, after=10**9) == [whole[-1]]


def test_nobody_can_follow_or_stop_the_answer_of_another(patient):
    with httpx2.Client(base_url=patient.url) as mine, httpx2.Client(base_url=patient.url) as other:
        given = ask(mine, patient, **LONG)
        assert "HttpOnly" in given.headers["set-cookie"]
        assert "SameSite=strict" in given.headers["set-cookie"]
        assert "Max-Age" not in given.headers["set-cookie"]  # it goes with the browser
        name = given.json()["id"]
        ask(other, patient, max_tokens=1)  # a visitor with a cookie of its own
        refused = [
            client.request(method, f"/chat/answers/{path}")
            for client in (other, httpx2.Client(base_url=patient.url))
            for method in ("GET", "DELETE")
            for path in (name, "no-such-answer")
        ]
        assert {response.status_code for response in refused} == {404}
        assert len({response.json()["error"]["message"] for response in refused}) == 1
        assert mine.delete(f"/chat/answers/{name}").status_code == 204
        assert read(mine, name)[-1][2]["reason"] == "stopped"
        assert mine.delete(f"/chat/answers/{name}").status_code == 204  # and once more does no harm


def test_an_answer_that_nobody_reads_is_given_up(hasty):
    engine = hasty.served[0].engine
    with httpx2.Client(base_url=hasty.url) as client:
        read(client, ask(client, hasty, **LONG).json()["id"], most=2)  # one who came, and left
        names = [ask(client, hasty, **LONG).json()["id"] for _ in range(3)]
        assert engine.load().running + engine.load().waiting > 0
        until(lambda: not engine.load().running and not engine.load().waiting)
        kept = read(client, names[2])
        assert kept[-1][2]["reason"] in ("left", "length")


def test_only_so_many_are_kept(hasty):
    with httpx2.Client(base_url=hasty.url) as client:
        names = []
        for _ in range(BOUNDS.kept + 1):
            names.append(ask(client, hasty, max_tokens=1).json()["id"])
            read(client, names[-1])
        assert client.get(f"/chat/answers/{names[0]}").json()["error"]["code"] == "answer_not_found"
        assert read(client, names[1])[-1][1] == "end"


def test_more_than_can_wait_are_told_to_come_back(patient):
    with httpx2.Client(base_url=patient.url) as client:
        given = [ask(client, patient, **LONG) for _ in range(12)]  # two are answered, eight can wait
        refused = [response for response in given if response.status_code != 202]
        assert refused
        assert {response.status_code for response in refused} == {429}
        assert all(int(response.headers["retry-after"]) > 0 for response in refused)
        for response in given:
            if response.status_code == 202:
                client.delete(f"/chat/answers/{response.json()['id']}")
