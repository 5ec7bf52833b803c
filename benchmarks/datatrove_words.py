"""The peer of the filters: those of datatrove, with our word and sentence rules written as regular expressions."""

import re
from collections.abc import Iterator
from typing import Any

from datatrove.utils.word_tokenizers import WordTokenizer

_TOKEN = re.compile(r"\w+(?:-\w+)*['’]?|[^\w\s]+")
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?:\s*»[\"'”’»)\]]*)?(?=\s|$)")


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
