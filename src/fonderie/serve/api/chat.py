"""POST /v1/chat/completions."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from fonderie.serve.answers import Spent
from fonderie.serve.api.errors import bad
from fonderie.serve.api.fields import MAX_TOP_LOGPROBS, Generating, Message, ResponseFormat
from fonderie.serve.api.generating import Choice, Params, asked, begun, head_of, requests_of, taken, usage, whole
from fonderie.serve.api.streaming import DONE, KEEP_ALIVE, data
from fonderie.serve.engine.request import Finished, Piece, Request, TokenLogprob
from fonderie.serve.guards.filtered import noted
from fonderie.serve.served import Served, conversation_prompt


class ChatFields(Generating):
    """A conversation to continue."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=1024)]
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    """The newer name of max_tokens."""
    logprobs: bool = False
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)
    response_format: ResponseFormat | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs = true")
        given = {self.max_tokens, self.max_completion_tokens} - {None}
        if len(given) == 2:
            raise ValueError("max_tokens and max_completion_tokens are one setting, and differ")
        if self.messages[-1].role == "assistant":
            raise ValueError("the last message is the assistant's: there is nothing to answer")
        return self

    @property
    def most_tokens(self) -> int | None:
        """The longest answer; None for what fits the context."""
        return self.max_completion_tokens if self.max_tokens is None else self.max_tokens


def chat_requests(served: Served, fields: ChatFields) -> list[Request]:
    """What the engine is asked, one for each choice. ApiError names the field that cannot be honoured."""
    turns = [message.turn for message in fields.messages]
    served.check_length("".join(text for _, text in turns), "messages")
    if any(role == "system" for role, _ in turns[1:]):
        raise bad("a system message comes first or not at all", "messages")
    top = None if not fields.logprobs else fields.top_logprobs or 0
    return requests_of(
        served,
        conversation_prompt(served, turns),
        fields,
        max_tokens=fields.most_tokens,
        top_logprobs=top,
        response_format=fields.response_format,
        end_ids=frozenset(served.tokenizer.stops),
        params=Params("messages", length="max_tokens" if fields.max_tokens else "max_completion_tokens"),
    )


async def chat_answer(served: Served, fields: ChatFields, spent: Spent) -> dict[str, Any]:
    """The whole completion."""
    choices = await whole(served, await asyncio.to_thread(chat_requests, served, fields), spent)
    return {
        **head_of(served, "chat.completion", "chatcmpl"),
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": "".join(choice.text), "refusal": None},
                "logprobs": _logprobs(served, choice.logprobs) if fields.logprobs else None,
                "finish_reason": choice.finish_reason,
                **noted(choice.end),
            }
            for index, choice in enumerate(choices)
        ],
        "usage": usage(choices, fields.n),
    }


async def chat_stream(served: Served, fields: ChatFields, spent: Spent) -> AsyncIterator[bytes]:
    """The completion in chunks: the role, the text, the reason it ended, the usage if asked for, [DONE]."""
    head = head_of(served, "chat.completion.chunk", "chatcmpl")
    if fields.counts_tokens:
        head["usage"] = None
    requests = await asyncio.to_thread(chat_requests, served, fields)
    choices = [Choice() for _ in requests]

    def chunk(index: int, delta: dict[str, str], end: Finished | None, entries: tuple[TokenLogprob, ...]) -> bytes:
        reason = None if end is None else end.reason
        logprobs = _logprobs(served, entries) if fields.logprobs and entries else None
        return data(
            {
                **head,
                "choices": [
                    {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason, **noted(end)}
                ],
            }
        )

    async with asked(served, requests, spent) as answers:
        await begun(answers)
        for index in range(len(requests)):
            yield chunk(index, {"role": "assistant", "content": ""}, None, ())
        async for item in taken(answers, choices):
            if item is None:
                yield KEEP_ALIVE
                continue
            index, event = item
            if isinstance(event, Piece):
                yield chunk(index, {"content": event.text}, None, event.logprobs)
            elif isinstance(event, Finished):
                yield chunk(index, {}, event, ())
    if fields.counts_tokens:
        yield data({**head, "choices": [], "usage": usage(choices, fields.n)})
    yield DONE


def _logprobs(served: Served, entries: Sequence[TokenLogprob]) -> dict[str, Any]:
    return {"content": logprobs_of(served, entries), "refusal": None}


def logprobs_of(served: Served, entries: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
    """Each token with its log-probability and its bytes, and the likeliest tokens there."""

    def spelt(token: int, logprob: float | None) -> dict[str, Any]:
        return {"token": served.token_text(token), "logprob": logprob, "bytes": list(served.token_bytes(token))}

    return [
        {**spelt(entry.token, entry.logprob), "top_logprobs": [spelt(*top) for top in entry.top]}
        for entry in entries
    ]
