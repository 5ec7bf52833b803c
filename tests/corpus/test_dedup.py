import random
from pathlib import Path

import numpy as np
import pytest
from tests.corpus.builders import all_documents, document, documents, ledger, run_step

from fonderie.core.document import Document
from fonderie.corpus.dedup import EXACT, NEAR, DedupParameters, dedup
from fonderie.corpus.minhash import shingles, signature, similarity

WORDS = [f"mot{i}" for i in range(2_000)]


def prose(seed: int, length: int = 300) -> list[str]:
    return random.Random(seed).choices(WORDS, k=length)


def changed(text: list[str], count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    copy = list(text)
    for place in rng.sample(range(len(copy)), count):
        copy[place] = rng.choice(WORDS)
    return copy


def jaccard(one: str, other: str) -> float:
    a, b = set(shingles(one)), set(shingles(other))
    return len(a & b) / len(a | b)


def test_exact_copies_leave_the_first_by_source_and_origin(tmp_path: Path) -> None:
    text = "Le même texte, mot pour mot."
    late = document(text, source="web", origin="z")
    early = document(text, source="books", origin="a")
    made = documents(tmp_path / "in", [[late], [early, document("Un autre.")]])
    artifact, out = run_step(dedup, DedupParameters(), tmp_path / "out", {"documents": (made,)})
    assert {item.origin for item in all_documents(artifact) if item.text == text} == {"a"}
    dropped = [entry for entry in ledger(artifact) if entry.fate == "dropped"]
    assert [(entry.origin, entry.reason) for entry in dropped] == [("z", EXACT)]
    assert "books:a" in (dropped[0].detail or "")
    assert out.statistics["clusters"] == 0


def test_near_copies_leave_the_freest_then_the_longest(tmp_path: Path) -> None:
    base = prose(1)
    short = document(" ".join(base), origin="short")
    long = document(" ".join([*base, "encore", "deux"]), origin="long")
    restricted = document(" ".join([*base, "et", "trois", "mots"]), origin="nc", licence="CC-BY-NC-4.0")
    made = documents(tmp_path / "in", [[short, restricted], [long]])
    artifact, out = run_step(dedup, DedupParameters(near=0.8), tmp_path / "out", {"documents": (made,)})
    assert [item.origin for item in all_documents(artifact)] == ["long"]
    dropped = [entry for entry in ledger(artifact) if entry.fate == "dropped"]
    assert {(entry.reason, entry.detail) for entry in dropped} == {(NEAR, f"of {long.id}")}
    assert out.statistics["clusters"] == 1


def test_the_choice_follows_from_the_documents_not_from_their_order(tmp_path: Path) -> None:
    items = [
        document(" ".join(changed(prose(n), n % 4, n)), origin=f"{n}-{k}") for n in range(20) for k in range(3)
    ]
    kept = []
    for attempt in range(3):
        random.Random(attempt).shuffle(items)
        made = documents(tmp_path / f"in{attempt}", [items[:25], items[25:]])
        artifact, _ = run_step(
            dedup,
            DedupParameters(near=0.8),
            tmp_path / f"out{attempt}",
            {"documents": (made,)},
            workers=1 + attempt,
        )
        kept.append(sorted((item.source, item.origin) for item in all_documents(artifact)))
    assert kept[0] == kept[1] == kept[2]


def test_recall_and_precision_on_planted_near_duplicates(tmp_path: Path) -> None:
    originals = [prose(seed) for seed in range(150)]
    pairs: list[tuple[Document, Document, float]] = []
    for seed, text in enumerate(originals):
        copy = changed(text, 1 + seed % 15, seed)
        one, other = document(" ".join(text), origin=f"o{seed}"), document(" ".join(copy), origin=f"c{seed}")
        pairs.append((one, other, jaccard(one.text, other.text)))
    made = documents(tmp_path / "in", [[one for one, _, _ in pairs], [other for _, other, _ in pairs]])
    artifact, _ = run_step(dedup, DedupParameters(near=0.8), tmp_path / "out", {"documents": (made,)})
    dropped = {entry.id for entry in ledger(artifact) if entry.fate == "dropped"}
    close = [pair for pair in pairs if pair[2] >= 0.9]
    far = [pair for pair in pairs if pair[2] < 0.7]
    assert len(close) > 20
    assert len(far) > 20
    caught = [bool({one.id, other.id} & dropped) for one, other, _ in close]
    assert np.mean(caught) >= 0.97
    assert not any({one.id, other.id} & dropped for one, other, _ in far)


def test_signature_estimates_jaccard() -> None:
    base = prose(7, 2_000)
    for count in (10, 60, 200):
        one, other = " ".join(base), " ".join(changed(base, count, count))
        assert similarity(signature(one), signature(other)) == pytest.approx(jaccard(one, other), abs=0.15)


def test_signature_is_the_same_everywhere() -> None:
    assert signature("Il était une fois un petit renard qui aimait la lune.")[:3].tolist() == GOLDEN


GOLDEN = [370335368, 1018061521, 95994804]
