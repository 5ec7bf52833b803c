from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fonderie.core.ledger import NO_REASON, Entry, ledger_path, merge, read_ledger, summarise, write_ledger

NAMES = st.sampled_from(["romans", "lois", "é"])
ENTRIES = st.builds(
    Entry,
    id=st.sampled_from(["sha256:a", "sha256:b"]),
    id_after=st.none() | st.just("sha256:c"),
    source=NAMES,
    origin=st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    fate=st.sampled_from(["kept", "dropped", "edited"]),
    reason=st.none() | st.sampled_from(["words >= 50", "language in ['fr']"]),
    detail=st.none() | st.just("12"),
    size_bytes=st.integers(0, 2**40),
)
LEDGERS = st.lists(ENTRIES, max_size=12)


@settings(max_examples=25, deadline=None)
@given(LEDGERS)
def test_rows_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Entry]
) -> None:
    folder = tmp_path_factory.mktemp("artifact")
    write_ledger(ledger_path(folder, 0), iter(entries))
    assert list(read_ledger(folder)) == entries


@given(st.lists(LEDGERS, max_size=4))
def test_the_sum_of_summaries_is_the_summary_of_all(shards: list[list[Entry]]) -> None:
    together = summarise(entry for shard in shards for entry in shard)
    assert merge(summarise(shard) for shard in shards) == together
    assert merge([together]) == together


@given(LEDGERS, LEDGERS)
def test_merging_in_any_order_is_the_same_and_alters_nothing(first: list[Entry], second: list[Entry]) -> None:
    summaries = [summarise(first), summarise(second)]
    assert merge(summaries) == merge(reversed(summaries))
    assert summaries == [summarise(first), summarise(second)]


@given(LEDGERS)
def test_every_document_is_kept_or_dropped(entries: list[Entry]) -> None:
    for counts in summarise(entries).values():
        assert counts["read"] == counts["kept"] + sum(counts["dropped"].values())


def test_a_drop_without_reason_is_counted_as_such() -> None:
    drop = Entry("a", None, "romans", "1", "dropped", None, None, 3)
    assert summarise([drop, drop._replace(reason="short")])["romans"]["dropped"] == {NO_REASON: 1, "short": 1}


def test_shards_are_read_in_order_and_none_is_no_error(tmp_path: Path) -> None:
    assert list(read_ledger(tmp_path)) == []
    for index in (100_000, 2, 99_999):
        write_ledger(ledger_path(tmp_path, index), [Entry(str(index), None, "s", "o", "kept", None, None, 1)])
    assert [entry.id for entry in read_ledger(tmp_path)] == ["2", "99999", "100000"]
