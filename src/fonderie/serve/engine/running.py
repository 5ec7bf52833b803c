"""One request on its way through the engine: what has been read, said, shown."""

import logging
import time
import traceback
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fonderie.serve.engine.grammar import GrammarError, Matcher
from fonderie.serve.engine.request import Event, Fault, Finished, Piece, PromptRead, Reason, Request, TokenLogprob
from fonderie.serve.engine.sampling import History, draw, logprobs_of
from fonderie.serve.engine.slots import CHUNK, Room
from fonderie.serve.engine.text import Decodes, Writer

log = logging.getLogger(__name__)


@dataclass
class Running:
    """A request that has a slot."""

    number: int
    request: Request
    slot: int
    tokenizer: Decodes
    read: int = 0
    """Tokens of the prompt whose keys and values are there."""
    cached: int = 0
    """How many of them the prefix cache had."""
    history: History = field(init=False)
    events: list[Event] = field(default_factory=list)
    """Not delivered yet."""
    done: bool = False
    begun: float = field(default_factory=time.monotonic)
    """When it got its slot, on the monotonic clock."""
    _writer: Writer = field(init=False)
    _matcher: Matcher | None = field(init=False)
    _logprobs: list[TokenLogprob] = field(default_factory=list)
    """Of tokens whose text is not out yet."""
    _prompt_logprobs: list[TokenLogprob] = field(default_factory=list)
    _embedding_W: Tensor = field(default_factory=lambda: torch.zeros(()))
    """The sum of the last hidden states, where the embedding is asked for."""
    _last_logits_V: Tensor | None = None
    """Of the last token of the chunk before, when the prompt's log-probabilities are asked for."""

    def __post_init__(self) -> None:
        self.history = History(self.request.sampling, self.request.prompt)
        self._writer = Writer(self.tokenizer, self.request.stop)
        grammar = self.request.grammar
        self._matcher = None if grammar is None else grammar.start()

    @property
    def reading(self) -> bool:
        """Whether the prompt has not been read to its end."""
        return self.read < len(self.request.prompt)

    @property
    def length(self) -> int:
        """Tokens whose keys and values are there: the last one said has none yet."""
        return self.read + max(0, len(self.history.said) - 1)

    @property
    def last(self) -> int:
        """The token said last."""
        return self.history.said[-1]

    def read_chunk(self, room: Room) -> None:
        """Read on; the first token of the answer is drawn at the prompt's end."""
        prompt, start = self.request.prompt, self.read
        ids = prompt[start : start + CHUNK]
        x_CW = room.read(self.slot, ids, start)
        self.read = start + len(ids)
        if self.request.embed:
            self._embedding_W = self._embedding_W + x_CW.float().sum(0).cpu()
        logits: Tensor | None = None
        if self.request.prompt_logprobs:
            logits = room.logits(x_CW)
            self._add_prompt_logprobs(logits, ids)
        if not self.reading:
            embedding = (self._embedding_W / len(prompt)).tolist() if self.request.embed else ()
            self.events.append(PromptRead(self.cached, tuple(self._prompt_logprobs), tuple(embedding)))
            if self.request.max_tokens == 0:
                self.finish("length")
            else:
                self.say(logits[-1] if logits is not None else room.logits(x_CW[-1:])[0])

    def _add_prompt_logprobs(self, logits_CV: Tensor, ids: tuple[int, ...]) -> None:
        top = self.request.top_logprobs or 0
        if self._last_logits_V is None:
            self._prompt_logprobs.append(TokenLogprob(ids[0], None))
        else:
            self._prompt_logprobs += logprobs_of(self._last_logits_V[None], [ids[0]], top)
        if len(ids) > 1:
            self._prompt_logprobs += logprobs_of(logits_CV[:-1], list(ids[1:]), top)
        self._last_logits_V = logits_CV[-1]

    def say(self, logits_V: Tensor) -> None:
        """Draw the next token from its logits, and let out what text is certain.

        What fails here ends this request alone: nobody's question can end the engine, and all answers with it.
        """
        try:
            self._say(logits_V)
        except GrammarError as error:
            self.finish("error", str(error), "schema")
        except Exception as error:
            # Without the error's own words: they may hold somebody's text.
            place = "".join(traceback.format_tb(error.__traceback__))
            log.error("an answer could not be finished: %s\n%s", type(error).__name__, place)
            self.finish("error", type(error).__name__)

    def _say(self, logits_V: Tensor) -> None:
        allowed = None if self._matcher is None else self._matcher.allowed()
        token = draw(logits_V, self.history, allowed)
        if self.request.top_logprobs is not None:
            self._logprobs += logprobs_of(logits_V[None], [token], self.request.top_logprobs)
        self.history.add(token)
        if token in self.request.stop_ids:
            self._logprobs = self._logprobs[: len(self._logprobs) - 1]  # it is no part of the answer
            self.finish("stop")
            return
        if self._matcher is not None:
            self._matcher.add(token)
        text = self._writer.add(token)
        if text:
            self._let_out(text)
        if self._writer.stopped or (self._matcher is not None and self._matcher.finished):
            self.finish("stop")
        elif len(self.history.said) == self.request.max_tokens:
            self.finish("length")

    def finish(self, reason: Reason, message: str = "", fault: Fault = "failed") -> None:
        """The last event; the text held back comes before it, unless the answer was cut off."""
        if reason in ("stop", "length"):
            rest = "" if self._writer.stopped else self._writer.end()
            # A stop text may complete itself only in what was held back.
            reason = "stop" if self._writer.stopped else reason
            if rest or self._logprobs:
                self._let_out(rest)
        usage = len(self.request.prompt), len(self.history.said)
        self.events.append(Finished(reason, *usage, self.cached, message, fault))
        self.done = True

    def _let_out(self, text: str) -> None:
        self.events.append(Piece(text, tuple(self._logprobs)))
        self._logprobs.clear()
