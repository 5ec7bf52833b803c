import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.corpus.builders import document
from tests.corpus.burials import SALT, buried, prose, reworded, shards, tales

from fonderie.core.document import Document
from fonderie.core.errors import InputError
from fonderie.core.machine import Machine
from fonderie.corpus.bury import forecast, rows
from fonderie.corpus.folding import folded_words
from fonderie.corpus.readers.tei import read_tei
from fonderie.corpus.sketch import Hasher, grams, runs
from fonderie.corpus.tombstones import (
    COPY,
    HOLDS,
    METHOD,
    PIECE,
    SAME,
    SAME_WORDS,
    TombstoneList,
    Tombstones,
    parse_list,
)


@pytest.fixture(scope="module")
def corpus() -> list[Document]:
    return tales(300)


@pytest.fixture(scope="module")
def erased(corpus: list[Document]) -> list[Document]:
    return corpus[:30]


@pytest.fixture(scope="module")
def stones(
    corpus: list[Document], erased: list[Document], tmp_path_factory: pytest.TempPathFactory
) -> TombstoneList:
    return buried(erased, shards(tmp_path_factory.mktemp("corpus") / "made", corpus))


@pytest.fixture(scope="module")
def tombstones(stones: TombstoneList) -> Tombstones:
    return Tombstones([stones])


def how(tombstones: Tombstones, text: str) -> str | None:
    found = tombstones.match(document(text))
    return None if found is None else found.how


def test_the_document_itself_is_known_by_its_id(tombstones: Tombstones, erased: list[Document]) -> None:
    match = tombstones.match(erased[3])
    assert match is not None
    assert (match.reference, match.how, str(match)) == ("2026-1", SAME, "2026-1: the same document, 1.00")


def test_accents_case_and_layout_do_not_hide_it(tombstones: Tombstones, erased: list[Document]) -> None:
    assert how(tombstones, erased[0].text.upper().replace("É", "E").replace(". ", ".\n\n")) == SAME_WORDS


@pytest.mark.parametrize("share", [0.1, 0.15, 0.2])
def test_a_copy_with_up_to_a_fifth_of_its_words_changed_is_known(
    tombstones: Tombstones, erased: list[Document], share: float
) -> None:
    copies = [reworded(item.text, share, seed) for seed, item in enumerate(erased * 4)]
    known = sum(how(tombstones, copy) in (COPY, PIECE) for copy in copies)
    assert known >= 0.95 * len(copies)


def test_it_is_found_inside_a_longer_text(corpus: list[Document], erased: list[Document], tmp_path: Path) -> None:
    tombstones = Tombstones([buried(erased[5:6], shards(tmp_path / "made", corpus))])
    before, after = (prose(words, seed) for seed, words in ((1, 20_000), (2, 7_000)))
    for share in (0.0, 0.1, 0.2):
        copy = reworded(erased[5].text, share, 4)
        assert how(tombstones, f"{before}\n{copy}\n{after}") == COPY
    assert how(tombstones, f"{before}\n{after}") is None


