import random
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests.corpus.builders import all_documents, artifact_of, document, documents, ledger, run_step
from tests.corpus.planted import WORDS, Pair, pair, plain_similarity

from fonderie.core.document import Document, shard_paths, write_documents
from fonderie.core.errors import InputError
from fonderie.core.ledger import summarise
from fonderie.core.step import Artifact
from fonderie.corpus.dedup import documents as module
from fonderie.corpus.dedup import runs as dedup_runs
from fonderie.corpus.dedup import survey as dedup_survey
from fonderie.corpus.dedup.documents import EXACT, NEAR, SAME_URL, DedupParameters, dedup


def prose(seed: int, length: int = 300) -> list[str]:
    return random.Random(seed).choices(WORDS, k=length)


def fates(artifact: Artifact) -> list[tuple[str, str | None]]:
    return [(entry.origin, entry.reason) for entry in ledger(artifact) if entry.fate == "dropped"]


def run(folder: Path, shards: list[list[Document]], workers: int = 1, **parameters: object) -> Artifact:
    made = documents(folder / "in", shards)
    artifact, _ = run_step(
        dedup, DedupParameters.model_validate(parameters), folder / "out", {"documents": (made,)}, workers=workers
    )
    return artifact


def test_exact_copies_leave_the_first_by_source_and_origin(tmp_path: Path) -> None:
    text = "Le même texte, mot pour mot."
    late = document(text, source="web", origin="z")
    early = document(text, source="books", origin="a")
    made = documents(tmp_path / "in", [[late], [early, document("Un autre.")]])
    artifact, out = run_step(dedup, DedupParameters(), tmp_path / "out", {"documents": (made,)})
    assert {item.origin for item in all_documents(artifact) if item.text == text} == {"a"}
    dropped = [entry for entry in ledger(artifact) if entry.fate == "dropped"]
    assert [(entry.origin, entry.reason, entry.detail) for entry in dropped] == [
        ("z", EXACT, f"of {early.id} from books:a")
    ]
    assert out.statistics["clusters"] == 0
    assert out.statistics["sources"] == summarise(ledger(artifact))
    assert not list(out.state.iterdir())


def test_of_the_same_row_twice_one_stays(tmp_path: Path) -> None:
    item = document("Lu deux fois.", origin="a")
    assert len(all_documents(run(tmp_path, [[item, item], [item]]))) == 1


def test_exact_copies_leave_the_freest(tmp_path: Path) -> None:
    text = "Le même texte, mot pour mot."
    licences = ["CC-BY-NC-4.0", "CC-BY-SA-4.0", "CC0-1.0", "CC-BY-4.0", "unknown"]
    items = [document(text, origin=str(number), licence=licence) for number, licence in enumerate(licences)]
    assert [item.licence for item in all_documents(run(tmp_path, [items]))] == ["CC0-1.0"]


def test_near_copies_leave_the_freest_then_the_longest(tmp_path: Path) -> None:
    base = prose(1)
    short = document(" ".join(base), origin="short")
    long = document(" ".join([*base, "encore", "deux"]), origin="long")
    restricted = document(" ".join([*base, "et", "trois", "mots"]), origin="nc", licence="CC-BY-NC-4.0")
    made = documents(tmp_path / "in", [[short, restricted], [long]])
    artifact, out = run_step(dedup, DedupParameters(near=0.8), tmp_path / "out", {"documents": (made,)})
    assert [item.origin for item in all_documents(artifact)] == ["long"]
    details = {entry.origin: (entry.reason, entry.detail) for entry in ledger(artifact) if entry.fate == "dropped"}
    assert details == {
        "short": (NEAR, f"of {long.id}, similarity 0.99"),
        "nc": (NEAR, f"of {long.id}, similarity 0.98"),
    }
    assert out.statistics["clusters"] == 1
    assert (out.statistics["buckets"], out.statistics["hashes"]) == (26, 8)


