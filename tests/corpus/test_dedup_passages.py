import random
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.corpus.builders import all_documents, artifact_of, document, documents, ledger, run_step, texts
from tests.corpus.planted import WORDS

from fonderie.core.document import Document, shard_path, write_documents
from fonderie.core.errors import StepError
from fonderie.core.ledger import summarise
from fonderie.core.machine import Machine
from fonderie.core.step import Artifact
from fonderie.corpus.dedup import passages as module
from fonderie.corpus.dedup import runs as dedup_runs
from fonderie.corpus.dedup import substrings as dedup_substrings
from fonderie.corpus.dedup.cuts import Cut, Cuts, at_words, cut, joined
from fonderie.corpus.dedup.passages import DedupPassagesParameters, dedup_passages
from fonderie.corpus.dedup.survey import Corpus


def run(folder: Path, shards: list[list[Document]], workers: int = 1, **parameters: object) -> Artifact:
    made = documents(folder / "in", shards)
    params = DedupPassagesParameters.model_validate(parameters)
    artifact, out = run_step(dedup_passages, params, folder / "out", {"documents": (made,)}, workers=workers)
    assert out.statistics["sources"] == summarise(ledger(artifact))
    lost = sum(len(item.text.encode()) for shard in shards for item in shard) - sum(
        len(text.encode()) for text in texts(artifact)
    )
    assert out.statistics["cut_bytes"] == lost
    return artifact


def prose(seed: int, words: int) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


NOTICE = "Ce texte est mis à disposition par la bibliothèque, qui vous prie d’en citer l’origine."


def test_a_paragraph_stays_once_in_the_document_preferred(tmp_path: Path) -> None:
    free = document(f"{prose(1, 30)}\n\n{NOTICE}\n\n{prose(2, 30)}", origin="free", licence="CC0-1.0")
    long = document(
        f"{prose(3, 60)}\n\n  {NOTICE.replace(' ', '  ')}\n\n\n{prose(4, 60)}", origin="long", licence="CC-BY-4.0"
    )
    twice = document(f"{NOTICE}\n\n{prose(5, 9)}\n\n{NOTICE}", origin="twice", licence="CC-BY-4.0")
    alone = document(f"{NOTICE}\n", origin="alone", licence="CC-BY-4.0")
    artifact = run(tmp_path, [[twice, long], [alone, free]], unit="paragraph", at_least=60)
    assert texts(artifact) == [f"{prose(5, 9)}\n\n", f"{prose(3, 60)}\n\n{prose(4, 60)}", free.text]
    entries = {entry.origin: entry for entry in ledger(artifact)}
    assert [(entries[name].fate, entries[name].reason) for name in ("free", "long", "twice", "alone")] == [
        ("kept", None),
        ("edited", "repeated paragraph"),
        ("edited", "repeated paragraph"),
        ("dropped", "repeated paragraph"),
    ]
    size = len(NOTICE.encode())
    assert entries["alone"].detail == f"{size + 1} bytes: characters 0 to {len(NOTICE) + 1} are in {free.id}"
    assert (entries["twice"].detail or "").count(free.id) == 2


def test_lines_are_cut_and_short_ones_stay(tmp_path: Path) -> None:
    one = document(f"Chapitre\n{NOTICE}\n{prose(1, 30)}\n", origin="a")
    two = document(f"Chapitre\n{NOTICE}\n{prose(2, 20)}\n", origin="b")
    assert texts(run(tmp_path, [[two], [one]], unit="line", at_least=40)) == [
        f"Chapitre\n{prose(2, 20)}\n",
        one.text,
    ]


def test_a_repeated_passage_is_cut_at_words(tmp_path: Path) -> None:
    shared = prose(9, 60)
    one = document(f"{prose(1, 200)} alpha{shared}omega {prose(2, 200)}", origin="a")
    two = document(f"{prose(3, 20)} béta{shared}psi {prose(4, 20)}", origin="b")
    artifact = run(tmp_path, [[two], [one]], unit="substring", at_least=100)
    inner = shared[shared.index(" ") : shared.rindex(" ") + 1]
    # The shared space before "alpha" and "béta" is too far from the passage to be of it.
    assert texts(artifact) == [two.text.replace(inner, ""), one.text]
    entry = next(entry for entry in ledger(artifact) if entry.fate == "edited")
    begin = two.text.index(inner)
    assert (
        entry.detail == f"{len(inner.encode())} bytes: characters {begin} to {begin + len(inner)} are in {one.id}"
    )


