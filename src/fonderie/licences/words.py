"""Words and sentences of a licence text, so written that two copies of it compare equal.

Case, accents, punctuation, line ends, ligatures, full-width letters and invisible characters carry no meaning in a
licence, and are where copies differ. Offsets always point into `Words.text`.
"""

import re
import unicodedata
from functools import cached_property
from typing import NamedTuple

LONGEST_WORD = 60
"""Letters; what is longer is no word, and is read in pieces, so that no pattern meets an endless one."""

_WORD = re.compile(rf"[^\W_]{{1,{LONGEST_WORD}}}")
_TYPOGRAPHY = re.compile(
    "[\u2010-\u2015\u2018-\u201f\u2020-\u2027\u00a7\u00a9\u00ab\u00ae\u00b0\u00b6\u00b7\u00bb]"
)
_SPACED = {code: " " for code in range(128) if not chr(code).isalnum()}
_SENTENCE_END = re.compile(r"[.;:!?]+(?=\s|$)|\n[ \t>#*/]*\n|\n(?=[ \t]*(?:[-*•–]|\(?\w{1,3}[.)])\s)")

_SPELLING = {"licence": "license", "uthoris": "uthoriz", "rganisation": "rganization"}
"""British and French spellings that SPDX's matching guidelines (B.11) call equal to the American; of one length."""


def word_set(words: str) -> frozenset[str]:
    """A set of plain words, written as a line of text."""
    return frozenset(words.split())


FUNCTION_WORDS = word_set(
    "the of to and or in for by on with is are be this that it as at from under not you your we our all any may "
    "can must only no use if when who where whose within between "
    "le la les un une de des du et ou dans pour par sur avec est sont ce cette ces il elle que qui en au aux "
    "vous votre nous notre tout toute ne pas sous sans si quand"
)
"""Small words that no English or French sentence does without, and that no name is."""


class Span(NamedTuple):
    """A run of words, first included, last excluded."""

    first: int
    last: int


class Words:
    """A text as a sequence of plain words, each with its place in the text."""

    def __init__(self, text: str) -> None:
        self.text = plain(text)
        matches = list(_WORD.finditer(fold(self.text)))
        self.words = [match.group() for match in matches]
        self.starts = [match.start() for match in matches]
        self.ends = [match.end() for match in matches]

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def joined(self) -> str:
        """All words between single spaces, a space at both ends: ' permission is hereby granted '."""
        return f" {' '.join(self.words)} "

    @cached_property
    def sentences(self) -> list[Span]:
        """The text cut after each full stop, colon, semicolon, empty line, and before each item of a list."""
        cuts = [match.end() for match in _SENTENCE_END.finditer(self.text)]
        spans, first, word = [], 0, 0
        for cut in [*cuts, len(self.text)]:
            while word < len(self.words) and self.ends[word] <= cut:
                word += 1
            if word > first:
                spans.append(Span(first, word))
                first = word
        return spans

    def said(self, span: Span) -> str:
        """The words of a span between single spaces, a space at both ends."""
        return f" {' '.join(self.words[span.first : span.last])} "

    def excerpt(self, span: Span, limit: int = 300) -> str:
        """The span as its author wrote it, on one line, cut to `limit` characters."""
        written = self.text[self.starts[span.first] : self.ends[span.last - 1] + 1]
        line = " ".join(written.split())
        return line if len(line) <= limit else f"{line[: limit - 1]}…"


def split(text: str) -> list[str]:
    """The plain words of a text, without their places; what is ASCII but for typography goes faster."""
    folded = fold(plain(text))
    bare = folded if folded.isascii() else _TYPOGRAPHY.sub(" ", folded)
    if not bare.isascii():
        return _WORD.findall(folded)
    words = bare.translate(_SPACED).split()
    return words if max(map(len, words), default=0) <= LONGEST_WORD else _WORD.findall(folded)


def plain(text: str) -> str:
    """Compatible forms made one (NFKC), and invisible characters removed: they can only hide words."""
    composed = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return _INVISIBLE.sub("", _LINE_END.sub("\n", composed))


def fold(text: str) -> str:
    """Lower case, without accents, in one spelling; as long as the text, so that offsets stay."""
    folded = (text.translate(_PLAIN_LETTERS) if _ACCENTED.search(text) else text).lower()
    if len(folded) != len(text):
        folded = "".join(lower if len(lower := letter.lower()) == 1 else letter for letter in text)
    for spelling, usual in _SPELLING.items():
        folded = folded.replace(spelling, usual)
    return folded


def _plain_letters() -> dict[int, str]:
    table = {}
    for code in [*range(0xC0, 0x250), *range(0x1E00, 0x1F00)]:
        base = unicodedata.normalize("NFD", chr(code))[0]
        if base.isascii():
            table[code] = base
    return table


_PLAIN_LETTERS = _plain_letters()
_ACCENTED = re.compile("[\u00c0-\u024f\u1e00-\u1eff]")
_LINE_END = re.compile(r"\r\n?|\f")
# Controls, joiners, direction marks, variation selectors and tags:
# Unicode's categories Cc and Cf, less white space.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u061c\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
