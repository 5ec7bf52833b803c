"""The engine: one thread, one model, continuous batching (Orca, OSDI 2022).

In each round it takes in what was asked and given up meanwhile, reads one chunk of one prompt, and lets every
request whose prompt is read say one token; so a long prompt delays nobody by more than a chunk, a request that is
given up is gone within a round, and one that ends makes room for the next in line at once.
"""

import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import get_args

import torch

from fonderie.core.machine import available_cores
from fonderie.model.language_model import LanguageModel
from fonderie.model.transformer import Decoder
from fonderie.serve.engine.device import DeviceSlots
from fonderie.serve.engine.pace import Pace
from fonderie.serve.engine.prefix import PrefixCache
from fonderie.serve.engine.request import NUMBERS, Capability, Event, Finished, Request
from fonderie.serve.engine.running import Running
from fonderie.serve.engine.single import SingleSlot
from fonderie.serve.engine.slots import CHUNK, Room, Slots
from fonderie.serve.engine.text import Decodes

log = logging.getLogger(__name__)

Deliver = Callable[[list[tuple[int, Event]]], None]
"""Called in the engine's thread, once a round, with the number of each request and what became of it, in order."""


class QueueFullError(Exception):
    """So many requests wait that another is turned away."""


@dataclass(frozen=True)
class Limits:
    """How much at once."""

    batch: int = 16
    """Requests that are answered at the same time."""
    waiting: int = 256
    """Requests in line; one more is turned away."""
    tokens: int | None = None
    """Tokens that the requests being answered may come to, prompts and longest answers; None: as the slots hold."""
    prefix_bytes: int = 256 << 20
    """Memory for what prompts have in common."""


@dataclass(frozen=True)
class Load:
    """What the engine has to do at one moment, and what it has done since it began."""

    running: int
    waiting: int
    prompt_tokens: int
    answer_tokens: int
    cached_tokens: int
    rounds: int
    busy_seconds: float
    """Time spent on rounds, as opposed to waiting for something to do."""
    seconds_each: float | None = None
    """What the last answers took, from their beginning to their end; None before any has ended."""

    def seconds_before(self, place: int) -> float | None:
        """About how long who has so many before them in line will wait; None if there is nothing to tell it by.

        As long as a line is there, one of `running` answers ends every `seconds_each` / `running` seconds (Little,
        Operations Research 9, 1961), and `place` + 1 must end. Measured on the last answers, under the load then.
        """
        return None if self.seconds_each is None else (place + 1) * self.seconds_each / max(1, self.running)


