import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.corpus.builders import all_documents, document, documents, run_step

from fonderie.core.errors import InputError
from fonderie.tokens.bpe import BpeParameters, train_bpe
from fonderie.tokens.pack import PackParameters, pack
from fonderie.tokens.shards import TokenStream, dtype_for
from fonderie.tokens.tokenizer import Tokenizer


def corpus(tmp_path: Path):
    shards = [
        [
            document(f"Le renard numéro {n} traverse la forêt.", source="tales", origin=f"{k}/{n}")
            for n in range(4 * k)
        ]
        for k in range(4)
    ]
    return documents(tmp_path / "in", shards)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory):
    tmp_path = tmp_path_factory.mktemp("pack")
    made = corpus(tmp_path)
    bpe, _ = run_step(
        train_bpe, BpeParameters(vocabulary=280, minimum_frequency=1), tmp_path / "bpe", {"documents": (made,)}
    )
    artifact, out = run_step(pack, PackParameters(), tmp_path / "out", {"documents": (made,), "tokenizer": (bpe,)})
    return made, bpe, artifact, out


def test_the_stream_is_the_documents_one_after_the_other(packed) -> None:
    made, bpe, artifact, out = packed
    stream, tokenizer = TokenStream.open(artifact.path), Tokenizer(bpe.path)
    expected = [tokenizer.encode_document(item) for item in all_documents(made)]
    assert stream.read(0, len(stream)).tolist() == [token for ids in expected for token in ids]
    assert out.statistics["tokens"] == len(stream) == sum(map(len, expected))
    assert out.statistics["sources"]["tales"]["documents"] == 24


def test_every_position_leads_back_to_its_document(packed) -> None:
    made, bpe, artifact, _ = packed
    stream, tokenizer = TokenStream.open(artifact.path), Tokenizer(bpe.path)
    position = 0
    for item in all_documents(made):
        length = len(tokenizer.encode_document(item))
        for place in (position, position + length // 2, position + length - 1):
            found = stream.document_at(place)
            assert (found.id, found.origin, found.licence) == (item.id, item.origin, item.licence)
        assert [extent.id for extent in stream.documents_between(position, position + length)] == [item.id]
        position += length
    with pytest.raises(IndexError):
        stream.document_at(len(stream))


@given(st.data())
def test_reading_across_shards_is_reading_the_whole(packed, data) -> None:
    stream = TokenStream.open(packed[2].path)
    start = data.draw(st.integers(0, len(stream)))
    stop = data.draw(st.integers(start, len(stream)))
    whole = np.concatenate(stream.arrays)
    assert stream.read(start, stop).tolist() == whole[start:stop].tolist()


def test_bytes_do_not_depend_on_workers(packed, tmp_path: Path) -> None:
    made, bpe, artifact, _ = packed
    for workers in (2, 4):
        again, _ = run_step(
            pack,
            PackParameters(),
            tmp_path / f"{workers}",
            {"documents": (made,), "tokenizer": (bpe,)},
            workers=workers,
        )
        assert again.digest == artifact.digest


def test_a_shard_of_the_wrong_length_is_named(packed, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(packed[2].path, folder)
    victim = folder / "tokens/00002.bin"
    victim.write_bytes(victim.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"00002\.bin has \d+ bytes, not the \d+"):
        TokenStream.open(folder)
    (folder / "index.json").write_text(json.dumps({"dtype": "uint16"}))
    with pytest.raises(InputError, match="not an index"):
        TokenStream.open(folder)


def test_nothing_left_to_pack_is_an_error(packed, tmp_path: Path) -> None:
    empty = documents(tmp_path / "in", [[]])
    with pytest.raises(InputError, match="no document is left"):
        run_step(pack, PackParameters(), tmp_path / "out", {"documents": (empty,), "tokenizer": (packed[1],)})


def test_the_narrowest_type_that_holds_every_id() -> None:
    assert [dtype_for(size) for size in (300, 65_536, 65_537)] == ["uint16", "uint16", "uint32"]
