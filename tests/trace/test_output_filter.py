import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.corpus.burials import prose

from fonderie.core.errors import InputError
from fonderie.corpus.sketch import GRAM, SALT_BYTES, Hasher
from fonderie.trace.output_filter import RUN, WINDOW, OutputFilter, Passage, PassageList, passages_of

SALT = bytes(range(SALT_BYTES))
SURE = RUN + WINDOW - 1


def passages(text: str, common: bool = False) -> PassageList:
    runs = max(0, len(text.split()) - GRAM + 1)
    made = passages_of([Passage(text, np.full(runs, common))], Hasher(SALT))
    return PassageList(reference="2026-1", date="2026-09-01", salt=SALT.hex(), passages=made)


TEXT = prose(400, 1)
FILTER = OutputFilter([passages(TEXT)])


@given(st.integers(0, 400 - SURE), st.integers(SURE, 60), st.integers(0, 10**6))
def test_thirteen_words_in_a_row_are_always_caught(start: int, length: int, seed: int) -> None:
    words = TEXT.split()[start : start + length]
    assert FILTER.blocked(f"{prose(30, seed)} {' '.join(words[:SURE])} {prose(30, seed + 1)}") == "2026-1"


@given(st.integers(0, 391))
def test_nine_words_never_are(start: int) -> None:
    words = " ".join(TEXT.split()[start : start + RUN - 1])
    assert FILTER.blocked(f"avant {words} après") is None


def test_other_words_are_not() -> None:
    assert [FILTER.blocked(prose(300, seed)) for seed in range(2, 40)] == [None] * 38


def test_case_accents_and_punctuation_do_not_hide_a_passage() -> None:
    words = TEXT.split()[50:70]
    assert FILTER.blocked(", ".join(words).upper()) == "2026-1"


def test_phrases_that_others_hold_too_are_not_forbidden() -> None:
    assert passages(TEXT, common=True).passages == ()


def test_the_list_is_less_than_half_as_long_as_the_text_and_holds_none_of_it() -> None:
    made = passages(TEXT)
    assert len(made.passages) < 0.5 * len(TEXT.split())
    assert not any(word in made.model_dump_json() for word in TEXT.split())


def test_a_text_shorter_than_a_run_blocks_nothing() -> None:
    assert passages("Bonjour à tous.").passages == ()
    assert OutputFilter([passages("")]).blocked("Bonjour à tous.") is None
    assert FILTER.blocked("") is None


def test_lists_are_read_from_files_and_what_is_none_is_refused(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(passages(TEXT).model_dump_json())
    assert OutputFilter.load(good, good).blocked(TEXT) == "2026-1"
    for text, message in (("{", "not a list of passages"), ('{"reference": 1}', "reference")):
        bad.write_text(text)
        with pytest.raises(InputError, match=message):
            OutputFilter.load(good, bad)
    bad.write_text(passages(TEXT).model_copy(update={"format": 9}).model_dump_json())
    with pytest.raises(InputError, match="another version"):
        OutputFilter.load(bad)
    with pytest.raises(InputError, match="cannot be read"):
        OutputFilter.load(tmp_path / "none.json")


def test_a_hundred_thousand_hashes_stop_no_answer_by_chance() -> None:
    rng = random.Random(0)
    made = tuple(sorted({f"{rng.getrandbits(48):012x}" for _ in range(100_000)}))
    crowded = PassageList(reference="r", date="2026-09-01", salt=SALT.hex(), passages=made)
    output_filter = OutputFilter([crowded])
    assert [output_filter.blocked(prose(200, seed)) for seed in range(20)] == [None] * 20
