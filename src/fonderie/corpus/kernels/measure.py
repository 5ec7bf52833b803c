"""All measures of a document in one pass: decode, split, count words, lines and repetitions."""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from fonderie.corpus.kernels.classes import ALPHA, PUNCTUATION, WORD, flags, folding
from fonderie.corpus.kernels.compiled import entry, inner, read_only
from fonderie.corpus.kernels.line_rules import encode, first_phrase, keep_lines, phrase_arrays
from fonderie.corpus.kernels.lines import (
    FILLED,
    FINISHED_LINES,
    LINE_COUNTS,
    NEWLINES,
    PIECES,
    PIECES_CHARACTERS,
    PIECES_REPEATED,
    REPEATED,
    REPEATED_CHARACTERS,
    SHORT,
    TERMINAL_LINES,
    all_sentences,
    bullets_and_ellipses,
    newline_lines,
    newline_places,
    symbols,
)
from fonderie.corpus.kernels.repetition import duplicate_grams, duplicate_paragraphs, top_gram
from fonderie.corpus.kernels.tables import powers_of_base
from fonderie.corpus.kernels.tokens import count_tokens, decode, folded_hash, split, token_arrays
from fonderie.corpus.kernels.words import WordLists, distinct, folded_words

# What a rule may need beyond the basic counts; a kernel does only what is asked.
BASIC, LINES, BREAKS, PARAGRAPHS, PROSE, REPETITION, STOP, FOLDED = 1, 2, 4, 8, 16, 32, 64, 128

COLUMNS: Final[dict[str, int]] = {
    "characters": BASIC,
    "tokens": BASIC,
    "words": BASIC,
    "mean_word_length": BASIC,
    "letters": BASIC,
    "plain_tokens": BASIC,
    "mean_plain_token_length": BASIC,
    "alphabetic_tokens": BASIC,
    "hash_signs": BASIC,
    "ellipses": BASIC,
    "braces": BASIC,
    "repeated_lines": LINES,
    "unfinished_lines": LINES,
    "terminal_lines": LINES,
    "short_lines": LINES,
    "repeated_line_characters": LINES,
    "line_breaks": LINES,
    "duplicate_lines": LINES,
    "duplicate_line_characters": LINES,
    "bullet_lines": BREAKS,
    "ellipsis_lines": BREAKS,
    "duplicate_paragraphs": PARAGRAPHS,
    "duplicate_paragraph_characters": PARAGRAPHS,
    "sentences": PROSE,
    "lorem_ipsum": PROSE,
    "top_2_gram": REPETITION,
    "top_3_gram": REPETITION,
    "top_4_gram": REPETITION,
    "duplicate_5_grams": REPETITION,
    "duplicate_6_grams": REPETITION,
    "duplicate_7_grams": REPETITION,
    "duplicate_8_grams": REPETITION,
    "duplicate_9_grams": REPETITION,
    "duplicate_10_grams": REPETITION,
    "stop_words": STOP,
    "top_word": FOLDED,
    "stop_word_share": FOLDED,
    "listed_words": FOLDED,
}
"""The measures of the kernel in the order of its columns, each with what it needs."""
_FIRST = {need: min(i for i, found in enumerate(COLUMNS.values()) if found == need) for need in COLUMNS.values()}
_LINES_AT: Final = _FIRST[LINES]
_BREAKS_AT: Final = _FIRST[BREAKS]
_PARAGRAPHS_AT: Final = _FIRST[PARAGRAPHS]
_PROSE_AT: Final = _FIRST[PROSE]
_REPETITION_AT: Final = _FIRST[REPETITION]
_STOP_AT: Final = _FIRST[STOP]
_FOLDED_AT: Final = _FIRST[FOLDED]

Bytes = npt.NDArray[np.uint8]


@inner
def _basic(
    points: Any, classes: Any, count: int, starts: Any, ends: Any, kinds: Any, tokens: int, out: Any
) -> None:
    words = word_characters = letters = plain = plain_characters = alphabetic = 0
    for i in range(count):
        letters += (classes[i] & ALPHA) > 0
    for token in range(tokens):
        length = ends[token] - starts[token]
        kind = kinds[token]
        if kind & WORD:
            words += 1
            word_characters += length
        alphabetic += (kind & ALPHA) > 0
        if not kind & PUNCTUATION:
            plain += 1
            plain_characters += length
    hashes, ellipses, braces, visible = symbols(points, classes, count)
    out[0] = count
    out[1] = tokens
    out[2] = words
    out[3] = word_characters / words if words else 0.0
    out[4] = letters / visible if visible else 0.0
    out[5] = plain
    out[6] = plain_characters / plain if plain else 0.0
    out[7] = alphabetic / tokens if tokens else 0.0
    out[8] = hashes / tokens if tokens else 0.0
    out[9] = ellipses / tokens if tokens else 0.0
    out[10] = braces


