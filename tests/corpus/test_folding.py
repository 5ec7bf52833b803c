import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fonderie.corpus.folding import fold, folded_line, folded_with_places, folded_words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Œuvre d’Été", "oeuvre d'ete"),
        ("STRASSE", "straße"),
        ("Jean-Luc", "jean luc"),
        ("Cœur, à l’ouïe…", "coeur a l ouie"),
        ("e\u0301te\u0301", "été"),
        ("ﬁn", "fin"),
        ("\U0001d56c\U0001d59b\U0001d597\U0001d58e\U0001d591", "avril"),
    ],
)
def test_case_accents_ligatures_and_punctuation_do_not_count(one: str, other: str) -> None:
    assert folded_words(one) == folded_words(other)


def test_another_word_does() -> None:
    assert folded_words("un chat") != folded_words("un chien")


def test_an_underscore_is_punctuation_and_figures_are_words() -> None:
    assert folded_words("n°12_bis") == ["n", "12", "bis"]


@settings(max_examples=2_000)
@given(st.text())
def test_folding_twice_changes_nothing_more(text: str) -> None:
    assert folded_words(" ".join(folded_words(text))) == folded_words(text)


@given(st.text(alphabet="aéœ'’- \n.ßFﬁ1\u0301"))
def test_every_folded_character_has_its_place_in_the_text(text: str) -> None:
    line, places = folded_with_places(text)
    assert len(line) == len(places)
    assert line.strip() == folded_line(text).strip()
    for character, place in zip(line, places, strict=True):
        if character != " ":
            assert character in fold(text[place])
