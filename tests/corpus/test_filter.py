from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.corpus.builders import document, documents, ledger, run_step, texts

from fonderie.corpus.filter import FilterParameters, Rule, filter_documents
from fonderie.corpus.measures import MEASURES, language, words

FRENCH = "Le petit renard traverse la forêt pendant que la neige tombe doucement sur les grands arbres."
ENGLISH = "The little fox walks through the forest while the snow falls softly on the tall old trees."


def test_first_broken_rule_is_the_reason_and_the_value_the_detail(tmp_path: Path) -> None:
    given = documents(tmp_path / "in", [[document("Un deux trois."), document(FRENCH), document(ENGLISH)]])
    rules = ("words >= 5", "language in ['fr']")
    artifact, out = run_step(
        filter_documents, FilterParameters(rules=rules), tmp_path / "out", {"documents": (given,)}
    )
    assert texts(artifact) == [FRENCH]
    assert [(entry.fate, entry.reason, entry.detail) for entry in ledger(artifact)] == [
        ("dropped", "words >= 5", "words = 3"),
        ("kept", None, None),
        ("dropped", "language in ['fr']", "language = en"),
    ]
    counts = out.statistics["sources"]["test"]
    assert (counts["read"], counts["kept"], counts["dropped"]) == (3, 1, {"words >= 5": 1, "language in ['fr']": 1})


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ("wrds >= 5", "no measure 'wrds'; known: characters"),
        ("words => 5", "not of the form"),
        ("words >= five", "not a number"),
        ("words >= 'five'", "cannot be compared"),
        ("language == 3", "cannot be compared"),
        ("language in 'fr'", "cannot be compared"),
        ("words >= __import__('os')", "not a number"),
        ("words >= True", "not a number"),
    ],
)
def test_a_bad_rule_is_refused_before_any_step(rule: str, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint.replace("'", "['\"]?")):
        FilterParameters(rules=(rule,))


@pytest.mark.parametrize(
    ("measure", "text", "expected"),
    [
        ("characters", "héé", 3),
        ("words", "L'arc-en-ciel d’Anne, aujourd'hui.", 6),
        ("mean_word_length", "un deux", 3),
        ("letters", "ab 12", 0.5),
        ("repeated_lines", "a\nb\n\na\n a ", 0.5),
        ("unfinished_lines", "Fin.\nMenu", 0.5),
        ("top_word", "la LA lune", 2 / 3),
        ("letters", "", 0),
        ("repeated_lines", "", 0),
    ],
)
def test_measures(measure: str, text: str, expected: float) -> None:
    assert MEASURES[measure](text) == pytest.approx(expected)


def test_words_keep_the_elision_apart() -> None:
    assert words("l'homme qu’il vit") == ["l'", "homme", "qu’", "il", "vit"]


def test_language_of_nothing_is_undetermined() -> None:
    assert [language(FRENCH), language(ENGLISH), language("  \n")] == ["fr", "en", "und"]


@given(st.text())
def test_no_text_breaks_a_measure(text: str) -> None:
    for name, measure in MEASURES.items():
        value = measure(text)
        assert isinstance(value, str) or value >= 0, name


@given(
    st.sampled_from([name for name in MEASURES if name != "language"]), st.floats(-1e6, 1e6), st.text(max_size=200)
)
def test_a_rule_and_its_opposite_never_agree(measure: str, bound: float, text: str) -> None:
    at_least, below = Rule.parse(f"{measure} >= {bound!r}"), Rule.parse(f"{measure} < {bound!r}")
    assert (at_least.broken_by(text) is None) != (below.broken_by(text) is None)
