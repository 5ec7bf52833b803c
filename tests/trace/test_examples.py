"""Examples and clusters: true to the ledger, the same whatever the order, bounded whatever the corpus."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.compute as pc
import pytest
from tests.trace.corpora import HOSTILE, STORY, SmallCorpus, make, texts

from fonderie.core.errors import UsageError
from fonderie.core.ledger import read_ledger
from fonderie.corpus.dedup.fates import EXACT, NEAR
from fonderie.trace.clusters import clusters
from fonderie.trace.examples import Wanted, document_calls, draw, examples, find_call, ledger_batches, reasons_of
from fonderie.trace.why import why


def test_examples_are_rows_of_the_ledger_with_their_texts(small_corpus: SmallCorpus) -> None:
    clean = small_corpus.artifacts["clean"]
    found = examples("clean", clean, Wanted("dropped", 100))
    dropped = {entry.id: entry for entry in read_ledger(clean.path) if entry.fate == "dropped"}
    assert {example.id for example in found} == dropped.keys()
    for example in found:
        assert (example.reason, example.detail) == (dropped[example.id].reason, dropped[example.id].detail)
        assert (example.licence, example.language, example.step) == ("CC-BY-4.0", "fr", "corpus.filter")
        assert example.excerpt is not None
        assert any(" ".join(text.split()).startswith(example.excerpt.rstrip("…")) for text in texts())


def test_a_rare_reason_is_among_few_examples(small_corpus: SmallCorpus) -> None:
    clean = small_corpus.artifacts["clean"]
    assert reasons_of(clean, Wanted("dropped", 4)) == {"repeated_lines <= 0.5": 6, "words >= 5": 30}
    assert Counter(entry.reason for entry in draw(clean, Wanted("dropped", 4))) == {
        "words >= 5": 2,
        "repeated_lines <= 0.5": 2,
    }


def test_the_same_documents_are_drawn_whatever_the_files_they_lie_in(
    small_corpus: SmallCorpus, tmp_path: Path
) -> None:
    # Origins differ between files, and are part of the lot: the drawn ones are compared within each.
    for shards in (1, 3):
        made = make(tmp_path / str(shards), texts(), shards).artifacts["clean"]
        few, more = (draw(made, Wanted("dropped", number, "words >= 5")) for number in (3, 9))
        assert more[:3] == few
        assert draw(made, Wanted("dropped", 3, "words >= 5")) == few
        assert [entry.origin for entry in few] != sorted(entry.origin for entry in few) or shards > 1
    again = draw(small_corpus.artifacts["clean"], Wanted("dropped", 3))
    assert again == draw(make(tmp_path / "again", texts()).artifacts["clean"], Wanted("dropped", 3))


def test_a_reason_and_a_source_choose(small_corpus: SmallCorpus) -> None:
    clean = small_corpus.artifacts["clean"]
    found = examples("clean", clean, Wanted("dropped", 100, "repeated_lines <= 0.5", "letters"))
    assert len(found) == 6
    assert {example.reason for example in found} == {"repeated_lines <= 0.5"}
    assert examples("clean", clean, Wanted("dropped", 100, None, "elsewhere")) == []


def test_an_edit_shows_what_went_and_what_came(small_corpus: SmallCorpus) -> None:
    private = small_corpus.artifacts["private"]
    found = examples("private", private, Wanted("edited", 100))
    assert len(found) == 8
    for example in found:
        removed = [piece.text for piece in example.changes if piece.kind == "removed"]
        assert [piece.text for piece in example.changes if piece.kind == "added"] == ["[EMAIL]", "[PHONE]"]
        assert removed[0].endswith("@exemple.fr")
        assert removed[1].startswith("01 42 68 53")


def test_a_mask_leaves_the_shape_of_what_was_redacted(small_corpus: SmallCorpus) -> None:
    def mask(text: str) -> str:
        return text.replace("mairie", "[M]")

    found = examples("private", small_corpus.artifacts["private"], Wanted("edited", 100), mask)
    assert {piece.text for example in found for piece in example.changes if piece.kind == "removed"} == {
        "•.•••••••@•••••••.••",
        "•• •• •• •• ••",
    }
    assert not any("mairie" in piece.text for example in found for piece in example.changes)


def test_copies_of_copies_lead_to_the_document_that_stays(small_corpus: SmallCorpus) -> None:
    (cluster,) = clusters("unique", small_corpus.artifacts["unique"], 10)
    assert cluster.gone == 3
    assert Counter(member.reason for member in cluster.members) == {NEAR: 1, EXACT: 2}
    # The longer text stays: its copy, the shorter one, and the copy of the shorter one went.
    assert cluster.keeper.excerpt == STORY.replace("l'attend", "l'attend plus")
    shorter = [member for member in cluster.members if member.excerpt == STORY]
    assert sorted(member.reason for member in shorter) == [EXACT, NEAR]
    for member in cluster.members:
        (trail,) = [one for one in why(small_corpus.artifacts, member.id) if one.origin == member.origin]
        instead = trail.fates[-1].instead
        assert instead is not None
        assert (instead.id, instead.origin) == (cluster.keeper.id, cluster.keeper.origin)


def test_why_shows_what_a_redaction_replaced(small_corpus: SmallCorpus) -> None:
    (trail,) = why(small_corpus.artifacts, "mairie numéro 3")
    edited = next(fate for fate in trail.fates if fate.call == "private")
    assert [piece.text for piece in edited.changes if piece.kind == "removed"] == [
        "m.martin3@exemple.fr",
        "01 42 68 53 03",
    ]
    assert all(not fate.changes and fate.instead is None for fate in trail.fates if fate is not edited)


def test_only_deduplications_have_clusters_and_only_document_calls_ledgers(small_corpus: SmallCorpus) -> None:
    with pytest.raises(UsageError, match=r"'clean' is corpus\.filter"):
        clusters("clean", small_corpus.artifacts["clean"], 3)
    with pytest.raises(UsageError, match="'nowhere' is not a call") as raised:
        find_call(small_corpus.artifacts, "nowhere")
    assert "letters, clean, private, unique" in raised.value.hint
    assert list(document_calls(small_corpus.artifacts)) == ["letters", "clean", "private", "unique"]


def test_what_a_document_says_is_given_as_it_is(small_corpus: SmallCorpus) -> None:
    (trail,) = why(small_corpus.artifacts, "<script>")
    assert trail.excerpt == " ".join(HOSTILE.split())


def test_a_ledger_is_read_a_bounded_number_of_rows_at_a_time(small_corpus: SmallCorpus) -> None:
    batches = list(ledger_batches(small_corpus.artifacts["clean"], pc.field("fate") == "dropped"))
    assert sum(map(len, batches)) == 36


GROWING = """
import resource, sys
from pathlib import Path
from fonderie.core.ledger import SCHEMA
from fonderie.core.manifest import Manifest
from fonderie.core.step import Artifact
from fonderie.trace.clusters import clusters
from fonderie.trace.examples import Wanted, draw
import pyarrow as pa, pyarrow.parquet as pq

