"""Blocks of the index of traces: lost ones, and those whose texts are unread or long."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from plugwarden_collector.store import statement
from plugwarden_collector.store.duckdb.traces import index as trace_index
from plugwarden_collector.store.duckdb.traces.search import TraceFilter, find_trace, search_traces

from tests.collector.support.rolled_store import BEGIN, Store, call_each

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("lost", [0, 1], ids=["first", "between"])
def test_spans_of_a_block_that_was_lost_are_found(store: Store, lost: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_index, "BLOCK_SPANS", 1)
    for plugin in "abc":
        call_each(store, [plugin])
    cursor = store.database.cursor()
    rows = cursor.execute("select trace_hi, trace_lo from span_rows").fetchall()
    cursor.execute(
        "delete from trace_blocks where first_batch = "
        f"(select first_batch from trace_blocks order by first_batch limit 1 offset {lost})"
    )
    index = trace_index.TraceIndex(cursor)
    assert [len(find_trace(store.database, index, hi << 64 | lo).spans) for hi, lo in rows] == [1, 1, 1]
    assert len(search_traces(store.database, index, TraceFilter(), BEGIN - MINUTE, BEGIN + MINUTE, 10)) == 3
    assert len(search_traces(store.database, index, TraceFilter(text="run"), BEGIN - MINUTE, BEGIN + MINUTE, 10)) == 3


def test_a_block_whose_texts_cannot_be_read_is_closed_without(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_index, "BLOCK_SPANS", 1)

    def fail(*_: Any) -> Any:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(trace_index, "_store_texts", fail)
        call_each(store, ["a"])
    blocks = store.database.cursor().execute("select count(*) from trace_blocks").fetchall()
    assert blocks == [(1,)]
    assert store.writer.traces.unread(), "they are read later"


def test_texts_of_many_long_errors_do_not_have_to_fit_into_memory(store: Store) -> None:
    cursor = store.database.cursor()
    call_each(store, ["a"])
    cursor.execute(
        "insert into span_rows by name select s.* replace (repeat(md5(i::varchar), 100) as status_message) "
        "from span_rows as s, range(5_000) t(i)"
    )
    row = cursor.execute(statement("block_texts").sql, {"first": 0, "last": 2**40, "most": 1_000_000}).fetchall()[0]
    assert row[2] is None
    assert row[0]
