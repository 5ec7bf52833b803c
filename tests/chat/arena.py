"""Two releases that differ in name and nothing else, on the whole site, with a database to look into."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Table, func, select
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from tests.serve.serving import Running

from fonderie.chat.site.app import add_site
from fonderie.chat.site.evaluating import add_evaluating
from fonderie.chat.site.running import Runs
from fonderie.chat.site.sealing import Seals
from fonderie.serve.access import Door
from fonderie.serve.api.app import make_api
from fonderie.serve.database.base import Database, open_database
from fonderie.serve.served import Served

SHADOW = "ombre-9.9.9"
QUESTION = "Que fait le chat ?"


def shadow_of(release: Path, folder: Path) -> Path:
    """The same release under another name."""
    shutil.copytree(release, folder)
    index = json.loads((folder / "release.json").read_text(encoding="utf-8"))
    index["name"], index["version"] = SHADOW.rsplit("-", 1)
    (folder / "release.json").write_text(json.dumps(index), encoding="utf-8")
    return folder


@dataclass
class Arena:
    """A served site that can be evaluated on."""

    running: Running
    database: Database
    heard: "Heard"
    """Everything that was sent to anybody, until it is cleared."""

    @property
    def url(self) -> str:
        return self.running.url

    @property
    def names(self) -> list[str]:
        """What nobody may read before a vote: names and digests, in every form that is shown anywhere."""
        found = []
        for one in self.running.served:
            digest = one.digest.removeprefix("sha256:")
            found += [one.name, one.index.name, digest, digest[:12], one.index.model_digest[7:19], "fp_"]
        return found

    def count(self, table: Table) -> int:
        with self.database.read() as connection:
            return int(connection.scalar(select(func.count()).select_from(table)) or 0)

    def rows(self, table: Table) -> list[Any]:
        with self.database.read() as connection:
            return list(connection.execute(select(table)))


class Heard:
    """Around an application: keeps every byte that leaves it, by the path that was asked."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def heard(message: Message) -> None:
            if scope["type"] == "http":
                head = b"".join(key + b": " + value + b"\n" for key, value in message.get("headers", ()))
                self.sent.append((scope["path"], head + message.get("body", b"")))
            await send(message)

        await self.app(scope, receive, heard)


class Making:
    """Makes the application, and keeps the database that it has."""

    def __init__(self, folder: Path, *, contenders: Sequence[str] = (), proof_of_work_bits: int = 0) -> None:
        self.database = open_database(f"sqlite:///{folder / 'service.db'}")
        self.heard = Heard()
        self._contenders, self._bits = contenders, proof_of_work_bits

    def __call__(self, served: list[Served]) -> ASGIApp:
        models = {one.name: one for one in served}
        there, runs, seals = Door(self.database), Runs(), Seals(self.database)
        app = make_api(models, there)
        site = add_site(app, models, there, runs=runs, seals=seals)
        add_evaluating(
            site,
            models,
            there,
            self.database,
            runs=runs,
            seals=seals,
            contenders=self._contenders,
            proof_of_work_bits=self._bits,
        )
        self.heard.app = app
        return self.heard


def consent_form(client: httpx.Client, language: str = "fr") -> dict[str, str]:
    """What the form of the page sends besides the boxes."""
    page = client.get(f"/{language}/consent").text
    return {name: page.split(f'name="{name}" value="', 1)[1].split('"', 1)[0] for name in ("version", "hash")}


def agree(client: httpx.Client, *boxes: str, language: str = "fr") -> httpx.Response:
    """Send the form with some boxes ticked."""
    return client.post(
        f"/{language}/consent", data={**consent_form(client, language), **dict.fromkeys(boxes, "on")}
    )


def begin(client: httpx.Client, text: str = QUESTION) -> dict[str, Any]:
    """A duel whose first round has been answered."""
    state: dict[str, Any] = client.post("/duels", json={"text": text, "locale": "fr"}).raise_for_status().json()
    read(client, state)
    return state


def read(client: httpx.Client, state: dict[str, Any], number: int = -1) -> dict[str, str]:
    """Both streams of a round to their ends, as they came."""
    number %= len(state["rounds"])
    return {side: client.get(f"/duels/{state['id']}/{number}/{side}").raise_for_status().text for side in "ab"}


def vote(client: httpx.Client, state: dict[str, Any], number: int = 0, **more: Any) -> httpx.Response:
    body = {"choice": "a", "keep": True, "reveal": True, **more}
    return client.post(f"/duels/{state['id']}/{number}/vote", json=body)


def text_of(stream: str) -> str:
    """The answer that a stream of events holds."""
    blocks = [block.split("\n") for block in stream.split("\n\n")]
    texts = [lines for lines in blocks if "event: text" in lines]
    return "".join(json.loads(lines[-1].removeprefix("data: "))["text"] for lines in texts)
