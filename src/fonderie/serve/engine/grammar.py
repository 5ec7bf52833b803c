"""Answers that must be JSON, or match a schema: which tokens may come next, by llguidance.

llguidance (MIT, Rust) compiles JSON Schema and walks it in microseconds a token; it says by name what it does not
support, which becomes an error of the request. Compiling can take a second, and is done where a request comes in:
the engine's thread only copies what was compiled.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

# Without it, white space may come without end, and a small model writes nothing else.
_COMPACT: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
ANY_OBJECT = {"type": "object"}
LONGEST_SCHEMA = 1 << 15
"""Characters: compiling takes time with the square of the properties, 1 s for 2,700 (docs/log/0020-schemas.md)."""
MOST_LEXER_STATES = 50_000
"""llguidance's own limit is five times as many, 1 to 2 KB each: half a gigabyte for one answer."""


class GrammarError(ValueError):
    """No answer can be made, or finished, that matches."""


def json_grammar(schema: dict[str, Any] | None = None) -> str:
    """The grammar of a JSON Schema, of any object if none is given; GrammarError for what is not supported."""
    from llguidance import LLMatcher

    try:
        text = json.dumps(ANY_OBJECT if schema is None else schema)
    except RecursionError as error:
        raise GrammarError("the schema is nested too deeply") from error
    if len(text) > LONGEST_SCHEMA:
        raise GrammarError(f"the schema has {len(text):,} characters, and {LONGEST_SCHEMA:,} are the most")
    try:
        grammar: str = LLMatcher.grammar_from_json_schema(text, overrides=_COMPACT)
        problem = LLMatcher.validate_grammar(grammar, None)
    except ValueError as error:
        problem = str(error)
    if problem:
        raise GrammarError(f"the schema is not supported: {_one_line(problem)}")
    return grammar


class Grammars:
    """What is needed of a release's tokenizer, made once."""

    def __init__(self, folder: Path, vocabulary: int, end: int) -> None:
        from llguidance import LLTokenizer

        self._tokenizer = LLTokenizer(
            (folder / "tokenizer.json").read_text(encoding="utf-8"), n_vocab=vocabulary, eos_token=end
        )
        self.vocabulary = vocabulary

    def compiled(self, grammar: str) -> "Grammar":
        """What answers can be held to; GrammarError if it is no grammar, or nothing at all matches it."""
        return Grammar(self._tokenizer, grammar, self.vocabulary)


class Grammar:
    """One that is compiled; any number of answers may begin with it, in any thread."""

    def __init__(self, tokenizer: Any, grammar: str, vocabulary: int) -> None:
        from llguidance import LLMatcher, LLParserLimits

        limits = LLParserLimits(max_lexer_states=MOST_LEXER_STATES, verbose_errors=False)
        # Its warnings would go to standard error, and may hold somebody's words.
        self._matcher = LLMatcher(tokenizer, grammar, log_level=0, limits=limits)
        self._vocabulary = vocabulary
        Matcher(self._matcher, vocabulary).allowed()

    def start(self) -> "Matcher":
        """Nothing has been said yet."""
        return Matcher(self._matcher.deep_copy(), self._vocabulary)


class Matcher:
    """How far one answer has come in its grammar."""

    def __init__(self, matcher: Any, vocabulary: int) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._check()

    def allowed(self) -> Tensor:
        """True for each token [V] that may come next; the end token alone where nothing more may."""
        bits = torch.frombuffer(bytearray(self._matcher.compute_bitmask()), dtype=torch.uint8)
        self._check()
        spread = (bits[:, None] >> torch.arange(8, dtype=torch.uint8)) & 1
        return spread.flatten()[: self._vocabulary].bool()

    def add(self, token: int) -> None:
        """The answer goes on."""
        self._matcher.consume_token(token)
        self._check()

    @property
    def finished(self) -> bool:
        """Whether nothing may follow."""
        return bool(self._matcher.is_stopped())

    def _check(self) -> None:
        if self._matcher.is_error():
            problem = _one_line(self._matcher.get_error())
            # Its word for a place that no token leads on from.
            nothing = problem.startswith("NoExtensionBias")
            raise GrammarError("no text matches the schema" if nothing else f"the schema fails: {problem}")


def _one_line(problem: str) -> str:
    return " ".join(problem.removesuffix("<non-verbose/>").split())[:300]
