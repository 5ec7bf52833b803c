"""How an answer looks: what sways people whatever it says, and is taken out of the ranking."""

import re
from collections.abc import Sequence
from typing import Final

STYLE: Final = ("length", "headers", "bold", "lists")
"""What is counted: words, and Markdown's headers, bold passages and items of lists outside code, as LMArena does
("Does style matter?", 2024)."""

_CODE = re.compile(r"^ {0,3}(```|~~~).*?(?:^ {0,3}\1[`~]*\s*$|\Z)", re.MULTILINE | re.DOTALL)
_HEADER = re.compile(r"^ {0,3}#{1,6}\s", re.MULTILINE)
_BOLD = re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__")
_LIST = re.compile(r"^\s*(?:[-*+]|\d{1,9}[.)])\s+\S", re.MULTILINE)


def style(text: str) -> tuple[int, ...]:
    """The counts of an answer, in the order of STYLE."""
    prose = _CODE.sub("", text)
    counts = (len(pattern.findall(prose)) for pattern in (_HEADER, _BOLD, _LIST))
    return len(text.split()), *counts


def style_difference(a: Sequence[float], b: Sequence[float]) -> tuple[float, ...]:
    """(a - b) / (a + b) of each count, 0 of none: 20 words and 10 are as far apart as 200 and 100."""
    return tuple((x - y) / (x + y) if x + y else 0.0 for x, y in zip(a, b, strict=True))
