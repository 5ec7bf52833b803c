"""Answers that must be JSON, or match a schema: which tokens may come next, by llguidance.

llguidance (MIT, Rust) compiles JSON Schema and walks it in microseconds a token; it says by name what it does not
support, which becomes an error of the request.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

# Without it, white space may come without end, and a small model writes nothing else.
_COMPACT: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
ANY_OBJECT = {"type": "object"}


def json_grammar(schema: dict[str, Any] | None = None) -> str:
    """The grammar of a JSON Schema, of any object if none is given; ValueError for what is not supported."""
    from llguidance import LLMatcher

    text = json.dumps(ANY_OBJECT if schema is None else schema)
    grammar: str = LLMatcher.grammar_from_json_schema(text, overrides=_COMPACT)
    problem = LLMatcher.validate_grammar(grammar, None)
    if problem:
        raise ValueError(f"the schema is not supported: {problem.splitlines()[0][:300]}")
    return grammar


class Grammars:
    """What is needed of a release's tokenizer, made once."""

    def __init__(self, folder: Path, vocabulary: int, end: int) -> None:
        from llguidance import LLTokenizer

        self._tokenizer = LLTokenizer(
            (folder / "tokenizer.json").read_text(encoding="utf-8"), n_vocab=vocabulary, eos_token=end
        )
        self.vocabulary = vocabulary

    def start(self, grammar: str) -> "Matcher":
        """Nothing has been said yet; ValueError if the grammar is none."""
        return Matcher(self._tokenizer, grammar, self.vocabulary)


class Matcher:
    """How far one answer has come in its grammar."""

    def __init__(self, tokenizer: Any, grammar: str, vocabulary: int) -> None:
        from llguidance import LLMatcher

        self._matcher = LLMatcher(tokenizer, grammar)
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
            raise ValueError(f"the answer's grammar fails: {self._matcher.get_error().splitlines()[0][:300]}")
