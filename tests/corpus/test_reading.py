"""What holds for every format: quarantine, large files in flat memory, the same bytes whatever the workers."""

import bz2
import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard
from tests.corpus.builders import all_documents, ledger, texts
from tests.corpus.crawls import archive, page, response
from tests.corpus.large import write
from tests.corpus.pdfs import pdf
from tests.corpus.reading import params, read_path

from fonderie.core.document import shard_paths
from fonderie.core.errors import InputError, LicenceError, UsageError
from fonderie.corpus import formats

LINES = b"".join(json.dumps({"text": f"Texte {i}."}).encode() + b"\n" for i in range(1000))


def test_a_damaged_file_stops_the_build_or_goes_whole_into_quarantine(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(LINES[: LINES.index(b"\n") + 1])
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(LINES)[:-50])
    with pytest.raises(InputError, match=r"b\.jsonl\.gz is truncated or corrupt after [\d,]+ decompressed bytes"):
        read_path(tmp_path, "*.jsonl*", format="jsonl")
    artifact, out = read_path(tmp_path, "*.jsonl*", into="o2", format="jsonl", damaged="quarantine")
    assert texts(artifact) == ["Texte 0."]
    row = ledger(artifact)[1]
    assert (row.origin, row.fate, row.reason) == ("b.jsonl.gz", "dropped", "damaged file in quarantine")
    assert "truncated or corrupt after" in (row.detail or "")
    (file,) = out.statistics["damaged"]
    assert (file["file"], file["size_bytes"]) == ("b.jsonl.gz", (tmp_path / "b.jsonl.gz").stat().st_size)
    assert out.statistics["sources"]["here"]["dropped"] == {"damaged file in quarantine": 1}


