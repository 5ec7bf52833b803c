"""Words looked up in lists, upper and lower case being one: stop words, phrases, the most frequent one."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from fonderie.corpus.kernels.classes import WORD
from fonderie.corpus.kernels.compiled import inner
from fonderie.corpus.kernels.tables import BASE, TUPLE_BASE, find, mask_for

LIKELY_MASK: Final = np.uint64(4095)

Hashes = npt.NDArray[np.uint64]


class WordLists(NamedTuple):
    """Words to look for, as sorted hashes."""

    exact: Hashes
    """Stop words that count one by one, as they are written."""
    stop: Hashes
    """All stop words, folded; where there are none, what counts them is unknown (NaN)."""
    listed: Hashes
    """Phrases of the user's lists, folded."""
    sizes: npt.NDArray[np.int64]
    """The numbers of words that the phrases have."""
    likely: npt.NDArray[np.uint8]
    """1 for the low bits of the hashes of all stop words: most words need no look at the lists."""


@inner
def folded_words(classes: Any, starts: Any, folded: Any, tokens: int, words: Any, table: Any, out: Any) -> None:
    """Fill the share of the most frequent word, that of stop words, and the number of listed phrases."""
    keys, stamps, counts, state = table
    _, stop, listed, sizes, likely = words
    mask = mask_for(tokens)
    total = best = stopped = 0
    state[0] += 1
    stamp = state[0]
    for token in range(tokens):
        if not classes[starts[token]] & WORD:
            continue
        total += 1
        slot = find(keys, stamps, mask, stamp, folded[token])
        if stamps[slot] != stamp:
            stamps[slot] = stamp
            keys[slot] = folded[token]
            counts[slot] = 0
        counts[slot] += 1
        best = max(best, counts[slot])
        if likely[folded[token] & LIKELY_MASK]:
            stopped += _among(stop, folded[token])
    out[0] = best / total if total else 0.0
    out[1] = stopped / total if total else 0.0
    if not stop.size:
        out[1] = np.nan
    out[2] = _phrases(folded, tokens, listed, sizes)


@inner
def _among(wanted: Any, key: Any) -> bool:
    place = np.searchsorted(wanted, key)
    return bool(place < wanted.size and wanted[place] == key)


@inner
def _phrases(folded: Any, tokens: int, listed: Any, sizes: Any) -> int:
    """Occurrences of listed phrases; `sizes` says how many tokens the phrases have."""
    found = 0
    for n in sizes:
        for i in range(tokens - n + 1):
            key = folded[i]
            for j in range(i + 1, i + n):
                key = key * TUPLE_BASE + folded[j]
            found += _among(listed, key)
    return found


@inner
def distinct(hashes: Any, tokens: int, wanted: Any, likely: Any) -> float:
    """How many of the wanted hashes are there; NaN if none is wanted."""
    if not wanted.size:
        return np.nan
    seen = np.zeros(wanted.size, np.uint8)
    found = 0
    for token in range(tokens):
        if not likely[hashes[token] & LIKELY_MASK]:
            continue
        place = np.searchsorted(wanted, hashes[token])
        if place < wanted.size and wanted[place] == hashes[token] and not seen[place]:
            seen[place] = 1
            found += 1
            if found == wanted.size:
                break
    return found


def word_lists(exact: Iterable[str], stop: Iterable[str], phrases: Iterable[tuple[str, ...]]) -> WordLists:
    """Hash words and phrases as the kernel does; phrases come split into tokens."""
    listed = {phrase_hash(tuple(map(str.casefold, phrase))): len(phrase) for phrase in phrases if phrase}
    few = np.array(sorted({text_hash(word) for word in exact}), np.uint64)
    every = np.array(sorted({text_hash(word.casefold()) for word in stop}), np.uint64)
    likely = np.zeros(int(LIKELY_MASK) + 1, np.uint8)
    likely[few & LIKELY_MASK] = likely[every & LIKELY_MASK] = 1
    return WordLists(
        few, every, np.array(sorted(listed), np.uint64), np.array(sorted(set(listed.values())), np.int64), likely
    )


def phrase_hash(words: tuple[str, ...]) -> int:
    """The hash that kernels give to a sequence of words."""
    value = text_hash(words[0])
    for word in words[1:]:
        value = (value * int(TUPLE_BASE) + text_hash(word)) % (1 << 64)
    return value


def text_hash(text: str) -> int:
    """The hash that kernels give to a word."""
    value = 0
    for character in text:
        value = (value * int(BASE) + ord(character) + 1) % (1 << 64)
    return value
