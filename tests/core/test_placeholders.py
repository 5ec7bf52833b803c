import pytest
from hypothesis import given
from hypothesis import strategies as st

from fonderie.core.placeholders import is_placeholder


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t",
        "…",
        "- ?",
        "TODO",
        "to-do: ask the lawyer",
        "[TODO insert URL...]",
        "xxx",
        "The address is XXXX.",
        "[…]",
        "Our policy is [...] and that is all.",
        "[Name of the company]",
        "The policy of [your name] is",
        "[Nom de l'entité]",
        "<your e-mail>",
        "à compléter",
        "À COMPLÉTER",
        "à définir par la direction",
        "to be completed before release",
        "TBD",
        "Lorem ipsum dolor sit amet",
        "contact@example.org",
        "https://www.example.com/policy",
        "https://model.example",
        "model.invalid",
        "http://localhost:8000",
        "{{ legal_name }}",
    ],
)
def test_what_waits_for_its_author(text: str) -> None:
    assert is_placeholder(text)


@pytest.mark.parametrize(
    "text",
    [
        "12",
        "1.0",
        "Not applicable",
        "N/A",
        "None: no personal data.",
        "E-mail addresses become [EMAIL].",
        "Voir l'exemple, page 3, de notre guide.",
        "todos los derechos",
        "Louis XXXIX",
        "https://example.org.fonderie.fr",
        "contact@counterexample.org",
        "A test of the latest models",
        "x < 3 and y > 2",
    ],
)
def test_what_is_an_answer(text: str) -> None:
    assert not is_placeholder(text)


@given(st.text(max_size=30), st.sampled_from(["TODO", "[…]", "lorem", "à compléter", "xxx", "a@example.org"]))
def test_a_mark_anywhere_in_a_text_is_found(text: str, mark: str) -> None:
    assert is_placeholder(f"{text} {mark} {text}")


@given(st.text(st.characters(exclude_categories=["L", "N"])))
def test_a_text_without_a_letter_or_a_digit_is_none(text: str) -> None:
    assert is_placeholder(text)
