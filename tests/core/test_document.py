from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fonderie.core import document
from fonderie.core.digest import digest_file
from fonderie.core.document import Document, read_documents, shard_path, shard_paths, write_documents
from fonderie.core.errors import InputError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
MAYBE = st.none() | TEXT
DOCUMENTS = st.builds(
    Document,
    text=TEXT,
    source=TEXT,
    origin=TEXT,
    licence=TEXT,
    collection_licence=MAYBE,
    language=MAYBE,
    created=MAYBE,
    author=MAYBE,
    metadata=st.dictionaries(TEXT, TEXT, max_size=3),
)


def _document(text: str) -> Document:
    return Document(text=text, source="romans", origin="1.xml", licence="CC0-1.0")


def test_golden_id() -> None:
    """Ledgers, shards and releases name documents by this: it must not drift."""
    expected = "sha256:334aef1654d1bf7754502c5d1cba30c471155fc1036be49c0712e407afe6c349"
    assert _document("Il était une fois.\n").id == expected
    assert Document(text="Il était une fois.\n", source="x", origin="y", licence="z", id="given").id == expected


def test_another_text_has_another_id_and_keeps_the_rest() -> None:
    first = _document("a")
    second = first.with_text("b")
    assert second.id == _document("b").id != first.id
    assert second.source == first.source


@settings(max_examples=30, deadline=None)
@given(st.lists(DOCUMENTS, max_size=8))
def test_documents_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, documents: list[Document]
) -> None:
    path = tmp_path_factory.mktemp("shard") / "00000.parquet"
    assert write_documents(path, iter(documents)) == len(documents)
    assert list(read_documents(path)) == documents


@pytest.mark.parametrize("count", [0, 1, 2_000, 2_001, 4_000])
def test_row_groups_end_where_they_should(tmp_path: Path, count: int) -> None:
    path = tmp_path / "shard.parquet"
    assert write_documents(path, (_document(f"t{i}") for i in range(count))) == count
    assert pq.ParquetFile(path).num_row_groups == -(-count // 2_000)
    assert [item.text for item in read_documents(path)] == [f"t{i}" for i in range(count)]


def test_a_row_group_of_long_texts_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "GROUP_CHARACTERS", 100)
    path = tmp_path / "shard.parquet"
    write_documents(path, (_document(f"{i}" * 60) for i in range(6)))
    assert pq.ParquetFile(path).num_row_groups == 3
    assert len(list(read_documents(path))) == 6


def test_the_same_documents_give_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write_documents(tmp_path / name, (_document(f"t{i}") for i in range(50)))
    assert digest_file(tmp_path / "a") == digest_file(tmp_path / "b")


def test_a_text_that_is_not_its_ids_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "shard.parquet"
    write_documents(path, [_document("a"), _document("b")])
    table = pq.read_table(path)
    pq.write_table(table.set_column(1, document.SCHEMA.field("text"), pa.array(["a", "c"])), path)
    with pytest.raises(InputError, match=r"shard.parquet: the text of document sha256:\w+ was altered"):
        list(read_documents(path))


def _columns(path: Path, group: int) -> dict[str, tuple[int, int]]:
    """Where each column of a row group begins, and how long it is."""
    row_group = pq.ParquetFile(path).metadata.row_group(group)
    columns = [row_group.column(index) for index in range(row_group.num_columns)]
    return {
        column.path_in_schema: (
            column.dictionary_page_offset or column.data_page_offset,
            column.total_compressed_size,
        )
        for column in columns
    }


def test_a_damaged_shard_names_its_file_and_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "00007.parquet"
    write_documents(path, (_document(f"{i} {'mot ' * (i % 50)}") for i in range(4_000)))
    start, length = _columns(path, 1)["text"]
    data = bytearray(path.read_bytes())
    data[start : start + length] = b"\xff" * length
    path.write_bytes(data)
    documents = read_documents(path)
    assert [next(documents).text[:2] for _ in range(2_000)][:2] == ["0 ", "1 "]
    with pytest.raises(InputError, match=rf"00007\.parquet is truncated or damaged at byte {start:,}: "):
        next(documents)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_shard_names_its_file_and_where_it_ends(tmp_path: Path, share: float) -> None:
    path = tmp_path / "00007.parquet"
    write_documents(path, (_document(f"t{i}") for i in range(300)))
    cut = int(path.stat().st_size * share)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=rf"00007\.parquet is truncated or damaged at byte {cut:,}: ") as caught:
        list(read_documents(path))
    assert "run again" in caught.value.hint


def test_whatever_byte_of_the_data_is_altered_no_text_comes_out_altered(tmp_path: Path) -> None:
    """Other columns are under no hash: such a byte may alter a date, or nothing. Every seventh byte is tried."""
    path = tmp_path / "00000.parquet"
    texts = [f"texte nº {i}" for i in range(20)]
    write_documents(path, (_document(text) for text in texts))
    whole = path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    refused = 0
    for place in range(4, footer, 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 + place % 255)]) + whole[place + 1 :])
        try:
            found = [item.text for item in read_documents(path)]
        except InputError as error:
            refused += str(path) in error.message
        else:
            assert found == texts
    assert refused > (footer - 4) / 14


def test_shards_keep_their_order_beyond_five_digits(tmp_path: Path) -> None:
    for index in (100_000, 99_999, 7):
        shard_path(tmp_path, index).touch()
    assert [path.stem for path in shard_paths(tmp_path)] == ["00007", "99999", "100000"]
