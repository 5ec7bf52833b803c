import unicodedata
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from fonderie.serve.engine.text import BROKEN, Writer


def written(tokenizer, ids, stops=()):
    writer, pieces = Writer(tokenizer, stops), []
    for token in ids:
        pieces.append(writer.add(token))
        if writer.stopped:
            return pieces, writer
    pieces.append(writer.end())
    return pieces, writer


@settings(deadline=None)
@given(st.text(max_size=300).map(partial(unicodedata.normalize, "NFC")))  # as tokenizers read any text
def test_pieces_make_the_text_and_no_character_comes_in_halves(tokenizer, text):
    pieces, _ = written(tokenizer, tokenizer.encode(text))
    assert "".join(pieces) == text
    assert not any(BROKEN in piece for piece in pieces if BROKEN not in text)


@settings(deadline=None)
@given(st.text(alphabet="abc", max_size=60), st.lists(st.text(alphabet="abc", min_size=1, max_size=4), max_size=3))
def test_nothing_of_a_stop_text_is_ever_shown(tokenizer, text, stops):
    pieces, writer = written(tokenizer, [tokenizer.encode(char)[0] for char in text], tuple(stops))
    ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
    if not ends:
        assert "".join(pieces) == text
        assert not writer.stopped
        return
    # The stop text that is complete first ends the answer; of two complete at once, the one that began first.
    end = min(ends)
    start = min(text.find(stop) for stop in stops if stop in text[:end])
    assert "".join(pieces) == text[:start]
    assert writer.stopped


def test_text_is_held_back_only_while_it_may_begin_a_stop_text(tokenizer):
    ids = [tokenizer.encode(char)[0] for char in "a##b###"]
    pieces, writer = written(tokenizer, ids, ("###",))
    assert pieces == ["a", "", "", "##b", "", "", ""]
    assert writer.stopped


def test_a_character_cut_short_by_the_end_reads_as_broken(tokenizer):
    ids = tokenizer.encode("a\U0001f98a")
    pieces, _ = written(tokenizer, ids[:-1])
    assert "".join(pieces).startswith("a")
    assert BROKEN in pieces[-1]


def test_bytes_that_never_make_a_character_are_let_out_in_time(tokenizer):
    lone = tokenizer.encode("\U0001f98a")[-1]
    writer = Writer(tokenizer)
    shown = "".join(writer.add(lone) for _ in range(40))
    assert shown.count(BROKEN) >= 30