@inner
def _lines(
    points: Any,
    classes: Any,
    count: int,
    places: Any,
    newlines: int,
    tokens: int,
    tables: Any,
    counts: Any,
    out: Any,
) -> None:
    newline_lines(points, classes, count, places, newlines, tables[0], tables[1], counts)
    filled = counts[FILLED]
    if filled:
        # One minus the share of different lines, as it was first defined: in floating point not the same number.
        out[0] = 1 - (filled - counts[REPEATED]) / filled
        out[1] = (filled - counts[FINISHED_LINES]) / filled
        out[2] = counts[TERMINAL_LINES] / filled
        out[3] = counts[SHORT] / filled
        out[4] = counts[REPEATED_CHARACTERS] / (count - counts[NEWLINES])
    if tokens:
        out[5] = counts[NEWLINES] / tokens
    if count:
        out[6] = counts[PIECES_REPEATED] / counts[PIECES]
        out[7] = counts[PIECES_CHARACTERS] / count


@inner
def _structure(
    points: Any, classes: Any, count: int, places: Any, newlines: int, needs: int, lorem: Any, table: Any, out: Any
) -> None:
    if needs & BREAKS:
        lines, bullets, ellipses = bullets_and_ellipses(points, classes, count)
        if lines:
            out[_BREAKS_AT] = bullets / lines
            out[_BREAKS_AT + 1] = ellipses / lines
    if needs & PARAGRAPHS and count:
        paragraphs, repeated, characters = duplicate_paragraphs(points, classes, count, places, newlines, table)
        out[_PARAGRAPHS_AT] = repeated / paragraphs
        out[_PARAGRAPHS_AT + 1] = characters / count
    if needs & PROSE:
        out[_PROSE_AT] = all_sentences(points, classes, count)
        out[_PROSE_AT + 1] = first_phrase(points, 0, count, lorem) == 0


@inner
def _repetition(
    hashes: Any, prefix: Any, lengths: Any, tokens: int, count: int, powers: Any, marks: Any, table: Any, out: Any
) -> None:
    if not count:
        return
    repeats, slots = marks
    repeats[:tokens] = 1
    for n in range(2, 5):
        out[n - 2] = top_gram(hashes, lengths, tokens, n, repeats, slots, table) / count
    for n in range(5, 11):
        characters = duplicate_grams(prefix, lengths, tokens, n, repeats, powers, table)
        if not characters:
            break  # where no run of n words comes again, no longer one does
        out[n - 2] = characters / count


@inner
def _fill(points: Any, classes: Any, count: int, needs: int, given: Any, room: Any, out: Any) -> None:
    """Fill in what is asked of a document's code points."""
    lorem, _, fold, words, powers = given
    tokens, folded, places, counts, marks, tables = room
    starts, ends, kinds, hashes, prefix, lengths = tokens
    found = newlines = 0
    if needs & (BASIC | REPETITION | STOP | FOLDED):
        found = split(points, classes, count, powers, tokens)
    elif needs & LINES:
        found = count_tokens(points, classes, count, kinds, marks[0])
    if needs & BASIC:
        _basic(points, classes, count, starts, ends, kinds, found, out)
    if needs & (LINES | PARAGRAPHS):
        newlines = newline_places(points, count, places)
    if needs & LINES:
        _lines(points, classes, count, places, newlines, found, tables, counts, out[_LINES_AT:])
    _structure(points, classes, count, places, newlines, needs, lorem, tables[0], out)
    if needs & REPETITION:
        _repetition(hashes, prefix, lengths, found, count, powers, marks, tables[0], out[_REPETITION_AT:])
    if needs & STOP:
        out[_STOP_AT] = distinct(hashes, found, words[0], words[4])
    if needs & FOLDED:
        for token in range(found):
            folded[token] = folded_hash(points, classes, starts[token], ends[token], fold, False)
        folded_words(classes, starts, folded, found, words, tables[0], out[_FOLDED_AT:])


@entry
def _measure(data: Any, offsets: Any, rows: Any, needs: int, given: Any, scratch: Any, out: Any) -> None:
    points, classes, room = scratch
    for row in rows:
        count = decode(data, offsets[row], offsets[row + 1], given[1], points, classes)
        _fill(points, classes, count, needs, given, room, out[row])


@inner
def _same(data: Any, first: int, last: int, new: Any, begin: int, end: int) -> bool:
    if last - first != end - begin:
        return False
    i = 0
    while i < last - first and data[first + i] == new[begin + i]:
        i += 1
    return i == last - first


