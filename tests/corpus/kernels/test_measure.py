"""The kernels against the same measures written in plain Python, on any text."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fonderie.corpus.kernels.classes import PUNCTUATION, TERMINAL, flags, folding
from fonderie.corpus.kernels.measure import COLUMNS, Kernel
from fonderie.corpus.kernels.words import word_lists
from fonderie.corpus.rules.sets import rule_set

TOKEN = re.compile(r"\w+(?:-\w+)*['’]?|[^\w\s]+")
WORD = re.compile(r"\w+(?:-\w+)*['’]?")
SENTENCE_END = re.compile(r"[.!?…]++[\"'”’»)\]]*+(?:\s*»[\"'”’»)\]]*+)?+(?=\s|$)")
FINISHED = (".", "!", "?", "…", "»", '"', "”", ":", ";")
FEW = ["le", "la", "de"]
STOP = [*FEW, "l'", "straße"]
PHRASES = [("zut",), ("nom", "d'", "un", "chien")]
LISTS = word_lists(FEW, STOP, PHRASES)
EVERYTHING = 255
KERNEL = Kernel()


def together(texts: Sequence[str]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    data = [text.encode("utf-8") for text in texts]
    offsets = np.cumsum([0, *map(len, data)]).astype(np.int32)
    return np.frombuffer(b"".join(data), np.uint8), offsets


def measured(*texts: str) -> list[dict[str, float]]:
    joined, offsets = together(texts)
    rows = KERNEL.measure(joined, offsets, np.arange(len(texts)), EVERYTHING, LISTS)
    return [dict(zip(COLUMNS, map(float, row), strict=True)) for row in rows]


def share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def is_(character: str, flag: int) -> bool:
    return bool(flags()[ord(character)] & flag)


def repeats(items: list[str]) -> tuple[int, int]:
    seen: set[str] = set()
    count = characters = 0
    for item in items:
        if item in seen:
            count += 1
            characters += len(item)
        seen.add(item)
    return count, characters


def sentences(line: str) -> int:
    ends = [match.end() for match in SENTENCE_END.finditer(line)]
    return max(len(ends) + bool(line[ends[-1] if ends else 0 :].strip()), 1)


def top_gram(tokens: list[str], n: int) -> int:
    grams = [" ".join(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    return len(grams and Counter(grams).most_common(1)[0][0]) * Counter(grams).most_common(1)[0][1] if grams else 0


def duplicate_grams(tokens: list[str], n: int) -> int:
    fours = Counter(tuple(tokens[i : i + 4]) for i in range(len(tokens) - 3))

    def comes_again(place: int) -> bool:
        return fours[tuple(tokens[place : place + 4])] > 1

    seen: set[str] = set()
    characters = i = 0
    while i < len(tokens) - n + 1:
        gram = "".join(tokens[i : i + n])
        # Runs of words whose ends come but once are not looked up: equal only if joined otherwise ("a bc", "ab c").
        if not (comes_again(i) and comes_again(i + n - 4)):
            i += 1
        elif gram in seen:
            characters += len(gram)
            i += n
        else:
            seen.add(gram)
            i += 1
    return characters


def plain(text: str) -> dict[str, float]:
    words, tokens = WORD.findall(text), TOKEN.findall(text)
    symbols = [token for token in tokens if all(is_(character, PUNCTUATION) for character in token)]
    not_symbols = [token for token in tokens if token not in symbols]
    visible = [character for character in text if not character.isspace()]
    stripped = [line.strip() for line in text.split("\n") if line.strip()]
    filled = [line for line in text.split("\n") if line.strip()]
    lines, pieces = text.splitlines(), re.split("\n+", text)
    paragraphs = re.split("\n{2,}", text.strip())
    folded = Counter(word.casefold() for word in words)
    every = [token.casefold() for token in tokens]
    found = {
        "characters": len(text),
        "words": len(words),
        "mean_word_length": share(sum(map(len, words)), len(words)),
        "letters": share(sum(map(str.isalpha, text)), len(visible)),
        "tokens": len(tokens),
        "plain_tokens": len(not_symbols),
        "mean_plain_token_length": share(sum(map(len, not_symbols)), len(not_symbols)),
        "alphabetic_tokens": share(sum(any(map(str.isalpha, token)) for token in tokens), len(tokens)),
        "hash_signs": share(text.count("#"), len(tokens)),
        "ellipses": share(text.count("...") + text.count("…"), len(tokens)),
        "braces": text.count("{"),
        "repeated_lines": 1 - len(set(stripped)) / len(stripped) if stripped else 0,
        "unfinished_lines": share(sum(not line.endswith(FINISHED) for line in stripped), len(stripped)),
        "terminal_lines": share(sum(is_(line[-1], TERMINAL) for line in filled), len(filled)),
        "short_lines": share(sum(len(line) <= 30 for line in filled), len(filled)),
        "repeated_line_characters": share(repeats(filled)[1], len(text.replace("\n", ""))),
        "line_breaks": share(text.count("\n"), len(tokens)),
        "duplicate_lines": share(repeats(pieces)[0], len(pieces)) if text else 0,
        "duplicate_line_characters": share(repeats(pieces)[1], len(text)),
        "bullet_lines": share(sum(line.lstrip().startswith(("•", "-")) for line in lines), len(lines)),
        "ellipsis_lines": share(sum(line.rstrip().endswith(("...", "…")) for line in lines), len(lines)),
        "duplicate_paragraphs": share(repeats(paragraphs)[0], len(paragraphs)) if text else 0,
        "duplicate_paragraph_characters": share(repeats(paragraphs)[1], len(text)),
        "sentences": sum(sentences(line) for line in lines if line.strip()),
        "lorem_ipsum": "lorem ipsum" in text.lower(),
        "stop_words": len(set(FEW) & set(tokens)),
        "top_word": share(max(folded.values(), default=0), len(words)),
        "stop_word_share": share(
            sum(word.casefold() in {s.casefold() for s in STOP} for word in words), len(words)
        ),
        "listed_words": sum(
            every[i : i + len(phrase)] == list(phrase) for phrase in PHRASES for i in range(len(every))
        ),
    }
    found |= {f"top_{n}_gram": share(top_gram(tokens, n), len(text)) for n in (2, 3, 4)}
    grams = {n: duplicate_grams(tokens, n) for n in range(5, 11)}
    for n in range(5, 11):
        # Once no run of n words comes again, the kernel does not look for longer ones.
        ended = any(not grams[shorter] for shorter in range(5, n))
        found[f"duplicate_{n}_grams"] = 0 if ended else share(grams[n], len(text))
    return {name: float(value) for name, value in found.items()}


LETTERS = st.sampled_from(
    [
        *"aàAßİKǅ1½²٣#-'’.…!?«»•{}[]*_/ \t\n\r\x0b\x1c\x85\u00a0\u2028\ufeff漢。𝒳😀\0",
        *["\n\n", "...", "le ", "la ", " de ", "l'", "STRASSE ", "zut", " nom d'un chien ", "lorem ipsum"],
        *["Lorem Ipsum", "! », ", "? »", ".» », ", "! », puis"],
    ]
)
TEXTS = st.one_of(
    st.text(),
    st.lists(LETTERS, max_size=60).map("".join),
    st.lists(st.sampled_from(["un ", "deux ", "trois. ", "\n", "\n\n", " ", "- a\n", "b...\n"]), max_size=80).map(
        "".join
    ),
)


@settings(max_examples=600, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_every_measure_is_what_plain_python_finds(texts: list[str]) -> None:
    for text, found in zip(texts, measured(*texts), strict=True):
        assert found == plain(text), text


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_a_measure_is_the_same_whatever_else_is_asked(texts: list[str]) -> None:
    data, offsets = together(texts)
    rows = np.arange(len(texts))
    everything = KERNEL.measure(data, offsets, rows, EVERYTHING, LISTS)
    for need in set(COLUMNS.values()):
        asked = [place for place, needed in enumerate(COLUMNS.values()) if needed == need]
        alone = KERNEL.measure(data, offsets, rows, need, LISTS)
        assert np.array_equal(alone[:, asked], everything[:, asked])


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_what_is_left_when_lines_are_dropped_is_measured_as_a_text_of_its_own(texts: list[str]) -> None:
    data, offsets = together(texts)
    rules = rule_set("c4")[0].model_copy(update={"ends": (), "fewest_words": 1})  # type: ignore[union-attr]
    edited = KERNEL.edit(data, offsets, np.arange(len(texts)), rules.arrays(), EVERYTHING, LISTS)
    left = np.flatnonzero(edited.counts[:, 1] > 0)
    again = KERNEL.measure(edited.data, edited.places.astype(np.int32), left, EVERYTHING, LISTS)
    assert np.array_equal(edited.measured[left], again[left])
    for row in left:
        new = bytes(edited.data[edited.places[row] : edited.places[row + 1]])
        assert edited.counts[row, 3] == (new != texts[row].encode())


@pytest.mark.parametrize(
    ("measure", "text", "expected"),
    [
        ("characters", "héé", 3),
        ("words", "L'arc-en-ciel d’Anne, aujourd'hui.", 6),
        ("tokens", "L'arc-en-ciel d’Anne, aujourd'hui.", 8),
        ("mean_word_length", "un deux", 3),
        ("letters", "ab 12", 0.5),
        ("repeated_lines", "a\nb\n\na\n a ", 0.5),
        ("unfinished_lines", "Fin.\nMenu", 0.5),
        ("top_word", "la LA lune", 2 / 3),
        ("sentences", "Il dit : « Viens ! » Elle vint. 3.14 ?\nTitre\n\n« Non. »", 5),
        ("ellipses", "Ah.... bon… oui", 2 / 5),
        ("listed_words", "Zut ! Nom d'un chien, ZUT alors.", 3),
        ("stop_words", "Le la de la", 2),
        ("letters", "", 0),
        ("repeated_lines", "", 0),
    ],
)
def test_measures(measure: str, text: str, expected: float) -> None:
    assert measured(text)[0][measure] == pytest.approx(expected)


def test_flags_are_those_of_python() -> None:
    table = flags()
    for point in [*range(0x3000), *range(0xFE00, 0x10400), *range(0x1D400, 0x1D800), 0x20000, 0x10FFFF]:
        character = chr(point)
        held = bool(re.match(r"\w", character)), character.isspace(), character.isalpha()
        assert (bool(table[point] & 1), bool(table[point] & 2), bool(table[point] & 4)) == held, hex(point)
        assert bool(table[point] & 16) == (len(f"a{character}b".splitlines()) == 2), hex(point)
        assert bool(table[point] & 128) == bool(re.match(r"\d", character)), hex(point)


def test_folding_is_that_of_python_for_every_character() -> None:
    single, rows = folding()
    for point in range(0x110000):
        if 0xD800 <= point < 0xE000:
            continue
        folded = int(single[point])
        expected = chr(point).casefold()
        made = chr(folded) if folded >= 0 else "".join(chr(part) for part in rows[-folded - 1] if part)
        assert made == expected, hex(point)


def test_without_stop_words_of_a_language_their_number_is_unknown() -> None:
    data = np.frombuffer(b"un deux", np.uint8)
    offsets = np.array([0, 7], np.int32)
    (row,) = KERNEL.measure(data, offsets, np.arange(1), EVERYTHING, word_lists([], [], []))
    found = dict(zip(COLUMNS, row, strict=True))
    assert math.isnan(found["stop_words"])
    assert math.isnan(found["stop_word_share"])


def test_a_longer_document_makes_the_memory_grow(tmp_path: Path) -> None:
    fresh = Kernel()
    texts = ["un deux", "un deux trois " * 20_000]
    for text in texts:
        data = np.frombuffer(text.encode(), np.uint8)
        offsets = np.array([0, len(data)], np.int32)
        (row,) = fresh.measure(data, offsets, np.arange(1), EVERYTHING, LISTS)
        assert row[list(COLUMNS).index("words")] == len(text.split())
