"""An upstream as an engine: requests in line here, so many at once asked there, and what it says as our events."""

import asyncio
import json
import logging
import time
import traceback
from collections import Counter, deque
from collections.abc import AsyncIterator
from functools import partial

import httpx2

from fonderie.serve.engine.engine import Deliver, Limits, Load, QueueFullError
from fonderie.serve.engine.pace import Pace
from fonderie.serve.engine.request import NUMBERS, Capability, Event, Fault, Finished, PromptRead, Request
from fonderie.serve.engine.text import Decodes
from fonderie.serve.upstream.dialect import Dialect, Facts, GarbledError, Question, Reader

log = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 300.0
"""How long an upstream may say nothing: it has a line of its own, and reads long prompts."""
READY_SECONDS = 3.0
LINE_LIMIT_BYTES = 4 << 20
"""Of one event: the likeliest tokens of one token are some kilobytes."""
ERROR_LIMIT = 300
"""Characters of an upstream's error that are passed on."""
BUSY = (429, 503)
REFUSED = (400, 413, 422)


class AwayError(Exception):
    """Nobody answers there, or not now."""


class RefusedError(Exception):
    """The upstream says that the request is wrong."""


class Upstream:
    """Answers requests by asking an engine of others; made, used and closed in one event loop."""

    failure: str | None = None
    """An upstream comes back: nothing ends it for good."""

    def __init__(
        self,
        dialect: Dialect,
        facts: Facts,
        client: httpx2.AsyncClient,
        tokenizer: Decodes,
        deliver: Deliver,
        *,
        context: int,
        limits: Limits,
    ) -> None:
        self.kind = dialect.kind
        self.capabilities: frozenset[Capability] = dialect.capabilities
        self.limits = limits
        self.context = context
        self._dialect, self._facts, self._client = dialect, facts, client
        self._tokenizer, self._deliver = tokenizer, deliver
        self._waiting: deque[tuple[int, Request]] = deque()
        self._running: dict[int, asyncio.Task[Finished]] = {}
        self._counts: Counter[str] = Counter()
        self._busy, self._since = 0.0, 0.0
        self._closing = False
        self._pace = Pace()

    def submit(self, request: Request) -> int:
        """Put a request in line; returns its number, which no other request of the process has.

        NotSupportedError, ValueError, QueueFullError and RuntimeError as `Backend` says.
        """
        self._dialect.check(request)
        if len(request.prompt) + request.max_tokens > self.context:
            raise ValueError(
                f"{len(request.prompt)} tokens of prompt and {request.max_tokens} of answer are more than the "
                f"{self.context} that the upstream reads"
            )
        if self._closing:
            raise RuntimeError("the engine is closing")
        if len(self._waiting) >= self.limits.waiting:
            raise QueueFullError
        number = next(NUMBERS)
        self._waiting.append((number, request))
        self._ask_next()
        return number

    def cancel(self, number: int) -> None:
        """Give a request up; one that is being answered is hung up on, which ends it there too."""
        if number in self._running:
            self._running[number].cancel()
            return
        for waiting in [item for item in self._waiting if item[0] == number]:
            self._waiting.remove(waiting)
            self._deliver([(number, Finished("cancelled", len(waiting[1].prompt), 0))])

    def position(self, number: int) -> int | None:
        """How many are in line here before a request; None if it is not in line, or not any more."""
        return next((place for place, (waiting, _) in enumerate(self._waiting) if waiting == number), None)

    def load(self) -> Load:
        """What there is to do here, and what has been done; rounds are the upstream's own affair."""
        names = ("prompt_tokens", "answer_tokens", "cached_tokens")
        busy = self._busy + (time.perf_counter() - self._since if self._running else 0.0)
        counts = {name: self._counts[name] for name in names}
        return Load(
            len(self._running),
            len(self._waiting),
            **counts,
            rounds=0,
            busy_seconds=busy,
            seconds_each=self._pace.each,
        )

    def close(self, *, finish: bool = True, timeout: float | None = None) -> bool:  # noqa: ARG002
        """Take nothing more; without `finish`, give up what is there. Returns whether nothing is left."""
        self._closing = True
        if not finish:
            for number in [*self._running, *(number for number, _ in self._waiting)]:
                self.cancel(number)
        return not (self._running or self._waiting)

    async def problem(self) -> str | None:
        """Whether the upstream says that it is well."""
        try:
            response = await self._client.get("/health", timeout=READY_SECONDS)
        except httpx2.HTTPError as error:
            return f"the upstream does not answer ({type(error).__name__})"
        return None if response.is_success else f"the upstream says {response.status_code}"

    def _ask_next(self) -> None:
        while self._waiting and len(self._running) < self.limits.batch:
            number, request = self._waiting.popleft()
            if not self._running:
                self._since = time.perf_counter()
            task = asyncio.get_running_loop().create_task(self._answer(number, request))
            task.add_done_callback(partial(self._ended, number, request))
            self._running[number] = task

    def _ended(self, number: int, request: Request, task: asyncio.Task[Finished]) -> None:
        # One that is given up before it has begun is cancelled without a step of its own.
        end = Finished("cancelled", len(request.prompt), 0) if task.cancelled() else task.result()
        del self._running[number]
        if not self._running:
            self._busy += time.perf_counter() - self._since
        self._counts["prompt_tokens"] += end.prompt_tokens
        self._counts["answer_tokens"] += end.answer_tokens
        self._counts["cached_tokens"] += end.cached_tokens
        self._deliver([(number, end)])
        self._ask_next()

    async def _answer(self, number: int, request: Request) -> Finished:
        """One request, to its end, whatever comes."""
        reader = self._dialect.reader(request, self._tokenizer)
        begun = time.monotonic()
        try:
            end = await self._answered(number, request, reader)
        except asyncio.CancelledError:
            return Finished("cancelled", len(request.prompt), reader.answer_tokens)
        except AwayError as error:
            return _failed(request, reader, "away", str(error))
        except httpx2.HTTPError as error:
            return _failed(request, reader, "away", f"the upstream does not answer ({type(error).__name__})")
        except RefusedError as error:
            return _failed(request, reader, "refused", f"the upstream refuses: {error}")
        except GarbledError as error:
            log.error("the upstream cannot be understood: %s", error)
            said = f": {error.said}" if error.said else ""
            return _failed(request, reader, "garbled", f"the upstream cannot be understood: {error}{said}")
        except Exception as error:
            # Where it happened, without the error's own words: they may hold somebody's text.
            place = "".join(traceback.format_tb(error.__traceback__))
            log.error("an answer of the upstream could not be read: %s\n%s", type(error).__name__, place)
            return _failed(request, reader, "failed", type(error).__name__)
        self._pace.add(time.monotonic() - begun)
        return end

    async def _answered(self, number: int, request: Request, reader: Reader) -> Finished:
        if request.max_tokens == 0 and not request.prompt_logprobs:  # a prompt that is only read: nothing to ask
            self._tell(number, [PromptRead(0)])
            return Finished("length", len(request.prompt), 0)
        question = self._dialect.question(request, self._facts)
        async with self._client.stream("POST", question.path, json=question.body) as response:
            if not response.is_success:
                raise _refusal(response.status_code, await response.aread())
            async for said in _objects(response, question):
                self._tell(number, list(reader.read(said)))
                if reader.end is not None:
                    return reader.end
        self._tell(number, list(reader.closed()))
        assert reader.end is not None
        return reader.end

    def _tell(self, number: int, events: list[Event]) -> None:
        if events:
            self._deliver([(number, event) for event in events])