@pytest.mark.parametrize(
    ("name", "format_", "data"),
    [
        ("x.jsonl", "jsonl", LINES[:-5]),
        ("x.parquet", "parquet", b"PAR1 nothing"),
        ("x.txt", "text", b"caf\xe9"),
        ("x.md", "markdown", b"---\na: [\n---\n"),
        ("x.xml", "tei", b"<TEI><teiHeader>"),
        ("x.xml", "drama", b"<TEI><teiHeader>"),
        ("x.warc.gz", "warc", archive(response(page().encode()))[:-20]),
        ("x.wet", "wet", b"WARC/1.0\r\n"),
        ("x.xml", "mediawiki", b"<mediawiki><page><title>A</title>"),
        ("x.pdf", "pdf", pdf("Un.")[:-40]),
        ("x.xml", "alto", b"<alto><Page>"),
        ("x.tsv", "tesseract", b"level\n"),
        ("x.txt", "ocr", b"\xff\xfe"),
        ("x.txt", "claire", b"rien"),
        ("x.jsonl", "jsonl", b'{"text": "\\ud800"}\n'),
        ("x.csv", "hub", b"a,b\n"),
    ],
)
def test_every_format_names_what_is_damaged_and_can_put_it_aside(
    tmp_path: Path, name: str, format_: str, data: bytes
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        read_path(tmp_path, name, format=format_)
    artifact, out = read_path(tmp_path, name, into="o2", format=format_, damaged="quarantine")
    assert texts(artifact) == []
    assert [file["file"] for file in out.statistics["damaged"]] == [name]


def test_quarantine_is_no_way_around_the_licence(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "non", "licence": "CC-BY-NC-4.0"}\n')
    with pytest.raises(LicenceError):
        read_path(tmp_path, "a.jsonl", format="jsonl", licence=None, damaged="quarantine")


def test_a_large_file_becomes_several_shards_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fonderie.corpus.read.SHARD_DOCUMENTS", 300)
    monkeypatch.setattr("fonderie.corpus.read.GROUP_BYTES", 1)
    for name in "ab":
        (tmp_path / f"{name}.jsonl").write_bytes(LINES)
    artifact, _ = read_path(tmp_path, "*.jsonl", format="jsonl")
    names = [path.name for path in shard_paths(artifact.path)]
    assert names == [f"{number:05d}.parquet" for number in range(8)]
    assert sorted(path.name for path in (artifact.path / "ledger").iterdir()) == names
    assert [found.origin for found in all_documents(artifact)][998:1002] == [
        "a.jsonl#L999",
        "a.jsonl#L1000",
        "b.jsonl#L1",
        "b.jsonl#L2",
    ]
    # An end of file right at the end of a shard makes no empty one.
    monkeypatch.setattr("fonderie.corpus.read.SHARD_DOCUMENTS", 500)
    even, _ = read_path(tmp_path, "a.jsonl", into="o2", format="jsonl")
    assert len(shard_paths(even.path)) == 2


def test_bytes_do_not_depend_on_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fonderie.corpus.read.GROUP_BYTES", 1)
    for number in range(5):
        records = [response(page(foot=f"{number} {i}").encode(), url=f"https://a.fr/{i}") for i in range(3)]
        (tmp_path / f"{number}.warc.gz").write_bytes(archive(*records)[: -20 if number == 3 else None])
    given = {"format": "warc", "page_text": "all", "damaged": "quarantine"}
    digests = {
        read_path(tmp_path, "*.warc.gz", into=f"o{workers}", workers=workers, **given)[0].digest
        for workers in (1, 2)
    }
    assert len(digests) == 1


def test_a_parameter_that_means_nothing_for_the_format_is_refused() -> None:
    with pytest.raises(ValueError, match="namespaces means nothing for jsonl: it is for mediawiki"):
        params(format="jsonl", namespaces=[1])


def test_a_missing_library_is_named_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(formats._LIBRARIES, "html", ("no_such_library",))
    (tmp_path / "a.html").write_text(page())
    with pytest.raises(UsageError, match="needs no_such_library, which is not installed") as refused:
        read_path(tmp_path, "a.html", format="html")
    assert "pip install 'fonderie[corpus]'" in refused.value.hint


MEASURE = """
import sys
from pathlib import Path
from tests.corpus.reading import read_path
given = {"unit": "part"} if sys.argv[1] == "alto" else {}
for folder in map(Path, sys.argv[2:]):
    read_path(folder, "a.*", into="out", format=sys.argv[1], **given)
    # Not ru_maxrss, which a process inherits from the one that started it.
    print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""
"""Peak memory in KiB after each folder."""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["jsonl", "parquet", "warc", "mediawiki", "alto", "claire"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, name: str) -> None:
    folders = [tmp_path / f"{factor}x" for factor in (2, 6)]
    for folder, factor in zip(folders, (2, 6), strict=True):
        folder.mkdir()
        write(name, folder, factor)
    command = [sys.executable, "-c", MEASURE, name, *map(str, folders)]
    small, large = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    # Sixteen megabytes of text against forty-eight: held whole, thirty-two more, and Arrow or a tree copies it.
    assert large - small < 24 << 10, f"{small:,} KiB at most for 2x, {large:,} for 6x"


PACKED = {"gz": gzip.compress, "bz2": bz2.compress, "zst": zstandard.compress}


@pytest.mark.parametrize("ending", PACKED)
def test_nothing_of_a_compressed_file_is_lost_without_a_word(tmp_path: Path, ending: str) -> None:
    first, second = (
        PACKED[ending](b"".join(LINES.splitlines(True)[part])) for part in (slice(500), slice(500, None))
    )
    path = tmp_path / f"a.jsonl.{ending}"

    def read(data: bytes, into: str) -> int:
        path.write_bytes(data)
        return len(texts(read_path(tmp_path, path.name, into=into, format="jsonl")[0]))

    assert read(first + second, "whole") == 1000
    if ending == "gz":
        assert read(first + bytes(512) + second + bytes(100), "padded") == 1000
    length = len(b"".join(LINES.splitlines(True)[:500]))
    for number, damaged in enumerate((first + b"XXX" + second[3:], first + second[:3], first + b"rubbish")):
        with pytest.raises(InputError, match=rf"a\.jsonl\.{ending} is truncated or corrupt after {length:,} "):
            read(damaged, f"d{number}")
    with pytest.raises(InputError, match="after 0 decompressed bytes: it holds nothing"):
        read(b"", "nothing")
