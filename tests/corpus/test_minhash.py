import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.corpus.planted import WORDS, pair, plain_similarity

from fonderie.corpus.dedup.minhash import Layout, coefficients, grams, jaccard, layout_for, sketch
from fonderie.corpus.measures import words


def sketch_of(*texts: str, layout: Layout) -> np.ndarray:
    data = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, data)]).astype(np.int32)
    return sketch(offsets, np.frombuffer(b"".join(data), np.uint8), layout).keys_NB


@settings(deadline=None)  # the first call compiles
@given(st.text(alphabet="aé’'-_ 1.\nß第İ\u0301", max_size=60))
def test_a_gram_for_each_five_words_of_the_rules_words(text: str) -> None:
    found = words(text)
    assert len(grams(text)) == (max(1, len(found) - 4) if found else 0)
    expected = len({tuple(w.replace("’", "'") for w in found[i : i + 5]) for i in range(max(1, len(found) - 4))})
    assert len(set(grams(text).tolist())) <= expected


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.sampled_from(["un", "deux", "trois", "Élan", "œuf", "là-bas"]), min_size=1, max_size=40))
def test_grams_of_different_words_differ(text: list[str]) -> None:
    distinct = {tuple(text[i : i + 5]) for i in range(max(1, len(text) - 4))}
    assert len(set(grams(" ".join(text)).tolist())) == len(distinct)


def test_case_spaces_punctuation_and_apostrophes_do_not_count() -> None:
    assert grams("L’ÉTÉ, dit-elle : « n'est plus »").tolist() == grams("l'été dit-elle\n\nN’EST PLUS.").tolist()
    assert grams("l'été dit-elle n'est plus").tolist() != grams("l'été dit-elle n'est pas").tolist()


def test_similarity_is_that_of_the_sets() -> None:
    rng = random.Random(5)
    for wanted in (0.2, 0.5, 0.8, 0.95):
        one, other, known = pair(rng, wanted, 400)
        assert jaccard(one, other) == pytest.approx(known, abs=1e-12)
    repeated = " ".join(WORDS[:7] * 30)
    assert jaccard(repeated, repeated) == 1.0
    assert jaccard("", "") == jaccard("…", "un mot") == 0.0


def test_signatures_agree_as_often_as_the_texts_are_alike() -> None:
    """Unbiased, with the spread of independent draws: 0.4 / sqrt(hashes) at a similarity of 0.8."""
    rng, hashes = random.Random(1), 208
    errors = []
    for _ in range(150):
        one, other, _ = pair(rng, 0.8, 120)
        keys = sketch_of(one, other, layout=Layout(hashes, 1))
        errors.append(np.mean(keys[0] == keys[1]) - plain_similarity(one, other))
    assert abs(np.mean(errors)) < 4 * 0.4 / np.sqrt(hashes * len(errors))
    assert np.std(errors) == pytest.approx(0.4 / np.sqrt(hashes), rel=0.25)


def test_the_layout_finds_what_it_should() -> None:
    assert layout_for(0.8) == Layout(buckets=26, hashes=8)
    for near in (0.05, 0.3, 0.5, 0.7, 0.8, 0.9, 0.99):
        layout = layout_for(near)
        assert layout.chance(near) >= 0.99 or near < 0.1
        assert layout.buckets * layout.hashes <= 256
    # The layout of Lucie and FineWeb, for comparison.
    assert Layout(14, 8).chance(0.8) == pytest.approx(0.924, abs=0.001)


def test_grams_and_buckets_are_the_same_everywhere() -> None:
    text = "Il était une fois un petit renard qui aimait la lune."
    assert grams(text)[:3].tolist() == GOLDEN_GRAMS
    assert sketch_of(text, layout=Layout(2, 8))[0].tolist() == GOLDEN_KEYS
    assert [half[0] for half in coefficients(1)] == GOLDEN_COEFFICIENTS


GOLDEN_GRAMS = [4226784162, 3929260547, 2617497948]
GOLDEN_KEYS = [16365785238253259695, 16096327628839934297]
GOLDEN_COEFFICIENTS = [3793791033, 2065550767]
