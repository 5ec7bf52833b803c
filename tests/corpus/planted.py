"""Near duplicates whose similarity is known, planted among texts that share nothing but words."""

import random
import re
from typing import NamedTuple

_SYLLABLES = [consonant + vowel for consonant in "bcdfglmnprstv" for vowel in ("a", "é", "i", "ou")]
WORDS = [one + two + end for one in _SYLLABLES for two in _SYLLABLES for end in ("", "r")][:4_000]
"""Without digits, which some peers take for one another."""


class Pair(NamedTuple):
    """Two texts and their Jaccard similarity over word 5-grams, computed the plain way."""

    one: str
    other: str
    similarity: float


def plain_similarity(one: str, other: str) -> float:
    """Jaccard's similarity over sets of tuples of words: no hash, no kernel."""
    a, b = _grams(one), _grams(other)
    return len(a & b) / len(a | b)


def _grams(text: str) -> set[tuple[str, ...]]:
    words = [word.casefold() for word in re.findall(r"\w+(?:-\w+)*['’]?", text)]
    return {tuple(words[at : at + 5]) for at in range(max(1, len(words) - 4))}


def pair(rng: random.Random, similarity: float, words: int) -> Pair:
    """A text and a copy with words replaced one at a time until its similarity is at or just above the wanted one."""
    text = rng.choices(WORDS, k=words)
    copy = list(text)
    best = Pair(" ".join(text), " ".join(copy), 1.0)
    misses = 0
    # Changes side by side cost less than changes apart: a few more tries come closer.
    for place in rng.sample(range(words), words):
        before, copy[place] = copy[place], rng.choice(WORDS)
        found = plain_similarity(best.one, " ".join(copy))
        if found >= similarity:
            best = Pair(best.one, " ".join(copy), found)
            continue
        copy[place] = before
        misses += 1
        if misses > 30:
            break
    return best
