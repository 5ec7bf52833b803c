"""What an engine is asked, and what it answers, piece by piece. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from fonderie.serve.engine.grammar import Grammar

NUMBERS = count()
"""Of requests, whatever the engine: the answers of several come to one place, and are told apart by these alone."""

Capability = Literal[
    "embeddings",
    "json_schema",
    "logprobs",
    "echo_logprobs",
    "presence_and_frequency_penalty",
    "same_seed_same_answer",
]
"""What not every engine can do; the rest of the interface they all can."""
Fault = Literal["failed", "schema", "away", "garbled", "refused"]
"""Why an answer ended in an error: the engine broke; nothing goes on as the schema wants it; an upstream is
away, cannot be understood, or refuses."""
Reason = Literal["stop", "length", "cancelled", "error", "content_filter"]
"""The last is not the engine's, but of the guards that stand before it."""


REPETITION_PENALTIES = (0.01, 10.0)
"""Far beyond what is of use, and far from where logits divided by it are no numbers any more."""


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn from the model's distribution; the defaults draw from it as it is.

    Applied in this order: bias and penalties on the logits, the grammar, temperature, then top_k, top_p and min_p
    on what is left. ValueError for a value out of range, naming it as the HTTP interface does.
    """

    temperature: float = 1.0
    """0 takes the likeliest token."""
    top_p: float = 1.0
    """Of the likeliest tokens, the fewest that hold so much of the probability (arXiv 1904.09751)."""
    top_k: int = 0
    """Of the likeliest tokens, so many; 0 for all."""
    min_p: float = 0.0
    """Tokens with at least this share of the likeliest one's probability (arXiv 2407.01082)."""
    presence_penalty: float = 0.0
    """Taken once from the logit of each token that the answer holds already (OpenAI's API)."""
    frequency_penalty: float = 0.0
    """Taken from the logit of a token as often as the answer holds it already (OpenAI's API)."""
    repetition_penalty: float = 1.0
    """Divides positive logits, multiplies negative ones, of tokens in prompt and answer (arXiv 1909.05858)."""
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    """Added to the logits of token ids; 100 forces, -100 bans (OpenAI's API)."""
    seed: int = 0
    """The n-th token of an answer is drawn by the seed and n alone, whatever else the engine does."""

    def __post_init__(self) -> None:
        limits: tuple[tuple[str, float, float], ...] = (
            ("temperature", 0.0, 2.0),
            ("top_p", 0.0, 1.0),
            ("min_p", 0.0, 1.0),
            ("presence_penalty", -2.0, 2.0),
            ("frequency_penalty", -2.0, 2.0),
            ("repetition_penalty", *REPETITION_PENALTIES),
        )
        for name, low, high in limits:
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} {value} is not between {low:g} and {high:g}")
        if self.top_p == 0:
            raise ValueError("top_p 0 leaves no token: give more than 0")
        if self.top_k < 0:
            raise ValueError(f"top_k {self.top_k} is below 0")
        for token, bias in self.logit_bias.items():
            if not -100 <= bias <= 100:
                raise ValueError(f"logit_bias {bias} of token {token} is not between -100 and 100")


@dataclass(frozen=True)
class Request:
    """One text to continue."""

    prompt: tuple[int, ...]
    max_tokens: int
    """Longest answer; 0 only reads the prompt, for its log-probabilities."""
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    """Texts at which the answer is over; they are not part of it."""
    stop_ids: frozenset[int] = frozenset()
    """Tokens at which the answer is over."""
    top_logprobs: int | None = None
    """Log-probabilities of each token, and of so many of the likeliest instead of it; None for neither."""
    prompt_logprobs: bool = False
    """Whether the prompt's tokens have theirs too."""
    embed: bool = False
    """Whether the mean of the prompt's last hidden states is asked for."""
    grammar: "Grammar | None" = None
    """What the answer must match, for our own engine."""
    schema: str | None = None
    """The JSON Schema that the answer must match, for engines that make grammars of their own."""

    def __post_init__(self) -> None:
        if not self.prompt:
            raise ValueError("the prompt is empty")
        if self.max_tokens < 0:
            raise ValueError(f"max_tokens {self.max_tokens} is below 0")
        if any(not text for text in self.stop):
            raise ValueError("stop holds an empty text")


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """What the model's own distribution, before any sampling setting, gave to one token."""

    token: int
    logprob: float | None
    """None for the first token of a prompt, which nothing precedes."""
    top: tuple[tuple[int, float], ...] = ()
    """The likeliest tokens there with theirs, the likeliest first."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The answer goes on: whole characters only, and never the beginning of a stop text."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptRead:
    """The prompt has been read."""

    cached: int
    """Tokens of it that the prefix cache held."""
    logprobs: tuple[TokenLogprob, ...] = ()
    embedding: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of every request."""

    reason: Reason
    prompt_tokens: int
    answer_tokens: int
    cached_tokens: int = 0
    message: str = ""
    """What went wrong, for "error"."""
    fault: Fault = "failed"
    """Where, for "error"."""
    warnings: tuple[str, ...] = ()
    """Categories that the guards warn of."""
    blocked_by: str = ""
    """The category for which the answer was cut off, for "content_filter"."""


Event = PromptRead | Piece | Finished