def test_clusters_reach_across_links_sources_and_shards(tmp_path: Path) -> None:
    """A chain of texts, each near the next, first and last far apart: one cluster, one document."""
    chain = [prose(3)]
    for step in range(1, 6):
        chain.append([*chain[-1][: 40 * step - 10], *prose(100 + step, 10), *chain[-1][40 * step :]])
    texts = [" ".join(words) for words in chain]
    assert min(plain_similarity(one, other) for one, other in pairwise(texts)) >= 0.8
    assert plain_similarity(texts[0], texts[-1]) < 0.7
    order = [3, 0, 5, 2, 4, 1]
    shards = [[document(texts[number], source=f"s{number}", origin=str(number))] for number in order]
    artifact = run(tmp_path, shards, near=0.8, buckets=64, hashes=4)
    assert len(all_documents(artifact)) == 1
    assert [reason for _, reason in fates(artifact)] == [NEAR] * 5


def test_documents_without_words_are_not_near_each_other(tmp_path: Path) -> None:
    items = [document("…"), document("* * *"), document(""), document("un mot"), document("UN MOT !")]
    artifact = run(tmp_path, [items], near=0.8)
    assert len(all_documents(artifact)) == 4


def test_one_document_of_each_address(tmp_path: Path) -> None:
    old = document("Un vieux texte de cette page.", origin="http://www.example.org/page/?utm_source=x")
    new = document("Le texte d'aujourd'hui de cette page.", origin="https://example.org/page")
    part = document("Une autre partie.", origin="https://example.org/page#2")
    archived = document(
        "Archivé.", origin="crawl.warc.gz#17", metadata={"url": "https://EXAMPLE.org:443/page#haut"}
    )
    local = [document(f"Fichier {number}.", origin="livre.txt") for number in range(2)]
    artifact = run(tmp_path, [[old, part], [new, archived, *local]], urls=True)
    assert fates(artifact) == [(old.origin, SAME_URL), (archived.origin, SAME_URL)]
    detail = next(entry.detail for entry in ledger(artifact) if entry.fate == "dropped")
    assert detail == f"of {new.id}: //example.org/page"
    # Without the parameter, addresses are not looked at.
    assert fates(run(tmp_path / "off", [[old, part], [new, archived, *local]])) == []


def mixture() -> list[Document]:
    rng = random.Random(9)
    items = []
    for number in range(40):
        made = pair(rng, 0.75 + 0.006 * number, 120)
        licence = ("CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0")[number % 3]
        items += [
            document(made.one, origin=f"https://example.org/{number}", licence=licence),
            document(made.other, origin=f"https://example.org/other/{number % 37}", source="b"),
            document(made.one, origin=f"copy/{number}", source="c", licence="CC-BY-4.0"),
        ]
    return items


def test_the_choice_follows_from_the_documents_not_from_their_order(tmp_path: Path) -> None:
    items = mixture()
    kept = set()
    for attempt in range(3):
        random.Random(attempt).shuffle(items)
        shards = [items[:25], [], items[25 : 25 + 10 * attempt], items[25 + 10 * attempt :]]
        artifact = run(tmp_path / str(attempt), shards, workers=1, near=0.8, urls=True)
        kept.add(tuple(sorted((item.source, item.origin, item.id) for item in all_documents(artifact))))
    assert len(kept) == 1


@pytest.mark.slow
def test_bytes_are_those_of_any_number_of_workers_and_any_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = mixture()
    shards = [items[:25], [], items[25:60], items[60:]]
    one = run(tmp_path / "one", shards, workers=1, near=0.8, urls=True)
    two = run(tmp_path / "two", shards, workers=2, near=0.8, urls=True)
    # Ranges of a few rows, groups compared one by one, batches of three documents.
    monkeypatch.setattr(dedup_runs, "ROWS_IN_MEMORY", 64)
    monkeypatch.setattr(module, "_GRAMS_AT_ONCE", 200)
    monkeypatch.setattr(dedup_survey, "BATCH_ROWS", 3)
    little = run(tmp_path / "little", shards, near=0.8, urls=True)
    assert one.digest == two.digest == little.digest
    assert {reason for _, reason in fates(one)} == {EXACT, NEAR, SAME_URL}


