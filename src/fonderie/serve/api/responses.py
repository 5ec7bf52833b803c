"""POST /v1/responses: the part of OpenAI's Responses that is a conversation, answered as one.

Taken: text or messages, instructions, the length, sampling, a format of text, log-probabilities, streaming. Nothing
is stored, so that `store` may only be false, and there is no `previous_response_id` to go on from: clients send the
conversation. Everything else is refused by name.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import Field, StringConstraints, model_validator

from fonderie.serve.answers import Spent
from fonderie.serve.api.chat import logprobs_of
from fonderie.serve.api.errors import ApiError, bad
from fonderie.serve.api.fields import (
    MAX_TOP_LOGPROBS,
    Fields,
    Generating,
    JsonSchema,
    Message,
    ResponseFormat,
    Seed,
)
from fonderie.serve.api.generating import Choice, Params, asked, begun, requests_of, taken, whole
from fonderie.serve.api.streaming import KEEP_ALIVE, on_one_line
from fonderie.serve.engine.request import Finished, Piece, Request
from fonderie.serve.guards.filtered import noted
from fonderie.serve.served import Served, conversation_prompt

LOGPROBS = "message.output_text.logprobs"
PARAMS = Params(prompt="input", length="max_output_tokens", form="text")
NAMES = {"response_format": PARAMS.form, "logprobs": "include"}
"""What an engine that cannot do something calls it, and what it is called here."""


class Part(Fields):
    """A part of a message; an earlier answer's comes back as it was given."""

    type: Literal["input_text", "output_text"]
    text: str
    annotations: list[Any] = Field(default_factory=list, max_length=0)
    logprobs: list[Any] | None = None
    """Of an earlier answer; not read."""


class InputMessage(Fields):
    """One turn of the conversation."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part]
    id: str | None = None
    """Of an earlier answer; not read, as nothing is stored."""
    status: Literal["completed", "incomplete", "in_progress"] | None = None
    phase: Literal["commentary", "final_answer"] | None = None

    @property
    def message(self) -> Message:
        """As chat takes it."""
        content = self.content
        text = content if isinstance(content, str) else "".join(part.text for part in content)
        return Message(role=self.role, content=text)


class TextFormat(Fields):
    """Text as it comes, any JSON object, or one that matches a schema."""

    type: Literal["text", "json_object", "json_schema"]
    name: Annotated[str, StringConstraints(max_length=64)] | None = None
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None
    """The answer matches the schema either way."""

    @model_validator(mode="after")
    def _schema_is_there(self) -> Self:
        if (self.type == "json_schema") != (self.schema_ is not None):
            raise ValueError('schema is needed for, and only for, type "json_schema"')
        return self


class TextOptions(Fields):
    """How the answer's text is written."""

    format: TextFormat = TextFormat(type="text")


class ResponseStreamOptions(Fields):
    """Nothing can be chosen of a stream."""

    include_obfuscation: Literal[False] = False


