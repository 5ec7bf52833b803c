"""Asking an engine from a test: requests in, all that became of each out."""

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fonderie.model.language_model import LanguageModel
from fonderie.serve.engine.engine import Engine, Limits
from fonderie.serve.engine.request import Event, Finished, Piece, PromptRead, Request, TokenLogprob
from fonderie.tokens.tokenizer import Tokenizer

PATIENCE_SECONDS = 60


@dataclass
class Answered:
    """All that became of one request."""

    events: list[Event]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Piece))

    @property
    def logprobs(self) -> list[TokenLogprob]:
        return [entry for event in self.events if isinstance(event, Piece) for entry in event.logprobs]

    @property
    def prompt(self) -> PromptRead:
        (found,) = (event for event in self.events if isinstance(event, PromptRead))
        return found

    @property
    def end(self) -> Finished:
        last = self.events[-1]
        assert isinstance(last, Finished)
        return last


@dataclass
class Desk:
    """An engine, and where it delivers."""

    engine: Engine = field(init=False)
    events: dict[int, list[Event]] = field(default_factory=lambda: defaultdict(list))
    changed: threading.Condition = field(default_factory=threading.Condition)

    def deliver(self, events: list[tuple[int, Event]]) -> None:
        with self.changed:
            for number, event in events:
                self.events[number].append(event)
            self.changed.notify_all()

    def wait(self, number: int, kind: type[Event] = Finished) -> Answered:
        """Until an event of a kind has come."""

        def there() -> bool:
            return any(isinstance(event, kind) for event in self.events[number])

        with self.changed:
            assert self.changed.wait_for(there, PATIENCE_SECONDS), f"no {kind.__name__} came"
            return Answered(list(self.events[number]))

    def ask(self, *requests: Request) -> list[Answered]:
        """All at once; waits for all."""
        numbers = [self.engine.submit(request) for request in requests]
        return [self.wait(number) for number in numbers]


@contextmanager
def desk(model: LanguageModel, tokenizer: Tokenizer, **limits: Any) -> Iterator[Desk]:
    """An engine for as long as the block lasts."""
    made = Desk()
    made.engine = Engine(model, tokenizer, made.deliver, limits=Limits(**limits))
    try:
        yield made
    finally:
        assert made.engine.close(finish=False, timeout=PATIENCE_SECONDS)


def prompt(tokenizer: Tokenizer, text: str, tokens: int | None = None) -> tuple[int, ...]:
    """A text's tokens after the first of all; repeated to a length, if one is given."""
    ids = tokenizer.encode(text)
    if tokens is not None:
        ids = (ids * (tokens // len(ids) + 1))[: tokens - 1]
    return (tokenizer.bos, *ids)


def requests(prompts: Sequence[tuple[int, ...]], **settings: Any) -> list[Request]:
    """One of each."""
    return [Request(ids, **settings) for ids in prompts]
