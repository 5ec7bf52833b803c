from hypothesis import given
from hypothesis import strategies as st

from fonderie.licences.texts import reference_texts
from fonderie.licences.words import LONGEST_WORD, Words, fold, split


def test_the_fast_split_gives_the_same_words_as_the_one_with_places() -> None:
    for identifier, text in reference_texts().items():
        assert split(text) == Words(text).words, identifier


@given(st.text())
def test_places_lead_back_to_the_words(text: str) -> None:
    words = Words(text)
    assert split(text) == words.words
    for word, start, end in zip(words.words, words.starts, words.ends, strict=True):
        assert fold(words.text)[start:end] == word
        assert 0 < end - start <= LONGEST_WORD


@given(st.text())
def test_sentences_hold_each_word_once(text: str) -> None:
    words = Words(text)
    places = [place for span in words.sentences for place in range(*span)]
    assert places == list(range(len(words)))


def test_copies_that_differ_in_looks_are_equal() -> None:
    assert split("L’ŒUVRE « réutilisée »,\r\nsous LICENCE") == split('l\'œuvre "reutilisee" sous license')
    assert split("non\u00ad-com\u200bmercial") == ["non", "commercial"]