@pytest.fixture(scope="module")
def planted() -> list[Pair]:
    """Pairs at 0.8, pairs from 0.8 to 1, pairs somewhat alike, and pairs just below what is wanted."""
    rng = random.Random(2026)
    wanted = [0.8] * 150 + [0.8 + 0.17 * n / 100 for n in range(100)] + [0.5 + 0.3 * n / 100 for n in range(100)]
    # One word of n in the middle costs ten grams of n: a high similarity takes a long text.
    return [pair(rng, similarity, rng.randrange(60, 120) + int(10 / (1 - similarity))) for similarity in wanted]


def test_recall_and_precision_on_planted_near_duplicates(tmp_path: Path, planted: list[Pair]) -> None:
    ones = [document(made.one, origin=f"one/{number}") for number, made in enumerate(planted)]
    others = [document(made.other, origin=f"other/{number}") for number, made in enumerate(planted)]
    artifact = run(tmp_path, [ones, others], near=0.8)
    origins = {item.id: item.origin for item in (*ones, *others)}
    caught = {
        frozenset({entry.origin, origins[re.findall(r"sha256:\w{64}", entry.detail or "")[0]]})
        for entry in ledger(artifact)
        if entry.fate == "dropped"
    }
    alike = {frozenset({f"one/{n}", f"other/{n}"}) for n, made in enumerate(planted) if made.similarity >= 0.8}
    at_08 = {frozenset({f"one/{n}", f"other/{n}"}) for n, made in enumerate(planted[:150])}
    assert all(0.8 <= made.similarity < 0.84 for made in planted[:150])
    assert len(caught & at_08) / len(at_08) >= 0.98
    assert len(caught & alike) / len(alike) >= 0.98
    assert len(caught & alike) / len(caught) >= 0.98


def test_a_text_that_does_not_match_its_id_stops_the_step(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "in" / "documents").mkdir(parents=True)
    path = tmp_path / "in" / "documents" / "00000.parquet"
    write_documents(path, [document("Un texte."), document("Un autre.")])
    table = pq.read_table(path)
    pq.write_table(table.set_column(1, "text", pa.array(["Un texte.", "Altéré."])).cast(table.schema), path)
    with pytest.raises(InputError, match=r"00000\.parquet: the text of document sha256:"):
        run_step(dedup, DedupParameters(near=0.8), tmp_path / "out", {"documents": (artifact_of(tmp_path / "in"),)})


def test_parameters_that_make_no_sense_are_refused() -> None:
    for wrong in ({"buckets": 14}, {"buckets": 14, "hashes": 8}, {"near": 0.8, "hashes": 8}, {"near": 1.0}):
        with pytest.raises(ValueError, match=r"near|buckets"):
            DedupParameters.model_validate(wrong)


def test_an_empty_corpus_is_no_accident(tmp_path: Path) -> None:
    artifact = run(tmp_path, [[], []], near=0.8, urls=True)
    assert [all_documents(artifact), len(shard_paths(artifact.path))] == [[], 2]


@pytest.mark.slow
def test_real_texts_with_copies_planted_among_them(tmp_path: Path, real_corpora: Path) -> None:
    """Real paragraphs, each copied with words changed: what is dropped is what the plain computation says."""
    rng = random.Random(3)
    text = "\n".join(path.read_text("utf-8") for path in sorted((real_corpora / "lois").glob("*.md"))[:3])
    pieces = sorted({piece for piece in text.split("\n\n") if 80 <= len(piece.split()) <= 300})[:1_500]
    copies = []
    for piece in pieces:
        words = piece.split(" ")
        for place in rng.sample(range(len(words)), rng.randrange(1, 5)):
            words[place] = rng.choice(WORDS)
        copies.append(" ".join(words))
    items = [document(item, origin=str(number)) for number, item in enumerate([*pieces, *copies])]
    artifact = run(tmp_path, [items[: len(pieces)], items[len(pieces) :]], near=0.8)
    gone = {entry.origin for entry in ledger(artifact) if entry.fate == "dropped"}
    alike = [n for n, piece in enumerate(pieces) if plain_similarity(piece, copies[n]) >= 0.8]
    caught = [{str(n), str(n + len(pieces))} & gone != set() for n in alike]
    assert len(alike) > 500
    assert np.mean(caught) >= 0.98