folder, rows = Path(sys.argv[1]), int(sys.argv[2])
(folder / "ledger").mkdir(parents=True)
with pq.ParquetWriter(folder / "ledger/00000.parquet", SCHEMA, compression="zstd") as writer:
    for first in range(0, rows, 50_000):
        ids = [f"sha256:{number * 2654435761 % 2**32:064x}" for number in range(first, first + 50_000)]
        n = len(ids)
        fates = pa.DictionaryArray.from_arrays(pa.array([0] + [1] * (n - 1), pa.int8()), pa.array(["kept", "dropped"]))
        columns = [ids, [None] * n, ["s"] * n, [f"o/{i}" for i in ids], fates, ["near duplicate"] * n,
                   [f"of {ids[0]}, similarity 0.90"] * n, [10] * n]
        writer.write_table(pa.table([pa.array(c, f.type) if c is not fates else fates
                                     for c, f in zip(columns, SCHEMA)], SCHEMA))
manifest = Manifest(key="k", digest="d", step="corpus.dedup", version=1, parameters={}, inputs={}, sources={}, files=[])
artifact = Artifact(folder, manifest)
pool, before = pa.default_memory_pool(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert len(draw(artifact, Wanted("dropped", 20))) == 20
clusters("unique", artifact, 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_ledger(tmp_path: Path) -> None:
    grown = []
    for rows in (50_000, 400_000):
        done = subprocess.run(
            [sys.executable, "-c", GROWING, str(tmp_path / str(rows)), str(rows)],
            capture_output=True,
            text=True,
            check=True,
        )
        grown.append(int(done.stdout))
    assert grown[1] < grown[0] + 60_000, f"kilobytes: {grown}"
