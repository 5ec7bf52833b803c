"""From the engine's thread to those who wait: answers are streams of events, given up when nobody reads them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from fonderie.serve.backend import Backend
from fonderie.serve.engine.request import Event, Finished, Piece, Request

Numbered = tuple[int, Event]
"""Which of the requests asked together, and what became of it."""


class Filter(Protocol):
    """What stands between the engine and those who wait; `fonderie.serve.guards` makes them."""

    @property
    def cut(self) -> bool:
        """Whether it lets nothing more out."""
        ...

    def take(self, event: Event) -> list[Event]:
        """What goes on instead of an event."""
        ...


Told = Callable[[int, int], None]
"""Told the tokens of a prompt and of an answer when it has ended, also if nobody reads it any more."""
Spent = Callable[[int], Told]
"""Told how many tokens a request may take before it is asked; may refuse, and says whom to tell what it took."""
Watcher = Callable[[Event, float], None]
"""Told the first piece of an answer, and its end, with the seconds since it was asked."""


class Answers:
    """Where an engine delivers; made and read in one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._places: dict[int, tuple[asyncio.Queue[Numbered], int]] = {}
        self._accounts: dict[int, _Account] = {}
        self._asked_at: dict[int, float] = {}
        self._silent: set[int] = set()
        """Those of which nothing has been said yet."""
        self._watchers: list[Watcher] = []

    def watch(self, watcher: "Watcher") -> None:
        """From now on tell somebody of every answer's first piece, and of its end."""
        self._watchers.append(watcher)

    def deliver(self, events: list[tuple[int, Event]]) -> None:
        """Called in the engine's thread; one wake-up of the loop for a whole round."""
        self._loop.call_soon_threadsafe(self._sort, events)

    def _sort(self, events: list[tuple[int, Event]]) -> None:
        for number, event in events:
            account = self._accounts.get(number)
            if account is not None:
                account.take(event)
                if isinstance(event, Finished):
                    del self._accounts[number]
            self._show(number, event)
            place = self._places.get(number)
            if place is not None:  # else nobody waits any more
                place[0].put_nowait((place[1], event))

    def _show(self, number: int, event: Event) -> None:
        first = isinstance(event, Piece) and number in self._silent
        if not (first or isinstance(event, Finished)):
            return
        self._silent.discard(number)
        begun = self._asked_at.get(number)
        if isinstance(event, Finished):
            self._asked_at.pop(number, None)
        if begun is not None:
            for watcher in self._watchers:
                watcher(event, time.perf_counter() - begun)

    @asynccontextmanager
    async def ask(self, engine: Backend, requests: Sequence[Request], spent: Spent) -> AsyncIterator["Asked"]:
        """The answers to requests; leaving the block gives up what has not ended, and what it took is counted.

        What `spent` and `Backend.submit` raise comes from here, and then none is asked.
        """
        asked = Asked(engine)
        try:
            for index, request in enumerate(requests):
                told = spent(len(request.prompt) + request.max_tokens)
                try:
                    number = engine.submit(request)
                except BaseException:
                    told(0, 0)
                    raise
                # Nothing is delivered between these lines: `_sort` runs in this loop.
                self._places[number] = asked.queue, index
                self._asked_at[number] = time.perf_counter()
                self._silent.add(number)
                # Choices of one prompt share it, and it is counted once.
                again = index > 0 and request.prompt is requests[index - 1].prompt
                self._accounts[number] = _Account(told, again)
                asked.open[index] = number
                asked.numbers.add(number)
            yield asked
        finally:
            for number in asked.numbers:
                self._places.pop(number, None)
            for number in asked.open.values():
                engine.cancel(number)

    def give_up(self, engine: Backend) -> None:
        """End everything that runs or waits; the last event of each still comes, and says "cancelled"."""
        for number in list(self._places):
            engine.cancel(number)


@dataclass
class _Account:
    """What one request takes."""

    told: Told
    prompt_is_counted: bool
    """With another choice of it."""
    begun: bool = False

    def take(self, event: Event) -> None:
        """One event more. What the engine failed at is not counted, nor is what was given up before it began."""
        if not isinstance(event, Finished):
            self.begun = True
        elif event.reason == "error" or (event.reason == "cancelled" and not self.begun):
            self.told(0, 0)
        else:
            self.told(0 if self.prompt_is_counted else event.prompt_tokens, event.answer_tokens)


class Asked:
    """The events of requests that were asked together; the last of each is `Finished`."""

    def __init__(self, engine: Backend) -> None:
        self._engine = engine
        self.queue: asyncio.Queue[Numbered] = asyncio.Queue()
        self.open: dict[int, int] = {}
        """By the request's place among them, the engine's numbers of those that have not ended."""
        self.numbers: set[int] = set()
        self.filters: Sequence[Filter] | None = None
        """What the events of each go through; None: nothing."""
        self._ahead: Numbered | None = None
        """What `peek` has seen."""

    async def next(self, patience_seconds: float) -> Numbered | None:
        """The next event of any; None if none comes in time."""
        found = await self.peek(patience_seconds)
        self._ahead = None
        if found is not None and isinstance(found[1], Finished):
            del self.open[found[0]]
        return found

    async def peek(self, patience_seconds: float) -> Numbered | None:
        """The same event that `next` will give."""
        if self._ahead is None:
            if self.queue.empty():
                try:
                    async with asyncio.timeout(patience_seconds):
                        self._ahead = await self.queue.get()
                except TimeoutError:
                    return None
            else:
                self._ahead = self.queue.get_nowait()
        return self._ahead

    async def until_ended(self, patience_seconds: float) -> AsyncIterator[Numbered | None]:
        """The events as they come; None when none has come for so long."""
        while self.open:
            item = await self.next(patience_seconds)
            if item is None or self.filters is None:
                yield item
                continue
            index, event = item
            for kept in self.filters[index].take(event):
                yield index, kept
            if self.filters[index].cut and index in self.open:
                self._engine.cancel(self.open[index])

    def give_up(self) -> None:
        """End what has not ended; the last event of each still comes, and says "cancelled"."""
        for number in self.open.values():
            self._engine.cancel(number)

    @property
    def position(self) -> int | None:
        """How many are in line before the first that has not ended; None once it is being answered."""
        return next((self._engine.position(number) for number in self.open.values()), None)

    @property
    def seconds_to_wait(self) -> float | None:
        """About how long its place in line will take, as `Load.seconds_before` tells it; None if nobody knows."""
        place = self.position
        return None if place is None else self._engine.load().seconds_before(place)
