"""What an upstream must be told and how it is understood: one dialect for each engine."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import httpx2

from fonderie.serve.engine.request import Capability, Event, Finished, Request
from fonderie.serve.engine.text import Decodes


class GarbledError(Exception):
    """The upstream said something that it should not, or not now.

    The message is ours, and goes into the log. `said` is the upstream's, and only for whoever asked: it may hold
    their words.
    """

    def __init__(self, message: str, said: str = "") -> None:
        super().__init__(message)
        self.said = said


@dataclass(frozen=True)
class Question:
    """One request as the upstream is asked it."""

    path: str
    body: dict[str, Any]
    streamed: bool = True
    """Whether the answer comes as server-sent events, or as one JSON object."""


@dataclass(frozen=True)
class Facts:
    """What an upstream says of itself."""

    model: str
    """What it calls the model."""
    context: int
    """Tokens that it reads."""


class Reader(Protocol):
    """One answer of an upstream, as it comes."""

    answer_tokens: int
    """So far."""
    end: Finished | None
    """How it ended; nothing more is read then, and the upstream is hung up on."""

    def read(self, said: dict[str, Any]) -> Iterator[Event]:
        """What one object of the upstream's means, but for the end. GarbledError if it means nothing."""
        ...

    def closed(self) -> Iterator[Event]:
        """The upstream has said its last word; `end` is there from now on. GarbledError if it broke off before."""
        ...


class Dialect(Protocol):
    """How one kind of engine is spoken with."""

    kind: str
    capabilities: frozenset[Capability]

    def facts(self, client: httpx2.Client, name: str, *, alone: bool) -> Facts:
        """Who is there, for a release of this name; `alone` if it is the only one served.

        httpx2.HTTPError if nobody answers, GarbledError if it is no such engine, UsageError for another model.
        """
        ...

    def spelt(self, client: httpx2.Client, model: str, ids: list[int]) -> str:
        """What the upstream reads these tokens as."""
        ...

    def check(self, request: Request) -> None:
        """NotSupportedError for what this engine cannot honour."""
        ...

    def question(self, request: Request, facts: Facts) -> Question:
        """What it is asked."""
        ...

    def reader(self, request: Request, tokenizer: Decodes) -> Reader:
        """What understands the answer."""
        ...
