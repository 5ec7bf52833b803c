"""POST /v1/completions: plain text, and log-likelihoods of given text, as evaluation harnesses ask for them."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from fonderie.serve.answers import Spent
from fonderie.serve.api.fields import MAX_TOP_LOGPROBS, Generating, ResponseFormat, TokenIds
from fonderie.serve.api.generating import (
    Choice,
    Params,
    asked,
    begun,
    head_of,
    ids_of,
    requests_of,
    taken,
    usage,
    whole,
)
from fonderie.serve.api.streaming import DONE, KEEP_ALIVE, data
from fonderie.serve.engine.request import Finished, Piece, PromptRead, Request, TokenLogprob
from fonderie.serve.guards.filtered import noted
from fonderie.serve.served import Served

MAX_PROMPTS = 256


class CompletionFields(Generating):
    """Texts to continue; several prompts are answered at once, their choices in order."""

    prompt: (
        str
        | TokenIds
        | Annotated[list[str], Field(min_length=1, max_length=MAX_PROMPTS)]
        | Annotated[list[TokenIds], Field(min_length=1, max_length=MAX_PROMPTS)]
    )
    """Text, token ids, or several of either. Text begins with the token that begins every document."""
    max_tokens: int = Field(16, ge=0)
    """0 only reads the prompt; with `echo`, for its log-probabilities."""
    echo: bool = False
    """Whether the prompt comes before the answer, with its log-probabilities if those are asked for."""
    logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)
    best_of: Literal[1] | None = None
    response_format: ResponseFormat | None = None
    stop_token_ids: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=64)] = Field(default_factory=list)
    """Not OpenAI's, but vLLM's, as the next three: tokens at which an answer is over; they are not part of it."""
    ignore_eos: bool = False
    """Whether the token that ends documents is no end."""
    return_token_ids: bool = False
    """Whether choices have `token_ids`, those of their text."""
    return_tokens_as_token_ids: bool = False
    """Whether `logprobs` writes a token as "token_id:5", and not as its text, which two tokens may share."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.echo and self.stream:
            raise ValueError("echo is not for stream = true")
        if self.return_tokens_as_token_ids and self.logprobs is None:
            raise ValueError("return_tokens_as_token_ids needs logprobs")
        return self

    @property
    def top_logprobs(self) -> int | None:
        """What is asked of the engine, which gives ids with log-probabilities only."""
        return 0 if self.logprobs is None and self.return_token_ids else self.logprobs

    def ends(self, served: Served) -> frozenset[int]:
        """Tokens at which an answer is over."""
        return frozenset(self.stop_token_ids if self.ignore_eos else (served.tokenizer.eos, *self.stop_token_ids))

    def spell(self, served: Served, token: int) -> str:
        """A token as `logprobs` writes it."""
        return f"token_id:{token}" if self.return_tokens_as_token_ids else served.token_text(token)

    def prompts(self, served: Served) -> list[tuple[int, ...]]:
        """The token ids of each prompt. ApiError for an id that is no token."""
        given = self.prompt
        texts_or_ids: list[Any] = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
        return [ids_of(served, one, "prompt") for one in texts_or_ids]


def completion_requests(served: Served, fields: CompletionFields) -> list[Request]:
    """What the engine is asked: for each prompt, one for each choice."""
    return [
        request
        for prompt in fields.prompts(served)
        for request in requests_of(
            served,
            prompt,
            fields,
            max_tokens=fields.max_tokens,
            top_logprobs=fields.top_logprobs,
            prompt_logprobs=fields.echo and fields.logprobs is not None,
            response_format=fields.response_format,
            end_ids=fields.ends(served),
            params=Params("prompt"),
        )
    ]


async def completion_answer(served: Served, fields: CompletionFields, spent: Spent) -> dict[str, Any]:
    """All completions."""
    requests = completion_requests(served, fields)
    choices = await whole(served, requests, spent)
    return {
        **head_of(served, "text_completion", "cmpl"),
        "choices": [
            _choice(served, fields, index, request, choice)
            for index, (request, choice) in enumerate(zip(requests, choices, strict=True))
        ],
        "usage": usage(choices, fields.n),
    }


async def completion_stream(served: Served, fields: CompletionFields, spent: Spent) -> AsyncIterator[bytes]:
    """The completions in chunks."""
    head = head_of(served, "text_completion", "cmpl")
    requests = completion_requests(served, fields)
    choices, lengths = [Choice() for _ in requests], [0] * len(requests)
    async with asked(served, requests, spent) as answers:
        await begun(answers)
        async for item in taken(answers, choices):
            if item is None:
                yield KEEP_ALIVE
                continue
            index, event = item
            if isinstance(event, PromptRead):
                continue
            text = event.text if isinstance(event, Piece) else ""
            logprobs = None
            if isinstance(event, Piece) and fields.logprobs is not None and event.logprobs:
                logprobs = _logprobs(served, fields, event.logprobs, lengths[index])
            lengths[index] += len(text)
            end = event if isinstance(event, Finished) else None
            reason = None if end is None else end.reason
            choice = {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason, **noted(end)}
            if fields.return_token_ids:
                choice["token_ids"] = _ids(event.logprobs if isinstance(event, Piece) else ())
            yield data({**head, "choices": [choice]})
    if fields.counts_tokens:
        yield data({**head, "choices": [], "usage": usage(choices, fields.n)})
    yield DONE


def _choice(
    served: Served, fields: CompletionFields, index: int, request: Request, choice: Choice
) -> dict[str, Any]:
    text, entries = "".join(choice.text), choice.logprobs
    ids = {"token_ids": _ids(entries)} if fields.return_token_ids else {}
    if fields.echo:
        text = served.tokenizer.decode(request.prompt, skip_special_tokens=False) + text
        assert choice.prompt is not None
        entries = [*choice.prompt.logprobs, *entries]
    return {
        "index": index,
        "text": text,
        "logprobs": None if fields.logprobs is None else _logprobs(served, fields, entries, 0),
        "finish_reason": choice.finish_reason,
        **ids,
        **noted(choice.end),
    }


def _ids(entries: Sequence[TokenLogprob]) -> list[int]:
    return [entry.token for entry in entries]


def _logprobs(
    served: Served, fields: CompletionFields, entries: Sequence[TokenLogprob], offset: int
) -> dict[str, Any]:
    """OpenAI's older form: lists side by side. The first token of a prompt has none.

    Each dictionary of likeliest tokens also holds the token itself, as OpenAI's does: the likeliest is its maximum.
    """
    offsets = []
    for entry in entries:
        offsets.append(offset)
        offset += len(served.token_text(entry.token))
    top = [
        None
        if entry.logprob is None
        else {
            **{fields.spell(served, token): value for token, value in entry.top},
            fields.spell(served, entry.token): entry.logprob,
        }
        for entry in entries
    ]
    return {
        "tokens": [fields.spell(served, entry.token) for entry in entries],
        "token_logprobs": [entry.logprob for entry in entries],
        "top_logprobs": top,
        "text_offset": offsets,
    }