def test_conversations_stay_whole(tmp_path: Path) -> None:
    talk = document(f"Utilisateur : {prose(1, 60)}", metadata={"form": "conversation"}, licence="CC-BY-4.0")
    text = document(f"{prose(2, 20)} {prose(1, 60)}")
    assert texts(run(tmp_path, [[talk, text]], unit="substring", at_least=100)) == [talk.text, text.text]


def test_without_suffix_arrays_the_recipe_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydivsufsort", None)
    with pytest.raises(StepError, match="pydivsufsort is not installed") as caught:
        run(tmp_path, [[document("Un texte.")]], unit="substring")
    assert "pip install" in caught.value.hint
    run(tmp_path / "lines", [[document("Un texte.")]], unit="line")


def corpus_of(seed: int) -> list[Document]:
    """Documents that share passages of many lengths, with each other and with themselves."""
    rng = random.Random(seed)
    shared = [prose(rng.randrange(1 << 30), rng.randrange(5, 80)) for _ in range(12)]
    items = []
    for number in range(60):
        parts = [rng.choice(shared) if rng.random() < 0.3 else prose(rng.randrange(1 << 30), 30) for _ in range(8)]
        licence = rng.choice(["CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0"])
        items.append(document("\n\n".join(parts), origin=str(number), licence=licence))
    return items


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["paragraph", "substring"])
def test_bytes_are_those_of_any_number_of_workers_and_any_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit: str
) -> None:
    items = corpus_of(5)
    shards = [items[:20], [], items[20:]]
    one = run(tmp_path / "one", shards, unit=unit, at_least=100)
    two = run(tmp_path / "two", shards, workers=2, unit=unit, at_least=100)
    monkeypatch.setattr(dedup_runs, "ROWS_IN_MEMORY", 50)
    monkeypatch.setattr(dedup_substrings, "PIECE_BYTES", 1_000)
    little = run(tmp_path / "little", shards, unit=unit, at_least=100)
    assert one.digest == two.digest == little.digest
    # In another order other shards, and the same texts.
    other = run(tmp_path / "other", [items[40:], items[:40]], unit=unit, at_least=100)
    assert sorted(texts(other)) == sorted(texts(one))
    assert sum(map(len, texts(one))) < sum(len(item.text) for item in items)


