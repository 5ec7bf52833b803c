"""Whoever reads a shard that is damaged says which file it is, and at what byte; nobody goes on with what is left."""

import re
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.corpus.builders import document, documents, run_step

from fonderie.core.document import count_documents, read_documents, read_record_batches, shard_paths
from fonderie.core.errors import InputError
from fonderie.core.ledger import read_ledger
from fonderie.core.machine import Machine
from fonderie.core.step import Artifact
from fonderie.corpus.bury import rows
from fonderie.corpus.dedup.documents import DedupParameters, dedup
from fonderie.corpus.filter import FilterParameters, filter_documents
from fonderie.corpus.ngram.train import NgramParameters, train_ngrams
from fonderie.corpus.redact import RedactParameters, redact
from fonderie.release.attribution import attributions
from fonderie.release.reports.corpus_shares import measure
from fonderie.release.survey import survey_shards
from fonderie.trace.examples import Name, find_texts


def step(call: object, params: object) -> Callable[[Artifact, Path], object]:
    return lambda given, out: run_step(call, params, out, {"documents": (given,)})  # type: ignore[arg-type]


READERS: dict[str, Callable[[Artifact, Path], object]] = {
    "filter": step(filter_documents, FilterParameters(rules=("words >= 1",))),
    "redact": step(redact, RedactParameters()),
    "dedup": step(dedup, DedupParameters()),
    "n-grams": step(train_ngrams, NgramParameters()),
    "documents": lambda given, _: [list(read_documents(path)) for path in shard_paths(given.path)],
    "erasure": lambda given, _: [list(rows(path, ("id", "text"))) for path in shard_paths(given.path)],
    "shares": lambda given, _: measure([given]),
    "survey": lambda given, _: survey_shards(shard_paths(given.path), Machine()),
    "examples": lambda given, _: find_texts([given], [_last(given)], None),
}


def _last(given: Artifact) -> Name:
    """A document that comes after what is damaged, so that it must be looked for there."""
    return Name(document("mot 3999").id, "test", "there")


@pytest.fixture
def given(tmp_path: Path) -> Artifact:
    return documents(tmp_path / "in", [[document(f"mot {number}", origin="there") for number in range(4_000)]])


def _damage(path: Path, column: str, group: int) -> int:
    """Overwrite a column of a row group; where it begins."""
    metadata = pq.ParquetFile(path).metadata.row_group(group)
    chunk = next(
        chunk for chunk in map(metadata.column, range(metadata.num_columns)) if chunk.path_in_schema == column
    )
    start = int(chunk.dictionary_page_offset or chunk.data_page_offset)
    data = bytearray(path.read_bytes())
    data[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(data)
    return start


@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_row_group_is_named_by_its_byte(reader: str, given: Artifact, tmp_path: Path) -> None:
    (path,) = shard_paths(given.path)
    start = _damage(path, "text", 1)
    with pytest.raises(InputError, match=rf"{re.escape(str(path))} is truncated or damaged at byte {start:,}: "):
        READERS[reader](given, tmp_path / "out")


@pytest.mark.parametrize("reader", READERS)
def test_a_shard_that_was_cut_is_named_with_its_end(reader: str, given: Artifact, tmp_path: Path) -> None:
    (path,) = shard_paths(given.path)
    cut = path.stat().st_size - 100
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=rf"{re.escape(str(path))} is truncated or damaged at byte {cut:,}: "):
        READERS[reader](given, tmp_path / "out")


def test_authors_and_licences_of_a_pack_are_not_counted_from_half_a_shard(given: Artifact) -> None:
    statistics = {"sources": {"test": {"documents": 4_000, "tokens": 8_000}}}
    manifest = given.manifest.model_copy(update={"statistics": statistics})
    pack = Artifact(given.path, manifest, {"documents": (given,)})
    (path,) = shard_paths(given.path)
    assert sum(one.documents for one in attributions([pack], Machine())) == 4_000
    start = _damage(path, "licence", 1)
    with pytest.raises(InputError, match=f"damaged at byte {start:,}: "):
        attributions([pack], Machine())


def test_a_damaged_ledger_is_named_too(given: Artifact, tmp_path: Path) -> None:
    artifact, _ = run_step(
        filter_documents, FilterParameters(rules=("words >= 1",)), tmp_path / "out", {"documents": (given,)}
    )
    path = artifact.path / "ledger" / "00000.parquet"
    start = _damage(path, "origin", 0)
    with pytest.raises(InputError, match=rf"00000\.parquet is truncated or damaged at byte {start:,}: "):
        list(read_ledger(artifact.path))


def test_a_whole_shard_is_read_by_as_many_rows_as_asked(given: Artifact) -> None:
    (path,) = shard_paths(given.path)
    assert count_documents(path) == 4_000
    assert {len(batch) for batch in read_record_batches(path, ["id"], batch_rows=500)} == {500}
