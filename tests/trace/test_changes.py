"""Changes of a text: true of any two texts, readable for those that steps make, quick on long ones."""

import random
import time

from hypothesis import given
from hypothesis import strategies as st

from fonderie.trace.changes import AROUND, CHANGES_SHOWN, Piece, changes, shown

WORDS = st.lists(st.sampled_from(["le ", "chat ", "dort, ", "été\n", "[EMAIL] ", "x", "  "]), max_size=60).map(
    "".join
)


def sides(pieces: list[Piece]) -> tuple[str, str]:
    before = "".join(piece.text for piece in pieces if piece.kind != "added")
    return before, "".join(piece.text for piece in pieces if piece.kind != "removed")


@given(st.one_of(WORDS, st.text(max_size=80)), st.one_of(WORDS, st.text(max_size=80)))
def test_what_stayed_went_and_came_makes_up_both_texts(before: str, after: str) -> None:
    pieces = list(changes(before, after))
    assert sides(pieces) == (before, after)
    assert all(piece.text for piece in pieces)
    assert all(piece.kind == "same" for piece in pieces) == (before == after)


def test_a_mark_stands_where_something_was() -> None:
    before = "Écrivez à jean.dupont@exemple.fr avant lundi, ou appelez le 06 12 34 56 78 après huit heures du soir."
    after = "Écrivez à [EMAIL] avant lundi, ou appelez le [PHONE] après huit heures du soir."
    assert list(changes(before, after)) == [
        Piece("same", "Écrivez à "),
        Piece("removed", "jean.dupont@exemple.fr"),
        Piece("added", "[EMAIL]"),
        Piece("same", " avant lundi, ou appelez le "),
        Piece("removed", "06 12 34 56 78"),
        Piece("added", "[PHONE]"),
        Piece("same", " après huit heures du soir."),
    ]


def test_a_change_is_of_whole_words() -> None:
    kinds = [(piece.kind, piece.text) for piece in changes("le chaton dort", "le chatoyant dort")]
    assert kinds == [("same", "le "), ("removed", "chaton"), ("added", "chatoyant"), ("same", " dort")]


def test_a_long_cut_is_one_piece() -> None:
    rng = random.Random(3)
    words = [f"mot{rng.randrange(10**6)} " for _ in range(60_000)]
    pieces = list(changes("".join(words), "".join(words[:100] + words[50_000:])))
    assert [piece.kind for piece in pieces] == ["same", "removed", "same"]
    assert pieces[1].text == "".join(words[100:50_000])


def test_ten_megabytes_with_hundreds_of_marks_take_seconds_at_most() -> None:
    rng = random.Random(5)
    words = [f"mot{rng.randrange(10**5)}" for _ in range(1_200_000)]
    marked = list(words)
    for at in range(0, len(words), 4000):
        words[at], marked[at] = f"p{at}@exemple.fr", "[EMAIL]"
    before, after = " ".join(words), " ".join(marked)
    began = time.process_time()
    pieces = list(changes(before, after))
    assert time.process_time() - began < 5
    assert sum(piece.text == "[EMAIL]" for piece in pieces) == 300
    assert sides(pieces) == (before, after)


def test_only_a_few_changes_are_shown_with_what_stands_around_them() -> None:
    before = "".join(f"{'mot ' * 100}a{number}@b.fr " for number in range(30))
    after = "".join(f"{'mot ' * 100}[EMAIL] " for _ in range(30))
    pieces = shown(changes(before, after))
    assert sum(piece.kind == "removed" for piece in pieces) == CHANGES_SHOWN
    assert all(len(piece.text) <= 2 * AROUND + 3 for piece in pieces)
    assert pieces[0].text.startswith("…mot") or "…" in pieces[0].text


def test_what_stands_around_begins_and_ends_with_whole_words() -> None:
    words = [f"mot{number}" for number in range(40)]
    before = " ".join([*words, "partie", *words])
    first, _, last = shown(changes(before, before.replace("partie ", "")))
    assert first.text.startswith("…mot")
    assert set(first.text.removeprefix("…").split()) | set(last.text.removesuffix("…").split()) <= set(words)
    # A word longer than what is shown is shown by half.
    assert len(shown(changes("m" * 200 + " partie", "m" * 200))[0].text) > 50