def found_by_step(folder: Path, items: list[bytes], at_least: int) -> tuple[Corpus, list[set[int]]]:
    """The bytes of each document that the suffix arrays mark, without regard for words."""
    halves = [items[: len(items) // 2], items[len(items) // 2 :]]
    counts = []
    for shard, some in enumerate(halves):
        write_documents(shard_path(folder, shard), [document(text.decode(), origin=text.hex()) for text in some])
        job = (shard, folder / "documents" / f"{shard:05d}.parquet")
        counts.append(module._survey(job, scratch=folder, unit="substring", at_least=at_least))
    corpus = Corpus.join(folder, counts)
    module._rank(corpus)
    params = DedupPassagesParameters(unit="substring", at_least=at_least)
    cuts = Cuts.join(module._find(corpus, params, Machine()))
    marked: list[set[int]] = [set() for _ in items]
    for owner, begin, end, _ in zip(*(column.tolist() for column in cuts), strict=True):
        marked[owner].update(range(begin, end))
    return corpus, marked


def found_plainly(corpus: Corpus, items: list[bytes], at_least: int) -> list[set[int]]:
    """The same by a dictionary of all substrings of the length."""
    ranks = np.fromfile(corpus.scratch / "ranks", np.int64)
    first: dict[bytes, tuple[int, int]] = {}
    marked: list[set[int]] = [set() for _ in items]
    for owner in np.argsort(ranks).tolist():
        for at in range(len(items[owner]) - at_least + 1):
            origin, place = first.setdefault(items[owner][at : at + at_least], (owner, at))
            if (origin, place) != (owner, at):
                begin = max(at, place + at_least) if origin == owner else at
                marked[owner].update(range(begin, at + at_least))
    return marked


def check_against_the_plain_way(items: list[bytes], at_least: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        corpus, found = found_by_step(Path(folder), items, at_least)
        assert found == found_plainly(corpus, items, at_least)
    return sum(map(len, found))


PIECES = st.sampled_from(
    ["ab" * 9, "x" * 40, "é" * 11, "abcdefghijklmnopqrstuvwxyz", "0123456789" * 3, "ab", "c", " "]
)


@settings(deadline=None, max_examples=60)
@given(
    items=st.lists(
        st.lists(PIECES, max_size=6).map(lambda parts: "".join(parts).encode()), min_size=1, max_size=6, unique=True
    ),
    at_least=st.integers(16, 24),
    piece=st.sampled_from([64, 300, 1 << 22]),
    rows=st.sampled_from([3, 1 << 20]),
)
def test_exactly_the_repeated_substrings_are_found(
    items: list[bytes], at_least: int, piece: int, rows: int
) -> None:
    """With pieces and ranges of any size: what is found is what a dictionary of all substrings says."""
    before = dedup_substrings.PIECE_BYTES, dedup_runs.ROWS_IN_MEMORY
    dedup_substrings.PIECE_BYTES, dedup_runs.ROWS_IN_MEMORY = piece, rows
    try:
        check_against_the_plain_way(items, at_least)
    finally:
        dedup_substrings.PIECE_BYTES, dedup_runs.ROWS_IN_MEMORY = before


def test_a_boilerplate_of_many_documents_is_found_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dedup_substrings, "PIECE_BYTES", 2_000)
    rng = random.Random(3)
    items = [
        f"{prose(n, 3)}{rng.choice('aéb')}{NOTICE}{rng.choice('aéb')}{prose(n + 999, 3)}".encode()
        for n in range(120)
    ]
    assert check_against_the_plain_way(items, 60) > 119 * len(NOTICE)


def test_stretches_join_and_end_at_words() -> None:
    assert joined([Cut(5, 9, "b"), Cut(0, 3, "a"), Cut(3, 6, "c"), Cut(20, 21, "d")]) == [
        Cut(0, 9, "a"),
        Cut(20, 21, "d"),
    ]
    text = "Élan vital, œuvre".encode()
    assert at_words(text, Cut(1, len(text) - 1, "a")) == Cut(
        len("Élan".encode()), len("Élan vital, ".encode()), "a"
    )
    assert at_words(text, Cut(0, len(text), "a")) == Cut(0, len(text), "a")
    inside = at_words(text, Cut(2, 4, "a"))
    assert inside.begin == inside.end


def test_nothing_is_cut_of_a_word(tmp_path: Path) -> None:
    item = document("unlongmotsansespace")
    assert cut(item, [Cut(3, 9, "a")], "x", words=True)[0].fate == "kept"


@pytest.mark.slow
def test_real_laws_lose_nothing_but_repetitions(tmp_path: Path, real_corpora: Path) -> None:
    """Every text that was cut stands elsewhere, or earlier in the same document."""
    paths = sorted((real_corpora / "lois").glob("*.md"), key=lambda path: path.stat().st_size)[:12]
    items = [document(path.read_text("utf-8"), origin=path.name) for path in paths]
    (tmp_path / "in").mkdir()
    write_documents(shard_path(tmp_path / "in", 0), items)
    params = DedupPassagesParameters(unit="substring", at_least=200)
    made = artifact_of(tmp_path / "in")
    artifact, out = run_step(dedup_passages, params, tmp_path / "out", {"documents": (made,)})
    after = {item.origin: item.text for item in all_documents(artifact)}
    everything = "\0".join(after.values())
    assert out.statistics["cut_bytes"] > 1_000
    _, repeated = run_step(dedup_passages, params, tmp_path / "again", {"documents": (artifact,)})
    assert repeated.statistics["cut_bytes"] < out.statistics["cut_bytes"] / 10
    for entry in ledger(artifact):
        if entry.fate == "edited":
            begin, end = map(int, (entry.detail or "").split("characters ")[1].split(" are")[0].split(" to "))
            source = next(item.text for item in items if item.id == entry.id)
            words = source[begin:end].split()
            assert " ".join(words[:8]) in " ".join(everything.split())