async def _objects(response: httpx2.Response, question: Question) -> AsyncIterator[dict[str, object]]:
    """The JSON objects of a stream of server-sent events, one to a line as these engines write them; or the one."""
    if not question.streamed:
        yield _object(await response.aread())
        return
    async for line in _lines(response):
        if line.startswith(b"data:"):
            data = line.removeprefix(b"data:").strip()
            if data == b"[DONE]":
                return
            yield _object(data)
        elif line.startswith(b"error:"):  # llama-server's
            yield _object(line.removeprefix(b"error:"))


async def _lines(response: httpx2.Response) -> AsyncIterator[bytes]:
    """Lines as servers of events end them; httpx2's own would end at U+2028 too, which stands in JSON as it is."""
    rest = b""
    async for data in response.aiter_bytes():
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line
        if len(rest) > LINE_LIMIT_BYTES:
            raise GarbledError("it says a line without an end")
    yield rest


def _object(data: bytes) -> dict[str, object]:
    try:
        found = json.loads(data)
    except ValueError as error:
        raise GarbledError("what it says is no JSON") from error
    if not isinstance(found, dict):
        raise GarbledError("what it says is no JSON object")
    if "error" in found:
        raise GarbledError("it breaks an answer off with an error", _message(found))
    return found


def _refusal(status: int, data: bytes) -> Exception:
    try:
        said = _message(json.loads(data))
    except ValueError:
        said = "nothing that can be read"
    if status in BUSY:
        return AwayError(f"the upstream is busy or not ready ({status})")
    if status in REFUSED:
        return RefusedError(said)
    if status in (401, 403):
        return GarbledError(f"it does not take our key ({status})")
    return GarbledError(f"it says {status}", said)


def _message(said: object) -> str:
    """An error of OpenAI's shape, or of vLLM's older one."""
    found = said.get("error", said) if isinstance(said, dict) else said
    text = found.get("message") if isinstance(found, dict) else found
    return str(text)[:ERROR_LIMIT]


def _failed(request: Request, reader: Reader, fault: Fault, message: str) -> Finished:
    return Finished("error", len(request.prompt), reader.answer_tokens, message=message, fault=fault)
