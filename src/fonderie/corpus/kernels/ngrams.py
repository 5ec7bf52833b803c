"""Words as n-gram models see them, and the probability of a text under one.

A line (as `str.splitlines` cuts them, blank ones left out) is a sentence between two marks. Words are case-folded
and each digit is 0, as CCNet prepares text for its models (arXiv 1911.00359, section 3.3).
"""

from typing import Any

import numpy as np

from fonderie.corpus.kernels.classes import LINE_BREAK
from fonderie.corpus.kernels.compiled import entry, inner
from fonderie.corpus.kernels.tables import TUPLE_BASE, mask_for, spread
from fonderie.corpus.kernels.tokens import decode, folded_hash, split

BEGIN = np.uint64(0x9E3779B97F4A7C01)
END = np.uint64(0x9E3779B97F4A7C02)
RARE = np.uint64(0x9E3779B97F4A7C03)
"""Marks that stand where no word's hash will, as no text of a few letters has them."""


@inner
def _stream(points: Any, classes: Any, count: int, powers: Any, room: Any, fold: Any, into: Any) -> int:
    """The words of a document with the marks of its lines; at most 3 for 2 characters, as a line has a break."""
    tokens = split(points, classes, count, powers, room)
    starts, ends, _, _, _, _ = room
    at = place = 0
    inside = False
    for token in range(tokens):
        broken = False
        while place < starts[token]:
            broken = broken or (classes[place] & LINE_BREAK) > 0
            place += 1
        if inside and broken:
            into[at] = END
            at += 1
        if broken or not inside:
            into[at] = BEGIN
            at += 1
            inside = True
        into[at] = folded_hash(points, classes, starts[token], ends[token], fold, True)
        at += 1
        place = ends[token]
    if inside:
        into[at] = END
        at += 1
    return at


@entry
def streams(data: Any, offsets: Any, marks: Any, fold: Any, powers: Any, scratch: Any, into: Any) -> int:
    """The words and marks of documents one after the other; returns how many there are."""
    points, classes, room = scratch
    at = 0
    for row in range(offsets.size - 1):
        count = decode(data, offsets[row], offsets[row + 1], marks, points, classes)
        at += _stream(points, classes, count, powers, room, fold, into[at:])
    return at


@entry
def replace_rare(words: Any, common: Any) -> None:
    """Put RARE in the place of words that are no mark and not among the common ones, which are sorted."""
    for i in range(words.size):
        if words[i] == BEGIN or words[i] == END:
            continue
        place = np.searchsorted(common, words[i])
        if place == common.size or common[place] != words[i]:
            words[i] = RARE


@entry
def roll(words: Any, order: int, keys: Any, depths: Any) -> None:
    """Fill keys[n - 1, i] with the hash of the n words that end at i, and depths[i] with how many n there are.

    No n-gram reaches back beyond the mark that begins its line.
    """
    depth = 0
    for i in range(words.size):
        depth = 1 if words[i] == BEGIN else min(depth + 1, order)
        depths[i] = depth
        keys[0, i] = words[i]
        for n in range(1, depth):
            keys[n, i] = keys[n - 1, i - 1] * TUPLE_BASE + words[i]


@entry
def hashed(keys: Any, values: Any) -> tuple[Any, Any]:
    """An open-addressing table of keys with their values; a slot without a value is NaN."""
    mask = mask_for(max(keys.size, 1))
    table = np.zeros(mask + 1, np.uint64)
    found = np.full(mask + 1, np.nan)
    for i in range(keys.size):
        slot = np.int64(spread(keys[i])) & mask
        while not np.isnan(found[slot]):
            slot = (slot + 1) & mask
        table[slot] = keys[i]
        found[slot] = values[i]
    return table, found


@inner
def look_up(table: Any, key: Any) -> float:
    """The value of a key, NaN if it has none."""
    keys, values = table
    mask = keys.size - 1
    slot = np.int64(spread(key)) & mask
    while not np.isnan(values[slot]) and keys[slot] != key:
        slot = (slot + 1) & mask
    return float(values[slot])


@entry
def log_probability(
    words: Any, order: int, grams: Any, contexts: Any, unseen: float, history: Any
) -> tuple[float, int]:
    """Natural logarithm of the probability of words with their marks, and how many words and ends it is of.

    p_n(w | h) = alpha_n(h w) + gamma_n(h) p_{n-1}(w | h without its first word); see fonderie.corpus.ngram.train.
    """
    total = 0.0
    predicted = 0
    depth = 0
    for word in words:
        if word == BEGIN:
            depth = 1
            history[0] = BEGIN
            continue
        probability = unseen
        alpha = look_up(grams[0], word)
        if not np.isnan(alpha):
            probability += alpha
        for n in range(1, min(depth, order - 1) + 1):
            gamma = look_up(contexts[n - 1], history[n - 1])
            if np.isnan(gamma):
                break  # a history that never came has no longer one that did
            probability *= gamma
            alpha = look_up(grams[n], history[n - 1] * TUPLE_BASE + word)
            if not np.isnan(alpha):
                probability += alpha
        total += np.log(probability)
        predicted += 1
        depth = min(depth + 1, order - 1)
        for n in range(depth - 1, 0, -1):
            history[n] = history[n - 1] * TUPLE_BASE + word
        history[0] = word
    return total, predicted