@entry
def _edit(
    data: Any,
    offsets: Any,
    rows: Any,
    needs: int,
    given: Any,
    rules: Any,
    scratch: Any,
    copy: Any,
    new: Any,
    places: Any,
    result: Any,
    out: Any,
) -> int:
    points, classes, room = scratch
    into, into_classes = copy
    at = 0
    for i in range(rows.size):
        row = rows[i]
        count = decode(data, offsets[row], offsets[row + 1], given[1], points, classes)
        length = keep_lines(points, classes, count, rules, into, into_classes, result[i])
        places[i] = at
        if length < 0:
            result[i, 1] = length
            continue
        first = result[i, 3]
        at = encode(into, first, first + length, new, at)
        result[i, 3] = not _same(data, offsets[row], offsets[row + 1], new, places[i], at)
        if needs:
            _fill(into[first:], into_classes[first:], length, needs, given, room, out[i])
    places[rows.size] = at
    return at


class Edited(NamedTuple):
    """Documents of which lines were dropped."""

    data: Bytes
    """Their new texts, one after the other."""
    places: npt.NDArray[np.int64]
    """Where each begins, and the last ends."""
    counts: npt.NDArray[np.int64]
    """int64[documents, 4]: lines, lines kept (or -1 - p where phrase p drops the document), sentences kept, and 1
    for a text that is not what it was."""
    measured: npt.NDArray[np.float64]
    """float64[documents, columns]: the measures of the new texts."""


class Kernel:
    """The compiled measures with their working memory, for one process.

    Memory grows to the longest document met: some 80 bytes a character, most of them touched only by its words.
    """

    def __init__(self) -> None:
        self._capacity = 0
        self._marks, self._fold, self._powers = flags(), folding(), powers_of_base()
        self._lorem = phrase_arrays(["lorem ipsum"])
        self._scratch: tuple[Any, ...] = ()

    def measure(
        self, data: Bytes, offsets: npt.NDArray[np.int32], rows: npt.NDArray[np.int64], needs: int, words: WordLists
    ) -> npt.NDArray[np.float64]:
        """float64[documents, columns]: the measures of the documents named by `rows`, 0 in the others.

        Document i is data[offsets[i] : offsets[i + 1]].
        """
        out = np.zeros((len(offsets) - 1, len(COLUMNS)))
        data, offsets = read_only(data), read_only(offsets)
        self._grow(offsets, rows)
        _measure(data, offsets, rows, needs, self._given(words), self._scratch, out)
        return out

    def edit(
        self,
        data: Bytes,
        offsets: npt.NDArray[np.int32],
        rows: npt.NDArray[np.int64],
        rules: tuple[Any, ...],
        needs: int,
        words: WordLists,
    ) -> Edited:
        """Drop lines of the documents named by `rows`, and measure what is left."""
        data, offsets = read_only(data), read_only(offsets)
        self._grow(offsets, rows)
        size = int((offsets[rows + 1] - offsets[rows]).sum())
        new, places = np.empty(size, np.uint8), np.empty(len(rows) + 1, np.int64)
        result, out = np.empty((len(rows), 4), np.int64), np.zeros((len(rows), len(COLUMNS)))
        copy = np.empty(self._capacity, np.int32), np.empty(self._capacity, np.uint8)
        given = self._given(words)
        used = _edit(data, offsets, rows, needs, given, rules, self._scratch, copy, new, places, result, out)
        return Edited(new[:used], places, result, out)

    def _given(self, words: WordLists) -> tuple[Any, ...]:
        return self._lorem, self._marks, self._fold, words, self._powers

    def _grow(self, offsets: npt.NDArray[np.int32], rows: npt.NDArray[np.int64]) -> None:
        longest = int((offsets[rows + 1] - offsets[rows]).max(initial=0)) + 1
        tables = self._scratch[-1][-1] if self._scratch else ()
        if longest <= self._capacity and all(table[-1][0] < 1 << 30 for table in tables):
            return
        size = max(1 << 16, 1 << (longest - 1).bit_length(), self._capacity)
        self._capacity = size
        self._scratch = (
            np.empty(size, np.int32),
            np.empty(size, np.uint8),
            (
                token_arrays(size),
                np.empty(size, np.uint64),
                np.empty(size + 1, np.int64),
                np.empty(LINE_COUNTS, np.int64),
                (np.empty(size, np.uint8), np.empty(size, np.int64)),
                (_table(2 * size), _table(2 * size)),
            ),
        )


def _table(size: int) -> tuple[Any, ...]:
    """Keys, stamps and counts, all but the stamps left as they come, and the last stamp given."""
    return (
        np.empty(size, np.uint64),
        np.zeros(size, np.uint32),
        np.empty(size, np.int32),
        np.zeros(1, np.int64),
    )
