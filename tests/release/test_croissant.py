"""croissant.json, read by the reference library of the format."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.evaluate.small import Build
from tests.release.reading import contents_of, facts_with, without_documents

from fonderie.core.document import read_documents, shard_paths
from fonderie.release.attribution import Attribution
from fonderie.release.cards.croissant import CROISSANT, VERSION, describe, write_croissant
from fonderie.release.cards.notices import AUTHORS_IN_FULL

mlcroissant = pytest.importorskip("mlcroissant", reason="pip install mlcroissant (the test extra)")


def opened(path: Path) -> Any:
    """The data set as mlcroissant sees it; it raises on any error of the format."""
    dataset = mlcroissant.Dataset(str(path))
    issues = dataset.metadata.ctx.issues
    assert not issues.errors
    assert not issues.warnings
    return dataset


def test_the_reference_library_finds_no_error_and_no_warning(small: Build) -> None:
    metadata = opened(small.release / CROISSANT).metadata
    assert VERSION in metadata.conforms_to
    assert str(metadata.version) == "0.1.0"
    assert {*metadata.license} == {
        "https://creativecommons.org/licenses/by/4.0/",
        "https://creativecommons.org/publicdomain/zero/1.0/",
    }


def test_its_records_are_the_documents_that_were_trained_on(small: Build) -> None:
    dataset = opened(small.release / CROISSANT)
    records = list(dataset.records("documents"))
    packed = small.result.artifacts["training"].path
    documents = [document for shard in shard_paths(packed) for document in read_documents(shard)]
    read = {(row["documents/id"].decode(), row["documents/text"].decode()) for row in records}
    assert read == {(document.id, document.text) for document in documents}
    assert len(records) == len(documents)


def test_its_files_have_the_sizes_and_hashes_of_the_release(small: Build) -> None:
    contents = contents_of(small.release)
    files = opened(small.release / CROISSANT).metadata.file_objects
    assert {file.id for file in files} == {name for name in contents.files if name.startswith("data/documents/")}
    for file in files:
        assert f"sha256:{file.sha256}" == contents.files[file.id]
        assert file.content_size == f"{contents.sizes[file.id]} B"
        assert file.content_url == file.id


def test_without_documents_the_sources_are_named_and_hashed(small: Build, tmp_path: Path) -> None:
    path = tmp_path / CROISSANT
    path.write_text(write_croissant(without_documents(small.release))[CROISSANT], encoding="utf-8")
    rows = list(opened(path).records("source-files"))
    letters = [row for row in rows if row["source-files/source"] == "letters"]
    read = small.result.artifacts["letters"].manifest.sources["path"]
    assert {(row["source-files/path"], f"sha256:{row['source-files/sha256']}") for row in letters} == {
        (entry.path, entry.sha256) for entry in read
    }
    assert [row["source-files/path"].split("/")[0] for row in rows if row not in letters] == ["manifests"]


def test_provenance_walks_the_steps_and_names_the_authors(small: Build) -> None:
    found = describe(facts_with(small.release))
    assert [item["prov:label"].split(":")[0] for item in found["prov:wasGeneratedBy"]] == [
        *("toy", "letters", "distinct", "training"),
    ]
    derived = {item["prov:label"]: item for item in found["prov:wasDerivedFrom"]}
    authors = {agent["prov:label"] for agent in derived["letters"]["prov:wasAttributedTo"]}
    assert authors == {"G. Sand", "H. <Beyle> | [x](y)"}
    assert "3 files, named and hashed in manifests/" in derived["letters"]["description"]


def test_authors_beyond_the_bound_are_counted(small: Build) -> None:
    many = Attribution(
        source="letters", documents=500, origins=3, authors={f"A {number}": 1 for number in range(500)},
        without_author=0, licences={"CC-BY-4.0": 500}, collection_licences={},
    )  # fmt: skip
    (entry,) = describe(facts_with(small.release, attributions=[many]))["prov:wasDerivedFrom"][:1]
    assert len(entry["prov:wasAttributedTo"]) == AUTHORS_IN_FULL
    assert "of 500 authors the first 200, all in attribution.json" in entry["description"]


def test_it_is_a_function_of_the_folder(small: Build) -> None:
    text = (small.release / CROISSANT).read_text(encoding="utf-8")
    assert write_croissant(facts_with(small.release))[CROISSANT] == text
    assert json.loads(text)["name"] == "toy-0.1.0-training-documents"
