"""POST /v1/completions: plain text, and log-likelihoods of given text, as evaluation harnesses ask for them."""

import asyncio
import codecs
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

    @property
    def in_words(self) -> bool:
        """Whether the prompts are texts, before which the token that begins documents is put."""
        return isinstance(self.prompt, str) or isinstance(self.prompt[0], str)


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
    requests = await asyncio.to_thread(completion_requests, served, fields)
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
    requests = await asyncio.to_thread(completion_requests, served, fields)
    choices, places = [Choice() for _ in requests], [Places(served) for _ in requests]
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
                logprobs = _logprobs(served, fields, event.logprobs, places[index].of_answer(event.logprobs))
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
    text, entries, places = "".join(choice.text), choice.logprobs, Places(served)
    ids = {"token_ids": _ids(entries)} if fields.return_token_ids else {}
    begins: list[int] = []
    if fields.echo:
        # As it was given: special tokens that a caller wrote as ids are in it, the one put before a text is not.
        shown = request.prompt[1:] if fields.in_words else request.prompt
        text = served.tokenizer.decode(shown, skip_special_tokens=False) + text
        assert choice.prompt is not None
        begins = places.of_prompt(choice.prompt.logprobs, added=fields.in_words)
        entries = [*choice.prompt.logprobs, *entries]
    begins += places.of_answer(choice.logprobs)
    return {
        "index": index,
        "text": text,
        "logprobs": None if fields.logprobs is None else _logprobs(served, fields, entries, begins),
        "finish_reason": choice.finish_reason,
        **ids,
        **noted(choice.end),
    }


class Places:
    """Where the tokens of a text begin in it, in characters; one that goes on with one begins where that does.

    Bytes that never become a character read as replacement characters, as in the text itself.
    """

    def __init__(self, served: Served) -> None:
        self._served, self._decoder, self._length = served, codecs.getincrementaldecoder("utf-8")("replace"), 0
        self._special = frozenset(served.tokenizer.special.values())

    def of_prompt(self, entries: Sequence[TokenLogprob], *, added: bool) -> list[int]:
        """Of a prompt's tokens, which are all written; but the first, if it was added to what was given."""
        return [self._next(entry.token, written=not (added and index == 0)) for index, entry in enumerate(entries)]

    def of_answer(self, entries: Sequence[TokenLogprob]) -> list[int]:
        """Of an answer's tokens, of which special ones are left out of its text."""
        return [self._next(entry.token, written=entry.token not in self._special) for entry in entries]

    def _next(self, token: int, *, written: bool) -> int:
        data = self._served.token_bytes(token) if written else b""
        begin = self._length
        for number, byte in enumerate(data):
            found = self._decoder.decode(bytes([byte]))
            self._length += len(found)
            if number == 0 and found:
                # The last character is the byte's own, unless it is held back; those before are earlier tokens'.
                held = bool(self._decoder.getstate()[0])
                begin = self._length - (0 if held else 1)
        return begin


def _ids(entries: Sequence[TokenLogprob]) -> list[int]:
    return [entry.token for entry in entries]


def _logprobs(
    served: Served, fields: CompletionFields, entries: Sequence[TokenLogprob], begins: list[int]
) -> dict[str, Any]:
    """OpenAI's older form: lists side by side. The first token of a prompt has none.

    Each dictionary of likeliest tokens also holds the token itself, as OpenAI's does: the likeliest is its maximum.
    """
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
        "text_offset": begins,
    }
