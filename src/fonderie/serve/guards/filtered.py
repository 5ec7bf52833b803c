"""Guards between an engine and those who wait: questions before they are asked, answers as they come."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

from fonderie.serve.api.errors import ApiError
from fonderie.serve.engine.request import Event, Finished, Piece, PromptRead, Request, TokenLogprob
from fonderie.serve.guards.guards import FAILED, Guards, Verdict
from fonderie.tokens.tokenizer import Tokenizer

INLINE_TOKENS = 512
"""Prompts that are longer are checked in a thread, so that nobody's stream waits for it."""


class ContentPolicyError(ApiError):
    """A question that a guard blocks; its category is in the error, its text is not."""

    def __init__(self, category: str, messages: Mapping[str, str]) -> None:
        super().__init__(
            400, f"this service does not answer this: its guards found {category}", code="content_policy"
        )
        self.category = category
        self.more = {"category": category, **({"messages": dict(messages)} if messages else {})}


async def filters_for(guards: Guards, tokenizer: Tokenizer, requests: Sequence[Request]) -> list["EventFilter"]:
    """What the events of each request go through. ContentPolicyError where a question is blocked, ApiError 503
    where a guard could not do its work.

    What is checked is the prompt as the model reads it, so that there is no way around. Requests that generate
    nothing, such as those for embeddings, are not checked.
    """
    seen: dict[int, tuple[str, Verdict]] = {}
    found = []
    for request in requests:
        if request.max_tokens == 0 or not guards.categories:
            found.append(EventFilter(Guards.none(), "", ()))
            continue
        if id(request.prompt) not in seen:
            if len(request.prompt) > INLINE_TOKENS:
                seen[id(request.prompt)] = await asyncio.to_thread(_checked, guards, tokenizer, request.prompt)
            else:
                seen[id(request.prompt)] = _checked(guards, tokenizer, request.prompt)
        question, verdict = seen[id(request.prompt)]
        if verdict.blocked == FAILED:
            raise ApiError(503, "a guard of this service has failed, so that nothing is answered", code=FAILED)
        if verdict.blocked is not None:
            raise ContentPolicyError(verdict.blocked, guards.messages(verdict.blocked))
        found.append(EventFilter(guards, question, verdict.warnings))
    return found


def _checked(guards: Guards, tokenizer: Tokenizer, prompt: tuple[int, ...]) -> tuple[str, Verdict]:
    # With the marks of the turns: without them the words at the ends of two turns would read as one.
    text = tokenizer.decode(prompt, skip_special_tokens=False)
    return text, guards.before(text)


class EventFilter:
    """One answer's events, of which only what the guards let through goes on."""

    def __init__(self, guards: Guards, question: str, warnings: tuple[str, ...]) -> None:
        self._watch = guards.after(question)
        self._warnings = warnings
        self._logprobs: deque[tuple[int, TokenLogprob]] = deque()
        """Of tokens whose text is held back, with where it ends in the whole."""
        self._length = self._let_out = 0

    @property
    def cut(self) -> bool:
        """Whether nothing more will be let out: the request can be given up."""
        return self._watch.blocked is not None

    def take(self, event: Event) -> list[Event]:
        """One event of the engine's; what goes on instead of it."""
        if isinstance(event, PromptRead):
            return [event]
        if isinstance(event, Piece):
            self._length += len(event.text)
            self._logprobs += ((self._length, entry) for entry in event.logprobs)
            return self._piece(self._watch.add(event.text))
        rest = self._piece(self._watch.end()) if event.reason in ("stop", "length") else []
        verdict = self._watch.verdict
        if verdict.blocked is not None:
            event = replace(event, reason="content_filter", blocked_by=verdict.blocked, message="")
        names = dict.fromkeys((*self._warnings, *verdict.warnings))
        return [*rest, replace(event, warnings=tuple(names)) if names else event]

    def _piece(self, text: str) -> list[Event]:
        self._let_out += len(text)
        entries = []
        while not self.cut and self._logprobs and self._logprobs[0][0] <= self._let_out:
            entries.append(self._logprobs.popleft()[1])
        return [Piece(text, tuple(entries))] if text or entries else []


def noted(end: Finished | None) -> dict[str, object]:
    """What a finished answer says beside its finish reason, where a guard found something."""
    found: dict[str, object] = {}
    if end is not None and end.warnings:
        found["warnings"] = list(end.warnings)
    if end is not None and end.blocked_by:
        found["blocked_by"] = end.blocked_by
    return found
