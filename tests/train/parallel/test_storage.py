"""Checkpoints of several processes: the same bytes as safetensors writes, whoever writes which part."""

import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save, save_file

from fonderie.model.config import ModelConfig
from fonderie.train.parallel.shard import row_order
from fonderie.train.parallel.storage import DTYPES, layout, read_layout

TENSORS = st.dictionaries(
    st.text(min_size=1, max_size=12).filter(lambda name: name != "__metadata__"),
    st.tuples(st.sampled_from(list(DTYPES)), st.lists(st.integers(0, 5), max_size=3).map(tuple)),
    min_size=1,
    max_size=6,
)


@given(TENSORS)
@settings(max_examples=200, deadline=None)
def test_the_header_is_the_one_that_safetensors_writes(tensors):
    made = {name: torch.ones(shape, dtype=dtype) for name, (dtype, shape) in tensors.items()}
    header, places, size_bytes = layout(tensors)
    data = save(made)
    assert data.startswith(header)
    assert len(data) == size_bytes
    assert all((place.dtype, place.shape) == tensors[name] for name, place in places.items())


def test_a_type_that_checkpoints_do_not_hold_is_named():
    with pytest.raises(ValueError, match=r"angle is of torch\.complex64"):
        layout({"angle": (torch.complex64, (2,))})


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_every_block_of_a_matrix_finds_its_bytes(tmp_path_factory, data):
    rows, columns = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 7))
    order = data.draw(st.one_of(st.none(), st.permutations(range(rows)).map(torch.tensor)))
    start, left = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    count, width = data.draw(st.integers(1, rows - start)), data.draw(st.integers(1, columns - left))
    matrix = torch.arange(rows * columns, dtype=torch.int16).view(rows, columns)
    path = tmp_path_factory.mktemp("file") / "m.safetensors"
    save_file({"matrix": matrix, "other": torch.ones(3)}, path)
    place, raw = read_layout(path)["matrix"], path.read_bytes()
    runs = list(place.runs([start, left], [count, width], order))
    found = b"".join(raw[run.at : run.at + run.size_bytes] for run in runs)
    shown = matrix if order is None else matrix[order]
    wanted = shown[start : start + count, left : left + width].contiguous()
    assert found == wanted.numpy().tobytes()
    assert sum(run.rows for run in runs) == count


def test_scalars_and_empty_shards_have_their_place(tmp_path: Path):
    save_file({"step": torch.tensor(7.0), "rows": torch.ones(4, 2)}, tmp_path / "f.safetensors")
    places = read_layout(tmp_path / "f.safetensors")
    (run,) = places["step"].runs([], [], None)
    assert run.size_bytes == 4
    assert [run.size_bytes for run in places["rows"].runs([4, 0], [0, 2], None)] == []
    assert load_file(tmp_path / "f.safetensors")["step"] == 7.0


@pytest.mark.parametrize(("parts", "kv_heads"), list(itertools.product((1, 2, 4), (4, 8))))
def test_each_process_gets_its_own_heads_with_the_keys_that_they_read(parts, kv_heads):
    config = ModelConfig(
        depth=1, width=16, heads=8, kv_heads=kv_heads, head_size=2, hidden=12, vocabulary=5, context=4
    )
    size, group = config.head_size, config.heads // kv_heads
    rows = row_order("blocks.0.attention.qkv.weight/exp_avg", config, parts)
    if parts == 1:
        assert rows is None
        return
    assert sorted(rows.tolist()) == list(range((8 + 2 * kv_heads) * size))
    for part in rows.chunk(parts):
        heads = [int(row) // size for row in part[::size]]
        queries = [head for head in heads if head < 8]
        keys = [head - 8 for head in heads if 8 <= head < 8 + kv_heads]
        values = [head - 8 - kv_heads for head in heads if head >= 8 + kv_heads]
        assert keys == values == sorted({head // group for head in queries})
    halves = row_order("blocks.0.feed_forward.gate_up.weight", config, parts)
    for part in halves.chunk(parts):
        gate, up = part.chunk(2)
        assert (up - gate).unique().tolist() == [config.hidden]
    assert row_order("blocks.0.attention.output.weight", config, parts) is None
