"""From a request's fields to the engine's requests, and from its events to choices."""

import json
import math
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from fonderie.serve.answers import Asked, Spent
from fonderie.serve.api.errors import ApiError, bad, busy, closed
from fonderie.serve.api.fields import Generating, ResponseFormat
from fonderie.serve.backend import Backend, NotSupportedError
from fonderie.serve.engine.engine import QueueFullError
from fonderie.serve.engine.grammar import ANY_OBJECT, Grammar, GrammarError, json_grammar
from fonderie.serve.engine.request import Event, Fault, Finished, Piece, PromptRead, Request, Sampling, TokenLogprob
from fonderie.serve.guards.filtered import filters_for
from fonderie.serve.served import Served, seed_of

KEEP_ALIVE_SECONDS = 15.0
LONGEST_RETRY_SECONDS = 120
"""When a client may come back that was turned away, at the latest."""
AWAY_SECONDS = 5
"""After which to try again when an upstream does not answer."""


@dataclass(frozen=True)
class Params:
    """What a route calls the fields that errors name."""

    prompt: str
    length: str = "max_tokens"
    form: str = "response_format"


@dataclass
class Choice:
    """One answer as it grows."""

    text: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    prompt: PromptRead | None = None
    end: Finished | None = None

    def take(self, event: Event) -> None:
        """One event more. ApiError where the engine could not go on."""
        if isinstance(event, Piece):
            self.text.append(event.text)
            self.logprobs += event.logprobs
        elif isinstance(event, PromptRead):
            self.prompt = event
        else:
            self.end = event
            failed = failure(event)
            if failed is not None:
                raise failed

    @property
    def finish_reason(self) -> str:
        """As OpenAI names it."""
        assert self.end is not None
        return self.end.reason


FAULTS: Mapping[Fault, Callable[[str], ApiError]] = {
    "failed": lambda why: ApiError(500, f"the answer could not be finished: {why}", code="engine_error"),
    "schema": lambda why: bad(f"the answer could not be finished: {why}", "response_format", code="invalid_schema"),
    "away": lambda why: closed(f"{why}; try again in a moment", retry_after_seconds=AWAY_SECONDS),
    "garbled": lambda why: ApiError(502, why, code="bad_upstream"),
    "refused": lambda why: bad(why, code="refused_upstream"),
}


def failure(end: Finished) -> ApiError | None:
    """What a client is told of an answer that did not end by itself."""
    if end.reason == "error":
        return FAULTS[end.fault](end.message)
    if end.reason == "cancelled":
        return closed("the service is closing; the answer was cut off")
    return None


def ids_of(served: Served, given: str | list[int], param: str) -> tuple[int, ...]:
    """The tokens of a text, after the one that begins every document; of ids, themselves.

    ApiError for a text that cannot fit into the context, and for an id that is no token.
    """
    if isinstance(given, str):
        served.check_length(given, param)
        return (served.tokenizer.bos, *served.tokenizer.encode(given))
    largest = served.tokenizer.vocabulary - 1
    if max(given) > largest:
        raise bad(f"{param} holds token {max(given)}; the largest is {largest}", param)
    return tuple(given)


def requests_of(
    served: Served,
    prompt: tuple[int, ...],
    fields: Generating,
    *,
    max_tokens: int | None,
    top_logprobs: int | None,
    prompt_logprobs: bool = False,
    response_format: ResponseFormat | None = None,
    end_ids: frozenset[int],
    params: Params,
) -> list[Request]:
    """One request for each choice; ApiError names the field that cannot be honoured."""
    room = served.engine.context - len(prompt)
    if room < 0 or (room == 0 and max_tokens != 0):
        raise bad(
            f"{_longest(served)}: the prompt has {len(prompt)} of them, and the answer needs some",
            params.prompt,
            code="context_length_exceeded",
        )
    wanted = room if max_tokens is None else max_tokens
    if wanted > room:
        raise bad(
            f"{_longest(served)}: {len(prompt)} of prompt and {params.length} {wanted} are more",
            params.length,
            code="context_length_exceeded",
        )
    fresh = secrets.randbits(63)
    schema = _schema(response_format)
    grammar = None if schema is None else _grammar(served, schema, params.form)
    return [
        Request(
            prompt,
            wanted,
            Sampling(
                temperature=fields.temperature,
                top_p=fields.top_p,
                top_k=fields.top_k,
                min_p=fields.min_p,
                presence_penalty=fields.presence_penalty,
                frequency_penalty=fields.frequency_penalty,
                repetition_penalty=fields.repetition_penalty,
                logit_bias=_bias(fields.logit_bias, served.tokenizer.vocabulary),
                seed=seed_of(fields.seed, fresh, choice),
            ),
            stop=fields.stops,
            stop_ids=end_ids,
            top_logprobs=top_logprobs,
            prompt_logprobs=prompt_logprobs,
            grammar=grammar,
            schema=None if schema is None else json.dumps(schema),
        )
        for choice in range(fields.n)
    ]


