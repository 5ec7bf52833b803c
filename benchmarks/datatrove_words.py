"""The peer of the filters: those of datatrove, with our word and sentence rules written as regular expressions."""

import re
from collections.abc import Iterator
from typing import Any

from datatrove.utils.word_tokenizers import WordTokenizer

_TOKEN = re.compile(r"\w+(?:-\w+)*['’]?|[^\w\s]+")
_SENTENCE_END = re.compile(r"[.!?…]++[\"'”’»)\]]*+(?:\s*»[\"'”’»)\]]*+)?+(?=\s|$)")


class RegexWords(WordTokenizer):  # type: ignore[misc]
    """The rules that Fonderie documents, as a tokenizer of datatrove."""

    def word_tokenize(self, text: str) -> list[str]:
        """Tokens of a text."""
        return _TOKEN.findall(text)

    def sent_tokenize(self, text: str) -> list[str]:
        """Sentences of a text."""
        return [text[first:last] for first, last in self.span_tokenize(text)]

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        """Where sentences begin and end."""
        return list(self._spans(text))

    @staticmethod
    def _spans(text: str) -> Iterator[tuple[int, int]]:
        first = 0
        for match in _SENTENCE_END.finditer(text):
            yield first, match.end()
            first = match.end()
        if text[first:].strip():
            yield first, len(text)


def filters(language: Any, stop_words: list[str]) -> list[Any]:
    """Gopher repetition and quality, C4 and FineWeb, with a language's name or a tokenizer in its place."""
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    return [
        GopherRepetitionFilter(language=language),
        GopherQualityFilter(language=language, stop_words=stop_words),
        C4QualityFilter(language=language),
        FineWebQualityFilter(language=language),
    ]


SETS = ("gopher_repetition", "gopher_quality", "c4", "fineweb")
"""The same filters as our rule sets, in the same order."""

SAME_REASON = {
    "empty": "characters >= 1",
    "dup_para_frac": "duplicate_paragraphs <= 0.30",
    "dup_para_char_frac": "duplicate_paragraph_characters <= 0.20",
    "dup_line_frac": "duplicate_lines <= 0.30",
    "dup_line_char_frac": "duplicate_line_characters <= 0.20",
    "top_2_gram": "top_2_gram <= 0.20",
    "top_3_gram": "top_3_gram <= 0.18",
    "top_4_gram": "top_4_gram <= 0.16",
    **{f"duplicated_{n}_n_grams": f"duplicate_{n}_grams <= 0.{20 - n}" for n in range(5, 11)},
    "gopher_short_doc": "plain_tokens >= 50",
    "gopher_long_doc": "plain_tokens <= 100000",
    "gopher_below_avg_threshold": "mean_plain_token_length >= 3",
    "gopher_above_avg_threshold": "mean_plain_token_length <= 10",
    "gopher_too_many_hashes": "hash_signs <= 0.1",
    "gopher_too_many_ellipsis": "ellipses <= 0.1",
    "gopher_too_many_bullets": "bullet_lines <= 0.9",
    "gopher_too_many_end_ellipsis": "ellipsis_lines <= 0.3",
    "gopher_below_alpha_threshold": "alphabetic_tokens >= 0.8",
    "gopher_enough_stop_words": "stop_words >= 2",
    "lorem_ipsum": "c4: no line with 'lorem ipsum'",
    "curly_bracket": "c4: no line with '{'",
    "too_few_sentences": "kept_sentences >= 5",
    "line_punct_ratio": "terminal_lines >= 0.12",
    "short_line_ratio": "short_lines <= 0.67",
    "char_dup_ratio": "repeated_line_characters <= 0.01",
    "list_ratio": "line_breaks <= 0.3",
}
"""Its reasons as our rules."""


def outcome(text: str, steps: list[Any]) -> tuple[str | None, str]:
    """What datatrove's filters make of a text: the reason that drops it, as our rule, and the text as left."""
    from datatrove.data import Document

    document = Document(text=text, id="0")
    for one in steps:
        found = one.filter(document)
        if found is not True:
            return SAME_REASON[found[1]], document.text
    return None, document.text