class ResponsesFields(Fields):
    """A conversation to continue, as Responses write it."""

    model: str
    input: str | Annotated[list[InputMessage], Field(min_length=1, max_length=1024)]
    """What the user says, or the conversation so far."""
    instructions: str | None = None
    """The system's words, before the input."""
    max_output_tokens: int | None = Field(None, ge=1)
    temperature: float = Field(1.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    seed: Seed | None = None
    """Not OpenAI's: the same seed and request give the same answer."""
    text: TextOptions = TextOptions()
    include: list[Literal["message.output_text.logprobs"]] = Field(default_factory=list)
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)
    """Of so many of the likeliest tokens, where log-probabilities are included."""
    stream: bool = False
    stream_options: ResponseStreamOptions | None = None
    store: Literal[False] | None = None
    """Nothing is stored: absent is false too."""
    background: Literal[False] | None = None
    truncation: Literal["disabled"] | None = None
    """What does not fit into the context is refused."""
    tools: list[Any] = Field(default_factory=list, max_length=0)
    """None: there are no tools."""
    tool_choice: Literal["auto", "none"] | None = None
    parallel_tool_calls: bool | None = None
    metadata: dict[str, str] = Field(default_factory=dict, max_length=16)
    """Given back with the answer; not stored."""
    user: Annotated[str, StringConstraints(max_length=512)] | None = None
    """Accepted as OpenAI's clients send it; not stored."""
    safety_identifier: Annotated[str, StringConstraints(max_length=512)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.top_logprobs is not None and not self.include:
            raise ValueError(f'top_logprobs needs include = ["{LOGPROBS}"]')
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options is only for stream = true")
        if self.messages[-1].role == "assistant":
            raise ValueError("the last message is the assistant's: there is nothing to answer")
        return self

    @property
    def messages(self) -> list[Message]:
        """The input as chat takes it, without the instructions."""
        if isinstance(self.input, str):
            return [Message(role="user", content=self.input)]
        return [item.message for item in self.input]

    @property
    def response_format(self) -> ResponseFormat:
        """The format as chat takes it."""
        given = self.text.format
        if given.schema_ is None:
            return ResponseFormat(type=given.type)
        return ResponseFormat(
            type="json_schema",
            json_schema=JsonSchema.model_validate({"name": given.name or "answer", "schema": given.schema_}),
        )


def response_requests(served: Served, fields: ResponsesFields) -> list[Request]:
    """What the engine is asked. ApiError names the field that cannot be honoured."""
    turns = [message.turn for message in fields.messages]
    served.check_length("".join(text for _, text in turns), "input")
    if fields.instructions is not None:
        served.check_length(fields.instructions, "instructions")
        if turns[0][0] == "system":
            raise bad("instructions are the system's words, and input begins with others", "instructions")
        turns.insert(0, ("system", fields.instructions))
    if any(role == "system" for role, _ in turns[1:]):
        raise bad("a system message comes first or not at all", "input")
    return requests_of(
        served,
        conversation_prompt(served, turns),
        Generating(model=fields.model, temperature=fields.temperature, top_p=fields.top_p, seed=fields.seed),
        max_tokens=fields.max_output_tokens,
        top_logprobs=(fields.top_logprobs or 0) if fields.include else None,
        response_format=fields.response_format,
        end_ids=frozenset(served.tokenizer.stops),
        params=PARAMS,
    )


@dataclass
class Answer:
    """One response as it grows, and how its parts are written."""

    served: Served
    fields: ResponsesFields
    id: str = field(default_factory=lambda: f"resp_{uuid.uuid4().hex}")
    item_id: str = field(default_factory=lambda: f"msg_{uuid.uuid4().hex}")
    created_at: int = field(default_factory=lambda: int(time.time()))

    def response(self, status: str, choice: Choice | None = None, error: ApiError | None = None) -> dict[str, Any]:
        """The whole object; without a choice, before anything was said."""
        fields = self.fields
        why = None if choice is None or choice.end is None else _INCOMPLETE.get(choice.finish_reason)
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "status": status,
            "background": False,
            "error": None if error is None else {"code": "server_error", "message": error.message},
            "incomplete_details": None if why is None else {"reason": why},
            "instructions": fields.instructions,
            "max_output_tokens": fields.max_output_tokens,
            "metadata": fields.metadata,
            "model": self.served.name,
            "output": [] if choice is None else [self.item("incomplete" if error else status, choice)],
            "parallel_tool_calls": False,
            "previous_response_id": None,
            "store": False,
            "system_fingerprint": self.served.fingerprint,
            "temperature": fields.temperature,
            "text": fields.text.model_dump(by_alias=True, exclude_none=True),
            "tool_choice": "none",
            "tools": [],
            "top_logprobs": fields.top_logprobs or 0,
            "top_p": fields.top_p,
            "truncation": "disabled",
            "usage": None if choice is None or choice.end is None else _usage(choice.end),
            "user": fields.user,
            **noted(None if choice is None else choice.end),
        }

    def item(self, status: str, choice: Choice | None = None) -> dict[str, Any]:
        """The message; without a choice, before anything was said."""
        content = [] if choice is None else [self.part(choice)]
        return {"id": self.item_id, "type": "message", "role": "assistant", "status": status, "content": content}

    def part(self, choice: Choice) -> dict[str, Any]:
        """The message's one part, as far as it has come."""
        logprobs = logprobs_of(self.served, choice.logprobs) if self.fields.include else []
        return {"type": "output_text", "text": "".join(choice.text), "annotations": [], "logprobs": logprobs}

    @property
    def place(self) -> dict[str, Any]:
        """Where in the response the text is: there is one message of one part."""
        return {"item_id": self.item_id, "output_index": 0, "content_index": 0}


_INCOMPLETE: Mapping[str, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why an answer is not complete, by its finish reason."""


def _status(choice: Choice) -> str:
    return "incomplete" if choice.finish_reason in _INCOMPLETE else "completed"


@contextmanager
def own_names() -> Iterator[None]:
    """An error of what is asked names the field as it is called here."""
    try:
        yield
    except ApiError as error:
        error.param = NAMES.get(error.param or "", error.param)
        raise


async def response_answer(served: Served, fields: ResponsesFields, spent: Spent) -> dict[str, Any]:
    """The whole response."""
    answer = Answer(served, fields)
    with own_names():
        (choice,) = await whole(served, await asyncio.to_thread(response_requests, served, fields), spent)
    return answer.response(_status(choice), choice)


async def response_stream(served: Served, fields: ResponsesFields, spent: Spent) -> AsyncIterator[bytes]:
    """The response as its documented events, numbered; the last says how it ended, and there is no [DONE]."""
    answer, choice, numbers = Answer(served, fields), Choice(), count()
    requests = await asyncio.to_thread(response_requests, served, fields)

    def event(kind: str, **values: Any) -> bytes:
        written = on_one_line(orjson.dumps({"type": kind, "sequence_number": next(numbers), **values}))
        return b"event: " + kind.encode() + b"\ndata: " + written + b"\n\n"

    async with AsyncExitStack() as stack:
        with own_names():
            answers = await stack.enter_async_context(asked(served, requests, spent))
            await begun(answers)
        yield event("response.created", response=answer.response("in_progress"))
        yield event("response.in_progress", response=answer.response("in_progress"))
        yield event("response.output_item.added", output_index=0, item=answer.item("in_progress"))
        yield event("response.content_part.added", **answer.place, part=answer.part(choice))
        try:
            async for item in taken(answers, [choice]):
                if item is None:
                    yield KEEP_ALIVE
                elif isinstance(item[1], Piece):
                    logprobs = logprobs_of(served, item[1].logprobs) if fields.include else []
                    yield event("response.output_text.delta", **answer.place, delta=item[1].text, logprobs=logprobs)
        except ApiError as error:
            yield event("response.failed", response=answer.response("failed", choice, error))
            return
    part, status = answer.part(choice), _status(choice)
    done = {"text": part["text"], "logprobs": part["logprobs"]}
    yield event("response.output_text.done", **answer.place, **done)
    yield event("response.content_part.done", **answer.place, part=part)
    yield event("response.output_item.done", output_index=0, item=answer.item(status, choice))
    yield event(f"response.{status}", response=answer.response(status, choice))


def _usage(end: Finished) -> dict[str, Any]:
    return {
        "input_tokens": end.prompt_tokens,
        # Tokens written to the cache are a matter of OpenAI's prices.
        "input_tokens_details": {"cached_tokens": end.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": end.answer_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": end.prompt_tokens + end.answer_tokens,
    }