def _schema(response_format: ResponseFormat | None) -> dict[str, Any] | None:
    if response_format is None or response_format.type == "text":
        return None
    given = response_format.json_schema
    return ANY_OBJECT if given is None else given.schema_


def _longest(served: Served) -> str:
    # In OpenAI's words: litellm and others know this error by them, and not by its code.
    return f"This model's maximum context length is {served.engine.context} tokens"


def _grammar(served: Served, schema: dict[str, Any], param: str) -> Grammar | None:
    try:
        grammar = json_grammar(schema)
        return None if served.grammars is None else served.grammars.compiled(grammar)
    except GrammarError as error:
        raise bad(str(error), param) from error


def _bias(given: dict[str, float], vocabulary: int) -> dict[int, float]:
    found: dict[int, float] = {}
    for name, value in given.items():
        # Thousands of digits would be more than Python reads.
        if not (name.isascii() and name.isdecimal()) or len(name) > 10 or int(name) >= vocabulary:
            raise bad(f"logit_bias names {name[:40]!r}, and tokens are 0 to {vocabulary - 1}", "logit_bias")
        found[int(name)] = value
    return found


@contextmanager
def engine_errors(engine: Backend) -> Iterator[None]:
    """What the engine refuses, as a client understands it."""
    try:
        yield
    except QueueFullError as error:
        load = engine.load()
        seconds = load.seconds_before(load.waiting)
        # In line with everybody who waits now; bounded, as it is a guess.
        wait = 5 if seconds is None else min(max(1, math.ceil(seconds)), LONGEST_RETRY_SECONDS)
        raise busy(f"too many requests are waiting; try again in {wait} s", wait) from error
    except RuntimeError as error:
        raise closed(f"{error}; try again later") from error
    except NotSupportedError as error:
        raise bad(str(error), error.param, code="unsupported_parameter") from error
    except ValueError as error:
        raise bad(str(error)) from error


@asynccontextmanager
async def asked(served: Served, requests: list[Request], spent: Spent) -> AsyncIterator[Asked]:
    """The answers of all choices, as the guards let them through; leaving the block gives up what has not ended.

    ApiError where a question is blocked, before anything is asked, and for more than ever stand in line.
    """
    most = served.engine.limits.waiting
    if len(requests) > most:
        raise bad(f"{len(requests)} answers are asked for at once, and no more than {most} may stand in line here")
    filters = await filters_for(served.guards, served.tokenizer, requests)
    async with AsyncExitStack() as stack:
        with engine_errors(served.engine):
            answers = await stack.enter_async_context(served.answers.ask(served.engine, requests, spent))
        answers.filters = filters
        yield answers


async def whole(served: Served, requests: list[Request], spent: Spent) -> list[Choice]:
    """All choices, to their ends. ApiError where one cannot be finished."""
    choices = [Choice() for _ in requests]
    async with asked(served, requests, spent) as answers:
        async for _ in taken(answers, choices):
            pass
    return choices


async def taken(
    answers: Asked, choices: list[Choice], patience_seconds: float = KEEP_ALIVE_SECONDS
) -> AsyncIterator[tuple[int, Event] | None]:
    """The events of all choices as they come, each taken in first; None when none has come for so long."""
    async for item in answers.until_ended(patience_seconds):
        if item is not None:
            choices[item[0]].take(item[1])
        yield item


async def begun(answers: Asked) -> None:
    """Wait for the first event, a while at most, so that what fails at once has its status and is no stream."""
    first = await answers.peek(KEEP_ALIVE_SECONDS)
    if first is not None and isinstance(first[1], Finished):
        failed = failure(first[1])
        if failed is not None:
            raise failed


def head_of(served: Served, kind: str, prefix: str) -> dict[str, Any]:
    """What every answer and every chunk of it begins with."""
    return {
        "id": f"{prefix}-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": served.name,
        "system_fingerprint": served.fingerprint,
    }


def usage(choices: list[Choice], n: int) -> dict[str, object]:
    """Tokens counted, each prompt once: it has `n` choices, one after the other."""
    ends = [choice.end for choice in choices if choice.end is not None]
    prompt, answer = sum(end.prompt_tokens for end in ends[::n]), sum(end.answer_tokens for end in ends)
    cached = sum(end.cached_tokens for end in ends[::n])
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
