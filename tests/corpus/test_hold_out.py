from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tests.corpus.builders import document, documents, ledger, run_step, texts

from fonderie.core.digest import digest_text
from fonderie.corpus.hold_out import HELD_OUT, NOT_HELD_OUT, HoldOutParameters, hold_out, is_held_out


def test_the_two_sides_share_every_document_between_them(tmp_path: Path) -> None:
    items = [document(f"Texte numéro {number}") for number in range(400)]
    made = documents(tmp_path / "in", [items[:150], items[150:]])
    sides = {}
    for side in ("training", "evaluation"):
        params = HoldOutParameters(share=0.25, keep=side)
        sides[side], _ = run_step(hold_out, params, tmp_path / side, {"documents": (made,)})
    training, evaluation = set(texts(sides["training"])), set(texts(sides["evaluation"]))
    assert not training & evaluation
    assert training | evaluation == {item.text for item in items}
    assert 60 < len(evaluation) < 140
    assert {entry.reason for entry in ledger(sides["training"])} == {None, HELD_OUT}
    assert {entry.reason for entry in ledger(sides["evaluation"])} == {None, NOT_HELD_OUT}


@given(st.text(), st.floats(0.01, 0.5), st.floats(0.5, 0.99), st.text(max_size=3))
def test_a_larger_share_only_adds(text: str, small: float, large: float, salt: str) -> None:
    name = digest_text(text)
    assert not is_held_out(name, small, salt) or is_held_out(name, large, salt)


def test_the_draw_never_drifts() -> None:
    drawn = [number for number in range(60) if is_held_out(digest_text(str(number)), 0.1, "")]
    assert drawn == GOLDEN


GOLDEN = [10, 11, 19, 24, 32, 37, 42, 55]