class Engine:
    """Answers requests until it is closed. All methods may be called from any thread."""

    kind = "fonderie"
    capabilities: frozenset[Capability] = frozenset(get_args(Capability))
    """All of them."""

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Decodes,
        deliver: Deliver,
        *,
        limits: Limits | None = None,
        threads: int | None = 1,
    ) -> None:
        """`threads` None: as many as are fastest."""
        # A model of another family has one slot, whatever is asked for.
        self.limits = replace(limits or Limits(), **({} if isinstance(model, Decoder) else {"batch": 1}))
        self.context = model.config.context
        self._model, self._tokenizer, self._deliver = model.eval(), tokenizer, deliver
        self._threads = threads
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, Request]] = deque()
        self._given_up: set[int] = set()
        self._closing = self._dropping = False
        self._running: list[Running] = []
        self._counts = dict.fromkeys(("prompt_tokens", "answer_tokens", "cached_tokens", "rounds"), 0)
        self._busy = 0.0
        self._pace = Pace()
        self.failure: str | None = None
        """What ended the engine, if anything did; nothing is answered from then on."""
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> int:
        """Put a request in line; returns its number, which no other request of the process has.

        ValueError if it does not fit into the context, QueueFullError if too many wait, RuntimeError when closing.
        """
        room = self.context - len(request.prompt)
        if room < request.max_tokens or room < 0:
            raise ValueError(
                f"{len(request.prompt)} tokens of prompt and {request.max_tokens} of answer are more than the "
                f"{self.context} that the model reads"
            )
        with self._changed:
            if self.failure is not None or self._closing:
                raise RuntimeError(self.failure or "the engine is closing")
            if len(self._waiting) >= self.limits.waiting:
                raise QueueFullError
            number = next(NUMBERS)
            self._waiting.append((number, request))
            self._changed.notify()
        return number

    def cancel(self, number: int) -> None:
        """Give a request up; its last event says "cancelled". One that has ended already is left alone."""
        with self._changed:
            self._given_up.add(number)
            self._changed.notify()

    def position(self, number: int) -> int | None:
        """How many are in line before a request; None if it is not in line, or not any more."""
        with self._changed:
            return next((place for place, (waiting, _) in enumerate(self._waiting) if waiting == number), None)

    def load(self) -> Load:
        """What there is to do, and what has been done."""
        with self._changed:
            return Load(
                len(self._running),
                len(self._waiting),
                **self._counts,
                busy_seconds=self._busy,
                seconds_each=self._pace.each,
            )

    async def problem(self) -> str | None:
        """What ended it, if anything did."""
        return self.failure

    def close(self, *, finish: bool = True, timeout: float | None = None) -> bool:
        """Take nothing more; finish what was taken, or drop it. Returns whether all had ended in time."""
        with self._changed:
            self._closing = True
            self._dropping = self._dropping or not finish
            self._changed.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        torch.set_num_threads(self._threads or available_cores())
        try:
            with torch.inference_mode():
                room, prefixes = self._make_room()
                while self._wait():
                    begun = time.perf_counter()
                    self._round(room, prefixes)
                    self._busy += time.perf_counter() - begun
        except BaseException as error:  # a panic in a library of Rust is no Exception
            # Without the error's own words: they may hold somebody's text.
            place = "".join(traceback.format_tb(error.__traceback__))
            log.error("the engine has failed: %s\n%s", type(error).__name__, place)
            self._fail(f"{type(error).__name__}")

    def _make_room(self) -> tuple[Room, PrefixCache | None]:
        model = self._model
        del self._model  # `Slots` has weights of its own: unless somebody else needs the model, it can go
        if not isinstance(model, Decoder):
            return SingleSlot(model), None
        if model.embedding.weight.device.type != "cpu":
            room = DeviceSlots(model, self.limits.batch)
            return room, PrefixCache(room, self.limits.prefix_bytes)
        slots = Slots(model, self.limits.batch, self._threads)
        return slots, PrefixCache(slots, self.limits.prefix_bytes)

    def _wait(self) -> bool:
        """Sleep until there is something to do; false when all is done and the engine closes."""
        with self._changed:
            while not (self._waiting or self._running or self._given_up):
                if self._closing:
                    return False
                self._changed.wait()
            return True

    def _round(self, room: Room, prefixes: PrefixCache | None) -> None:
        ended = self._take_in(room)
        self._read(room, prefixes)
        self._go_on(room, prefixes)
        events = [*ended, *((running.number, event) for running in self._running for event in running.events)]
        with self._changed:
            for running in self._running:
                end = running.events[-1] if running.events else None
                if isinstance(end, Finished) and end.reason in ("stop", "length"):
                    self._pace.add(time.monotonic() - running.begun)
                running.events.clear()
                if running.done:
                    self._counts["prompt_tokens"] += len(running.request.prompt)
                    self._counts["answer_tokens"] += len(running.history.said)
                    self._counts["cached_tokens"] += running.cached
            self._counts["rounds"] += 1
            self._running = [running for running in self._running if not running.done]
        if events:
            self._deliver(events)

    def _take_in(self, room: Room) -> list[tuple[int, Event]]:
        """End what was given up, and give free slots to the first in line."""
        ended: list[tuple[int, Event]] = []
        with self._changed:
            given_up, self._given_up = self._given_up, set()
            if self._dropping:
                given_up |= {number for number, _ in self._waiting} | {running.number for running in self._running}
            for number, request in [item for item in self._waiting if item[0] in given_up]:
                self._waiting.remove((number, request))
                ended.append((number, Finished("cancelled", len(request.prompt), 0)))
            for running in self._running:
                if running.number in given_up:
                    running.finish("cancelled")
            running_now = [running for running in self._running if not running.done]
            free = sorted(set(range(room.count)) - {running.slot for running in running_now})
            held = sum(len(running.request.prompt) + running.request.max_tokens for running in running_now)
            budget = self.limits.tokens or room.count * room.context
            while self._waiting and free:
                number, request = self._waiting[0]
                held += len(request.prompt) + request.max_tokens
                # One that is larger than the whole budget is answered alone, and not never.
                if held > budget and running_now:
                    break
                running_now.append(Running(number, request, free.pop(0), self._tokenizer))
                self._running.append(running_now[-1])
                self._waiting.popleft()
        return ended

    def _read(self, room: Room, prefixes: PrefixCache | None) -> None:
        """One chunk of the prompt that came first; while nobody is saying anything, of each."""
        reading = [running for running in self._running if running.reading and not running.done]
        saying = any(not running.reading and not running.done for running in self._running)
        for running in reading[:1] if saying else reading:
            self._skip(running, prefixes)
            running.read_chunk(room)
            if prefixes is not None and running.read % CHUNK == 0:
                prefixes.keep(running.slot, running.request.prompt[: running.read])

    @staticmethod
    def _skip(running: Running, prefixes: PrefixCache | None) -> None:
        """Take what others have read meanwhile: choices of one prompt begin together, and read it once."""
        request = running.request
        if prefixes is not None and not (request.prompt_logprobs or request.embed):  # these want what is read
            filled = prefixes.fill(running.slot, request.prompt, running.read)
            running.cached += filled - running.read
            running.read = filled

    def _go_on(self, room: Room, prefixes: PrefixCache | None) -> None:
        """One token more for each whose prompt is read."""
        saying = [running for running in self._running if not running.reading and not running.done]
        if not saying:
            return
        slots, tokens = [running.slot for running in saying], [running.last for running in saying]
        logits_RV = room.logits(room.go_on(slots, tokens, [running.length for running in saying]))
        for row, running in enumerate(saying):
            running.say(logits_RV[row])
            if prefixes is not None and isinstance(room, Slots) and running.length % CHUNK == 0:
                # The next question of a conversation brings this answer along.
                prefixes.keep(running.slot, (*running.request.prompt, *running.history.said)[: running.length])

    def _fail(self, reason: str) -> None:
        with self._changed:
            self.failure = f"the engine has failed: {reason}"
            lost = [(running.number, len(running.request.prompt)) for running in self._running]
            lost += [(number, len(request.prompt)) for number, request in self._waiting]
            self._running, self._waiting = [], deque()
        self._deliver([(number, Finished("error", size, 0, message=self.failure)) for number, size in lost])
