import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fonderie.corpus.sketch import BITS, GRAM, SALT_BYTES, Hasher, gram_windows, grams, runs, whole

WORDS = st.lists(st.sampled_from(["le", "la", "un", "chat", "chien", "dort", "mange", "ici"]), max_size=60)
HASHER = Hasher(bytes(range(SALT_BYTES)))


@given(WORDS, st.integers(1, 12))
def test_runs_are_equal_where_the_words_are_and_only_there(words: list[str], length: int) -> None:
    found = runs(HASHER.words(words), length).tolist()
    expected = [tuple(words[i : i + length]) for i in range(len(words) - length + 1)]
    assert len(found) == len(expected)
    for i, one in enumerate(expected):
        for j, other in enumerate(expected):
            assert (found[i] == found[j]) == (one == other)


@given(WORDS, WORDS, WORDS)
def test_a_run_is_the_same_wherever_it_stands(before: list[str], words: list[str], after: list[str]) -> None:
    there = runs(HASHER.words([*before, *words, *after]), GRAM)
    assert np.isin(runs(HASHER.words(words), GRAM), there).all()


@given(WORDS)
def test_grams_are_distinct_sorted_and_short(words: list[str]) -> None:
    found = grams(HASHER.words(words))
    assert (np.diff(found.astype(np.int64)) > 0).all()
    assert not len(found) or int(found.max()) < 1 << BITS


@given(WORDS, WORDS)
def test_the_whole_is_the_words_in_their_order(one: list[str], other: list[str]) -> None:
    assert (whole(HASHER.words(one)) == whole(HASHER.words(other))) == (one == other)


def test_another_salt_gives_other_values() -> None:
    words = ["il", "était", "une", "fois", "un", "petit", "renard"]
    apart = Hasher(bytes(SALT_BYTES))
    assert not np.isin(grams(HASHER.words(words)), grams(apart.words(words))).any()
    assert HASHER.name("x") != apart.name("x")


def test_a_salt_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Hasher(b"short")


@settings(max_examples=20)
@given(st.integers(1, 1_600))
def test_windows_cover_the_text_and_half_of_each_is_in_the_next(length: int) -> None:
    rng, size = random.Random(length), 512
    hashes = HASHER.words([f"{rng.randrange(10**6)}" for _ in range(length)])
    windows = list(gram_windows(hashes, size))
    assert all(len(window) <= size for window in windows)
    assert set(np.concatenate(windows).tolist()) == set(grams(hashes).tolist())
    run = runs(hashes, GRAM)[length // 2 : length // 2 + size // 2] >> np.uint64(64 - BITS)
    assert any(np.isin(run, window).all() for window in windows)
