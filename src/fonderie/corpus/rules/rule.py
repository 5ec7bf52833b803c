"""One rule: a measure, a comparison and a bound, such as "words >= 50".

Measures of the text, all made by one pass of the kernel:

    characters, words, mean_word_length, letters (share of visible characters), top_word, repeated_lines,
    unfinished_lines                     this project's own; lines are stripped and blank ones not counted
    tokens, plain_tokens, mean_plain_token_length, alphabetic_tokens, hash_signs, ellipses, bullet_lines,
    ellipsis_lines, stop_words           Gopher, quality: tokens are words and runs of symbols, plain ones hold
                                         something else than punctuation; stop_words counts distinct ones
    duplicate_paragraphs, duplicate_paragraph_characters, duplicate_lines, duplicate_line_characters, top_2_gram …
    top_4_gram, duplicate_5_grams … duplicate_10_grams
                                         Gopher, repetition: shares of the pieces, or of the text's characters
    terminal_lines, short_lines, repeated_line_characters, line_breaks (per token)
                                         FineWeb
    kept_sentences                       what is left when a set such as c4 has dropped lines
    sentences, braces, lorem_ipsum, stop_word_share, listed_words (of the recipe's word_lists)

Others: language (ISO 639 code), language_score, perplexity (of the n-gram model for the document's language),
listed_url (1 if a URL list names the document's address), metadata.<field> (a number or a word).

What is not known (no such field, no model, no stop words for a language) satisfies no rule but "!=" and "not in".
"""

import ast
import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fonderie.corpus.kernels.measure import COLUMNS

_RULE = re.compile(r"^\s*([\w.-]+)\s*(<=|>=|==|!=|<|>|not in|in)\s*(.+?)\s*$")
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
    "!=": operator.ne,
}
_UPPER, _LOWER = ("<=", "<"), (">=", ">")

LANGUAGE, SCORE, PERPLEXITY, URL, SENTENCES = (
    "language",
    "language_score",
    "perplexity",
    "listed_url",
    "kept_sentences",
)
METADATA = "metadata."
MEASURES = (*COLUMNS, SENTENCES, LANGUAGE, SCORE, PERPLEXITY, URL)
UNKNOWN = "unknown"

Values = npt.NDArray[np.float64] | list[str | None]
"""What a measure found in each document: numbers, NaN where there is none, or words, None where there is none."""


@dataclass(frozen=True)
class Rule:
    """A measure, a comparison and a bound; a document must satisfy it."""

    text: str

    @classmethod
    def parse(cls, text: str) -> "Rule":
        """A rule from its text; ValueError says what is wrong with it."""
        rule = cls(text)
        measure, comparison, bound = rule._parts
        if measure not in MEASURES and not measure.startswith(METADATA):
            raise ValueError(f"'{text}': no measure '{measure}'; known: {', '.join(MEASURES)}, {METADATA}<field>")
        members = bound if isinstance(bound, list) else [bound]
        word = all(isinstance(item, str) for item in members)
        numeric = all(isinstance(item, int | float) and not isinstance(item, bool) for item in members)
        takes_word = word if measure.startswith(METADATA) else measure == LANGUAGE
        ordered = word and comparison in (*_UPPER, *_LOWER)
        as_list = (comparison in ("in", "not in")) == isinstance(bound, list)
        if takes_word != word or ordered or not (word or numeric) or not as_list or not members:
            raise ValueError(f"'{text}': {measure} cannot be compared so with {bound!r}")
        return rule

    @cached_property
    def _parts(self) -> tuple[str, str, Any]:
        match = _RULE.match(self.text)
        if match is None:
            raise ValueError(f"'{self.text}' is not of the form: measure comparison value")
        try:
            bound = ast.literal_eval(match[3])
        except (ValueError, SyntaxError):
            raise ValueError(f"'{self.text}': {match[3]} is not a number, a word in quotes or a list") from None
        if isinstance(bound, bool) or not isinstance(bound, int | float | str | list):
            raise ValueError(f"'{self.text}': {match[3]} is not a number, a word in quotes or a list")
        return match[1], match[2], bound

    @property
    def measure(self) -> str:
        """What it measures."""
        return self._parts[0]

    @property
    def takes_words(self) -> bool:
        """Whether its measure is compared as a word."""
        bound = self._parts[2]
        return isinstance(bound[0] if isinstance(bound, list) else bound, str)

    def same_bound(self, other: "Rule") -> bool:
        """Whether both bound the same measure on the same side, so that one can take the other's place."""
        if self.measure != other.measure:
            return False
        mine, theirs = self._parts[1], other._parts[1]
        return mine == theirs or any(mine in side and theirs in side for side in (_UPPER, _LOWER))

    def holds(self, values: Values) -> npt.NDArray[np.bool_]:
        """bool[documents]: which documents satisfy the rule."""
        _, comparison, bound = self._parts
        if isinstance(values, np.ndarray):
            if isinstance(bound, list):
                return np.asarray(np.isin(values, bound) == (comparison == "in"), np.bool_)
            return np.asarray(_OPERATORS[comparison](values, bound), np.bool_)
        match comparison:
            case "in":
                held = [value in bound for value in values]
            case "not in":
                held = [value not in bound for value in values]
            case "==":
                held = [value == bound for value in values]
            case _:
                held = [value != bound for value in values]
        return np.array(held, np.bool_)

    def measured(self, value: Any) -> str:
        """What was found, for the ledger: "words = 3"."""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return f"{self.measure} = {UNKNOWN}"
        return f"{self.measure} = {value}" if isinstance(value, str) else f"{self.measure} = {value:.4g}"
