"""Terms: words in a row, written so that anyone can read and amend them, found in one pass over a text's words.

    faire|fabriquer ... bombe*

Words are compared folded (without case, accents, ligatures). In a term, `a|b` is either word, `stem*` any word that
begins so, `word?` one that may be missing, `...` up to three words of anything. So little can be said that it is
never slow: a text is read in time proportional to its length, whatever the terms (no backtracking), and how far a
match that has begun reaches back is known, so that an answer is held back no further than that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

from fonderie.corpus.folding import folded_words

GAP = "..."
GAP_WORDS = 3
LONGEST = 12
"""Words of the longest term, gaps included: so far back an answer is held while a match may still come of it."""
MOST_FORMS = 64
"""Plain rows of words that one term may stand for, with and without what may be missing."""


@dataclass(frozen=True)
class Place:
    """What may stand at one place of a row: one of some words, or one that begins with some stem; or anything."""

    words: frozenset[str] = frozenset()
    stems: tuple[str, ...] = ()
    anything: bool = False

    def holds(self, word: str) -> bool:
        """Whether a folded word may stand here."""
        return self.anything or word in self.words or (bool(self.stems) and word.startswith(self.stems))


Row = tuple[Place, ...]
_ANYTHING = Place(anything=True)


def rows_of(term: str) -> list[Row]:
    """The plain rows that a term stands for. ValueError says what is wrong with it."""
    choices: list[list[Row]] = []
    for chunk in term.split():
        if chunk == GAP:
            choices.append([(_ANYTHING,) * count for count in range(GAP_WORDS + 1)])
        elif any(sign in chunk for sign in "|*?"):
            row: Row = (_place(chunk.removesuffix("?"), term),)
            choices.append([row, ()] if chunk.endswith("?") else [row])
        else:
            choices.append([tuple(Place(frozenset({word})) for word in folded_words(chunk))])
    rows = []
    for count, combined in enumerate(product(*choices)):
        if count == MOST_FORMS:
            raise ValueError(f"{term!r} stands for more than {MOST_FORMS} rows of words; write several terms")
        rows.append(tuple(place for row in combined for place in row))
    for row in rows:
        if not row or row[0].anything or row[-1].anything:
            raise ValueError(f"{term!r} does not begin and end with a word")
        if len(row) > LONGEST:
            raise ValueError(f"{term!r} has more than {LONGEST} words, gaps included")
    return rows


def _place(chunk: str, term: str) -> Place:
    words, stems = set(), []
    for alternative in chunk.split("|"):
        folded = folded_words(alternative.removesuffix("*"))
        if len(folded) != 1 or not alternative.removesuffix("*").replace("*", "").strip():
            raise ValueError(f"{term!r}: {alternative!r} is not one word, or one followed by *")
        if alternative.endswith("*"):
            stems.append(folded[0])
        else:
            words.add(folded[0])
    return Place(frozenset(words), tuple(stems))


@dataclass
class Terms:
    """Terms of several categories, indexed by how they begin."""

    terms: Sequence[tuple[str, str]]
    """(category, term)."""
    _by_word: dict[str, list[tuple[str, Row]]] = field(default_factory=dict)
    _by_stem: dict[str, list[tuple[str, Row]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for category, term in self.terms:
            for row in rows_of(term):
                for word in row[0].words:
                    self._by_word.setdefault(word, []).append((category, row))
                for stem in row[0].stems:
                    self._by_stem.setdefault(stem, []).append((category, row))
        self._stem_lengths = sorted({len(stem) for stem in self._by_stem})

    def beginning(self, word: str) -> Iterator[tuple[str, Row]]:
        """Every row that may begin with a folded word."""
        yield from self._by_word.get(word, ())
        for length in self._stem_lengths:
            yield from self._by_stem.get(word[:length], ()) if len(word) >= length else ()


class Scan:
    """One text, read word by word."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self.begun: list[tuple[str, Row, int, int]] = []
        """Category, row, the place that the next word must fill, where the first one stood."""

    def add(self, word: str, at: int) -> set[str]:
        """One more folded word, which stands at `at`; the categories of terms that end with it."""
        found: set[str] = set()
        begun = []
        for category, row, place, start in self.begun:
            if row[place].holds(word):
                if place + 1 == len(row):
                    found.add(category)
                else:
                    begun.append((category, row, place + 1, start))
        for category, row in self._terms.beginning(word):
            if len(row) == 1:
                found.add(category)
            else:
                begun.append((category, row, 1, at))
        self.begun = begun
        return found

    def open_since(self, categories: frozenset[str]) -> int | None:
        """Where the first word stood of what may still become a match of these categories."""
        return min((start for category, _, _, start in self.begun if category in categories), default=None)