@pytest.mark.parametrize("words", [400, 3_000, 40_000, 200_000])
def test_a_piece_of_a_long_one_is_known(tmp_path: Path, words: int) -> None:
    """Of documents from a page to several novels: a page of them, reworded or in another text, and all of them."""
    book, others = document(prose(words, 3)), [document(prose(400, seed)) for seed in range(50, 60)]
    tombstones = Tombstones([buried([book], shards(tmp_path / "made", [book, *others]))])
    found, piece = book.text.split(), max(300, words // 40)
    page = " ".join(found[words // 8 : words // 8 + piece])
    assert how(tombstones, page) == PIECE
    assert how(tombstones, f"{prose(3_000, 7)} {page} {prose(3_000, 8)}") in (COPY, PIECE)
    assert how(tombstones, reworded(book.text, 0.2, 5)) in (COPY, PIECE)
    assert [how(tombstones, item.text) for item in others] == [None] * len(others)


def test_others_on_the_same_subjects_stay(
    corpus: list[Document], erased: list[Document], tombstones: Tombstones
) -> None:
    """Tales of one grammar share most of their phrases: still an erasure takes along less than one in a thousand."""
    others, fresh = corpus[30:], tales(300, seed=9)
    for documents in (others, fresh):
        taken = [item for item in documents if tombstones.match(item)]
        assert len(taken) <= 0.001 * len(documents) * len(erased)


def test_a_short_document_is_known_word_for_word_and_inside_others(tmp_path: Path) -> None:
    note = document("Note de service : Camille Marchand quitte l'atelier ce vendredi soir.")
    tombstones = Tombstones([buried([note], shards(tmp_path / "made", [note, *tales(20)]))])
    assert how(tombstones, "NOTE DE SERVICE, Camille Marchand quitte l’atelier ce vendredi soir") == SAME_WORDS
    tale = tales(1)[0].text
    assert how(tombstones, f"{tale}\n{note.text}\n{tale}") == HOLDS
    assert how(tombstones, note.text.replace("vendredi", "samedi")) is None


def test_a_very_short_one_takes_no_longer_text_along(tmp_path: Path) -> None:
    word = document("Oui, bien sûr !")
    tombstones = Tombstones([buried([word], shards(tmp_path / "made", [word]))])
    assert how(tombstones, "oui bien sur") == SAME_WORDS
    assert how(tombstones, "Je viens ? Oui, bien sûr, répond l'ours.") is None


def test_copies_that_are_there_already_do_not_empty_the_sketch(tmp_path: Path, corpus: list[Document]) -> None:
    copies = [document(reworded(corpus[0].text, 0.05, seed)) for seed in range(8)]
    made = shards(tmp_path / "made", [*corpus[:100], *copies])
    stones = buried(corpus[:1], made)
    assert len(stones.documents[0].sketch) >= 32
    found = forecast([stones], frozenset([corpus[0].id]), made, Machine())
    assert {place.id for place, _ in found} >= {copy.id for copy in copies}


def test_a_spared_document_stays_unless_another_list_bars_it(tmp_path: Path, corpus: list[Document]) -> None:
    copy = document(reworded(corpus[0].text, 0.05, 1))
    made = shards(tmp_path / "made", [*corpus[:50], copy])
    sparing = buried(corpus[:1], made, spared=[copy])
    assert Tombstones([buried(corpus[:1], made)]).match(copy)
    assert Tombstones([sparing]).match(copy) is None
    assert Tombstones([sparing, buried([copy], made, "2026-2")]).match(copy).reference == "2026-2"  # type: ignore[union-attr]


def test_no_lists_bar_nothing(corpus: list[Document]) -> None:
    assert not Tombstones([])
    assert Tombstones([]).match(corpus[0]) is None


def test_the_list_holds_no_words(stones: TombstoneList, erased: list[Document]) -> None:
    written = stones.model_dump_json()
    for item in erased:
        words = folded_words(item.text)
        assert not any(" ".join(words[i : i + 2]) in written for i in range(len(words) - 1))
        assert item.id not in written
        assert item.id.removeprefix("sha256:") not in written


def test_a_sketch_holds_grams_of_the_text_alone_and_no_more_than_it_may(
    stones: TombstoneList, erased: list[Document]
) -> None:
    hasher = Hasher(SALT)
    for stone, item in zip(stones.documents, erased, strict=True):
        own = grams(hasher.words(folded_words(item.text)))
        assert set(stone.sketch) <= set(own.tolist())
        assert len(stone.sketch) <= 64


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f", "g", "h"]), max_size=80), st.data())
def test_any_run_of_words_is_found_word_for_word(words: list[str], data: st.DataObject) -> None:
    """Whatever the text and whatever is around it: verbatim containment has no false negatives from eight words."""
    hasher = Hasher(SALT)
    length = data.draw(st.integers(0, len(words)))
    start = data.draw(st.integers(0, len(words) - length))
    piece = words[start : start + length]
    assert length == 0 or int(runs(hasher.words(piece), length)[0]) in runs(hasher.words(words), length).tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"salt": "00"}, "salt"),
        ({"method": "another"}, "another version"),
        ({"format": 2}, "another version"),
        ({"documents": [{"id": "zz"}]}, r"documents\.0"),
        ({"more": 1}, "more"),
    ],
)
def test_a_list_that_is_not_one_is_refused(change: dict[str, object], message: str) -> None:
    good = {"reference": "r", "date": "2026-01-01", "salt": SALT.hex(), "documents": []}
    assert parse_list(json.dumps(good).encode(), "x").method == METHOD
    with pytest.raises(InputError, match=message):
        parse_list(json.dumps({**good, **change}).encode(), "x")
    with pytest.raises(InputError, match="not a list of tombstones"):
        parse_list(b"{", "x")


def test_on_real_novels_copies_are_known_and_no_other_passage_is(real_corpora: Path, tmp_path: Path) -> None:
    passages = _passages(real_corpora)
    made = shards(tmp_path / "made", passages)
    erased = passages[::10]
    tombstones = Tombstones([buried(erased, made)])
    others = [item for item in passages if item not in erased]
    assert [item.origin for item in others if tombstones.match(item)] == []
    copies = [reworded(item.text, 0.2, seed) for seed, item in enumerate(erased)]
    assert sum(how(tombstones, copy) is not None for copy in copies) >= 0.95 * len(copies)


def _passages(real_corpora: Path, words: int = 150, each: int = 40) -> Sequence[Document]:
    made = []
    for path in sorted((real_corpora / "romans").glob("*.xml"))[:10]:
        text = next(iter(read_tei(path, parts=False))).text.split()
        starts = random.Random(path.name).sample(range(0, len(text) - words, words), each)
        made += [document(" ".join(text[start : start + words]), origin=f"{path.name}/{start}") for start in starts]
    return made


def test_rows_reads_the_columns_it_is_asked_for(tmp_path: Path, corpus: list[Document]) -> None:
    (paths,) = shards(tmp_path / "made", corpus[:3]).values()
    assert [row for path in paths for row in rows(path, ("id",))] == [{"id": item.id} for item in corpus[:3]]
