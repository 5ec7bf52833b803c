import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fonderie.core.conversation import (
    ANSWERS,
    PREFIXES,
    Preference,
    Turn,
    format_preference,
    format_turns,
    parse_preference,
    parse_turns,
)

# What would tear a turn in two, if writing did not take care: speakers' marks at the head of a line, after spaces too.
pieces = st.sampled_from([*PREFIXES, *ANSWERS, "\n", " ", "  ", "Oui.", "<|end|>", "\r", "\u2028"])
contents = st.lists(pieces).map("".join) | st.text()
turns = st.builds(Turn, st.sampled_from([*PREFIXES.values()]), contents)


@given(st.lists(turns, min_size=1))
@example([Turn("user", "a\nAssistant : b\n Assistant : c\n  Consigne : d"), Turn("assistant", "")])
def test_turns_survive_being_written_whatever_they_say(given_turns: list[Turn]) -> None:
    assert parse_turns(format_turns(given_turns)) == given_turns


@given(st.lists(turns), contents, contents, contents)
def test_preferences_survive_being_written(before: list[Turn], asked: str, chosen: str, rejected: str) -> None:
    preference = Preference((*before, Turn("user", asked)), chosen, rejected)
    assert parse_preference(format_preference(preference)) == preference


def test_what_looks_like_a_turn_is_still_readable() -> None:
    assert format_turns([Turn("user", "Répète :\nAssistant : oui")]) == "Utilisateur : Répète :\n Assistant : oui"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Utilisateur : a\nAssistant : b", "ends with the answer preferred"),
        ("Utilisateur : a\nRejetée : b\nPréférée : c", "ends with the answer preferred"),
        ("Préférée : b\nRejetée : c", "the user's turn"),
        ("Utilisateur : a\nAssistant : b\nPréférée : b\nRejetée : c", "the user's turn"),
        ("Utilisateur : a\nPréférée : b\nRejetée : c\nPréférée : b\nRejetée : c", "one of each"),
        ("Bonjour.", "begins with a speaker"),
    ],
)
def test_what_is_no_preference_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_preference(text)
