"""Gopher's repetition measures (arXiv 2112.11446, table A1), with the counting that datatrove gave them."""

from typing import Any

from fonderie.corpus.kernels.classes import SPACE
from fonderie.corpus.kernels.compiled import inner
from fonderie.corpus.kernels.tables import TUPLE_BASE, find, hash_range, insert, mask_for, power


@inner
def top_gram(hashes: Any, lengths: Any, tokens: int, n: int, repeats: Any, slots: Any, table: Any) -> int:
    """Characters that the most frequent n-gram covers, spaces between its words included.

    Of several as frequent, the first. Occurrences may overlap, so that the share of the text can exceed one.
    `repeats` says at which places the (n - 1)-gram that begins there comes more than once; it is made to say so of
    n-grams. Only where both (n - 1)-grams of an n-gram do can it come again itself: the others are not looked up.
    """
    keys, stamps, counts, state = table
    grams = tokens - n + 1
    if grams <= 0:
        repeats[:tokens] = 0
        return 0
    mask = mask_for(grams)
    state[0] += 1
    stamp = state[0]
    best = 1
    for i in range(grams):
        if not (repeats[i] and repeats[i + 1]):
            slots[i] = -1
            continue
        key = hashes[i]
        for j in range(i + 1, i + n):
            key = key * TUPLE_BASE + hashes[j]
        slot = find(keys, stamps, mask, stamp, key)
        if stamps[slot] != stamp:
            stamps[slot] = stamp
            keys[slot] = key
            counts[slot] = 0
        counts[slot] += 1
        slots[i] = slot
        best = max(best, counts[slot])
    first = -1
    for i in range(grams):
        often = counts[slots[i]] if slots[i] >= 0 else 1
        repeats[i] = often > 1
        if often == best and first < 0:
            first = i
    repeats[grams:tokens] = 0
    return int(lengths[first + n] - lengths[first] + n - 1) * best


@inner
def duplicate_grams(prefix: Any, lengths: Any, tokens: int, n: int, repeats: Any, powers: Any, table: Any) -> int:
    """Characters in n-grams that came before, read from the left without counting one twice.

    Words are compared without what separates them, as datatrove joins them. `repeats` says where 4-grams that come
    more than once begin: only where the first and the last of an n-gram do can it come again itself.
    """
    keys, stamps, _, state = table
    grams = tokens - n + 1
    if grams <= 0:
        return 0
    mask = mask_for(grams)
    state[0] += 1
    stamp = state[0]
    repeated = 0
    i = 0
    while i < grams:
        if not (repeats[i] and repeats[i + n - 4]):
            i += 1
            continue
        characters = lengths[i + n] - lengths[i]
        key = prefix[i + n] - prefix[i] * power(characters, powers)
        if insert(keys, stamps, mask, stamp, key):
            repeated += characters
            i += n
        else:
            i += 1
    return repeated


@inner
def duplicate_paragraphs(
    points: Any, classes: Any, count: int, places: Any, newlines: int, table: Any
) -> tuple[int, int, int]:
    """Paragraphs (between blank lines, the text stripped), how many repeat one, and the characters in these.

    `places` are those of the "\\n".
    """
    keys, stamps, _, state = table
    start, last = 0, count
    while start < last and classes[start] & SPACE:
        start += 1
    while last > start and classes[last - 1] & SPACE:
        last -= 1
    mask = mask_for(newlines + 1)
    state[0] += 1
    stamp = state[0]
    paragraphs = repeated = characters = 0
    line = 0
    while line < newlines and places[line] < start:
        line += 1
    while True:
        # One "\\n" is within a paragraph, several are between two.
        while line < newlines and places[line] < last and places[line + 1] != places[line] + 1:
            line += 1
        end = places[line] if line < newlines and places[line] < last else last
        if end == last and not paragraphs:
            return 1, 0, 0
        paragraphs += 1
        if insert(keys, stamps, mask, stamp, hash_range(points, start, end)):
            repeated += 1
            characters += end - start
        while line < newlines and places[line] < last and places[line + 1] == places[line] + 1:
            line += 1
        if end == last:
            return paragraphs, repeated, characters
        start = places[line] + 1
        line += 1
