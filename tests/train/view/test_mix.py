"""The mix seen is counted token by token, whatever shards and documents a sequence runs across."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fonderie.tokens.shards import Extent, ShardIndex, TokenStream, write_shard
from fonderie.train.data.loader import Batches
from fonderie.train.settings.plan import Phase, Plan
from fonderie.train.settings.ramp import BatchSizes
from fonderie.train.settings.schedule import Schedule
from fonderie.train.view.mix import STEPS_COUNTED, STRETCHES, count_sources, mix_of


def stream_of(folder: Path, shards: list[list[tuple[str, int]]]) -> TokenStream:
    """Shards of documents, each of a source and so many tokens."""
    folder.mkdir(parents=True)
    entries = []
    for number, documents in enumerate(shards):
        rows = [
            (Extent(f"{number}-{place}", source, "o", "CC0-1.0", 0, 0, 0), [0] * length)
            for place, (source, length) in enumerate(documents)
        ]
        entries.append(write_shard(folder, number, "uint16", rows)[0])
    index = ShardIndex(dtype="uint16", vocabulary=8, bos=0, eos=1, end=2, shards=entries)
    (folder / "index.json").write_text(json.dumps(index.model_dump()))
    return TokenStream.open(folder)


def plan_of(*phases: tuple[str, int, int, int]) -> Plan:
    """Phases of a name, steps, batch and context."""
    return Plan(
        phases=tuple(
            Phase(name, Schedule("constant", steps, 1e-3), BatchSizes(batch), context)
            for name, steps, batch, context in phases
        ),
        clip=1.0,
        seed=0,
        precision="fp32",
        compile=False,
        checkpoint_every=10,
        checkpoints_kept=1,
    )


documents = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 7)), min_size=0, max_size=8)


@settings(max_examples=60, deadline=None)
@given(shards=st.lists(documents, min_size=1, max_size=4), length=st.integers(1, 12), data=st.data())
def test_every_token_counts_for_its_documents_source(
    tmp_path_factory: pytest.TempPathFactory,
    shards: list[list[tuple[str, int]]],
    length: int,
    data: st.DataObject,
) -> None:
    stream = stream_of(tmp_path_factory.mktemp("mix") / "tokens", shards)
    each = [source for shard in shards for source, count in shard for _ in range(count)]
    possible = max(len(each) - length, 0)
    starts = np.array(data.draw(st.lists(st.integers(0, possible), max_size=5)), dtype=np.int64)
    if len(each) < length:
        starts = starts[:0]
    groups = np.array(data.draw(st.lists(st.integers(0, 1), min_size=len(starts), max_size=len(starts))), dtype=int)
    names, counts = count_sources(stream, starts, length, groups, 2)
    assert names == sorted(names)
    for group in (0, 1):
        seen = [each[place] for start in starts[groups == group] for place in range(start, start + length)]
        found = dict(zip(names, counts[group], strict=True))
        assert {name: count for name, count in found.items() if count} == {
            name: seen.count(name) for name in set(seen)
        }


def test_a_short_training_is_counted_in_full_and_phase_by_phase(tmp_path: Path) -> None:
    first = stream_of(tmp_path / "first", [[("prose", 400)], [("law", 100)]])
    second = stream_of(tmp_path / "second", [[("talk", 400)]])
    plan = plan_of(("main", 30, 4, 8), ("annealing", 10, 2, 16))
    data = [Batches(first, 8, BatchSizes(4), 1), Batches(second, 16, BatchSizes(2), 2)]
    mix = mix_of(plan, data)
    assert [(stretch.first, stretch.last) for stretch in mix.stretches] == [(step, step) for step in range(1, 41)]
    assert all(sum(stretch.tokens.values()) == 32 for stretch in mix.stretches)
    assert {stretch.phase for stretch in mix.stretches if "talk" in stretch.tokens} == {"annealing"}
    # One epoch and most of another: the share of the sources is that of the tokens.
    prose = sum(stretch.tokens.get("prose", 0) for stretch in mix.stretches)
    assert prose / (30 * 32) == pytest.approx(0.8, abs=0.02)
    assert mix_of(plan, data) == mix


def test_a_long_training_is_counted_by_steps_spread_over_each_stretch(tmp_path: Path) -> None:
    stream = stream_of(tmp_path / "tokens", [[("a", 30), ("b", 10)] * 20])
    plan = plan_of(("main", 100_000, 1, 8))
    mix = mix_of(plan, [Batches(stream, 8, BatchSizes(1), 1)])
    assert len(mix.stretches) == STRETCHES
    assert [stretch.counted for stretch in mix.stretches] == [STEPS_COUNTED] * STRETCHES
    assert mix.stretches[0].first == 1
    assert mix.stretches[-1].last == 100_000
    assert all(
        before.last + 1 == after.first for before, after in zip(mix.stretches, mix.stretches[1:], strict=False)
    )
