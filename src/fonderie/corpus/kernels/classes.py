"""What every Unicode character is to the rules: one byte of flags per code point.

The flags are those of Python's own tests, so that a rule means here what it means in the Python that peers write:
`\\w` and `\\d` of `re`, `str.isspace`, `str.isalpha`, the ends of `str.splitlines`. The punctuation of Gopher's
symbol words and the terminal punctuation of FineWeb are lists, kept as data beside the rules
(`rules/characters.toml`).
"""

import re
import sys
import tomllib
from functools import cache
from importlib import resources
from typing import Final

import numpy as np
import numpy.typing as npt

WORD: Final = 1
SPACE: Final = 2
ALPHA: Final = 4
PUNCTUATION: Final = 8
LINE_BREAK: Final = 16
TERMINAL: Final = 32
FINISHED: Final = 64
DECIMAL: Final = 128

CODE_POINTS: Final = sys.maxunicode + 1
_SURROGATES = slice(0xD800, 0xE000)
_CASED = 0x20000
"""Unicode has given case to no character from here on."""
_BY_PATTERN = {WORD: r"\w+", SPACE: r"\s+", ALPHA: r"[^\W\d_]+", DECIMAL: r"\d+"}
_LINE_BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"

Flags = npt.NDArray[np.uint8]


@cache
def flags() -> Flags:
    """uint8[code points]; made once per process in a quarter of a second."""
    points = np.arange(CODE_POINTS, dtype="<u4")
    points[_SURROGATES] = 0
    every = points.tobytes().decode("utf-32-le")
    table = np.zeros(CODE_POINTS, np.uint8)
    for flag, pattern in _BY_PATTERN.items():
        for match in re.finditer(pattern, every):
            if flag != ALPHA:
                table[match.start() : match.end()] |= flag
                continue
            # `[^\W\d_]` also holds numbers that are no decimal digits, such as ½ and Roman numerals.
            for point in range(match.start(), match.end()):
                if every[point].isalpha():
                    table[point] |= flag
    table[[ord(character) for character in _LINE_BREAKS]] |= LINE_BREAK
    lists = tomllib.loads(resources.files("fonderie.corpus.rules").joinpath("characters.toml").read_text("utf-8"))
    for flag, name in ((PUNCTUATION, "punctuation"), (TERMINAL, "terminal"), (FINISHED, "finished")):
        table[_points(lists[name]["points"])] |= flag
    # A symbol, to Gopher as datatrove applies it, is also what ends a sentence in any script.
    table[(table & TERMINAL) > 0] |= PUNCTUATION
    return table


def _points(ranges: list[str]) -> list[int]:
    """Code points from "21" and "300-36F"."""
    points: list[int] = []
    for text in ranges:
        first, _, last = text.partition("-")
        points.extend(range(int(first, 16), int(last or first, 16) + 1))
    return points


@cache
def folding() -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Case folding: int32[code points], and the expansions it points to.

    A positive entry is the folded code point. A negative entry -k says that expansion row k - 1 (three code points,
    0 where it is shorter) takes its place, as "ss" does that of "ß".
    """
    single = np.arange(CODE_POINTS, dtype=np.int32)
    rows: list[list[int]] = []
    for point in range(_CASED):
        character = chr(point)
        folded = character.casefold()
        if folded == character:
            continue
        if len(folded) == 1:
            single[point] = ord(folded)
        else:
            rows.append([*map(ord, folded), 0, 0][:3])
            single[point] = -len(rows)
    return single, np.array(rows, np.int32)
