"""Finding traces: the index never misses one, a search finds the newest, and both read few blocks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden_collector.receive.decode.requests import Signal
from plugwarden_collector.store.duckdb.traces import index as trace_index
from plugwarden_collector.store.duckdb.traces import search
from plugwarden_collector.store.duckdb.traces.index import TraceIndex
from plugwarden_collector.store.duckdb.traces.search import TraceFilter, find_trace, search_traces

from tests.collector.support.rolled_store import AT, Store, span

ID = st.integers(1, 2**128 - 1)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_index, "BLOCK_SPANS", 50)


@pytest.fixture
def store(tmp_path: Path, small_blocks: None) -> Iterator[Store]:
    made = Store(tmp_path)
    yield made
    made.close()


def fill(store: Store, requests: int, spans: int = 20) -> list[tuple[int, Any]]:
    """Requests of traces with two spans each; answers the ids and the start of each."""
    found = []
    for number in range(requests):
        message = trace_service_pb2.ExportTraceServiceRequest()
        at = AT - timedelta(minutes=requests - number)
        for _ in range(spans // 2):
            made = span(message, at=at)
            child = span(message, at=at, name="child", parent_span_id=made.span_id)
            child.trace_id = made.trace_id
            found.append((int.from_bytes(made.trace_id, "big"), at))
        store.send(Signal.TRACES, message)
    return found


def test_every_trace_is_found_also_after_a_restart(store: Store, tmp_path: Path) -> None:
    stored = fill(store, 20)
    assert len(store.writer.traces.candidates(1, 1)) < 3  # eight closed blocks, and an unknown trace is in hardly any
    for index in (store.writer.traces, TraceIndex(store.database.cursor())):
        for trace, at in stored:
            found = find_trace(store.database, index, trace)
            assert [row.name for row in found.spans] == ["run", "child"]
            assert {row.started_at for row in found.spans} == {at}
            assert found.logs == []


def test_a_trace_that_comes_in_pieces_is_found_whole(store: Store) -> None:
    trace = os.urandom(16)
    for number in range(4):
        message = trace_service_pb2.ExportTraceServiceRequest()
        span(message, name=f"piece {number}", at=AT + timedelta(seconds=number)).trace_id = trace
        store.send(Signal.TRACES, message)
        fill(store, 4)
    spans = find_trace(store.database, store.writer.traces, int.from_bytes(trace, "big")).spans
    assert [row.name for row in spans] == ["piece 0", "piece 1", "piece 2", "piece 3"]
    found = search_traces(
        store.database,
        store.writer.traces,
        TraceFilter(text="PIECE 2"),
        AT - timedelta(days=1),
        AT + timedelta(days=1),
        5,
    )
    assert [(row.spans, row.root, row.duration_seconds) for row in found] == [(4, "piece 0", 3.01)]


def test_a_search_gives_the_newest_first_and_no_more_than_asked_for(store: Store) -> None:
    stored = fill(store, 30)
    newest = sorted({at for _, at in stored}, reverse=True)
    found = search_traces(
        store.database, store.writer.traces, TraceFilter(), AT - timedelta(days=2), AT + timedelta(minutes=1), 25
    )
    assert [row.started_at for row in found] == [newest[0]] * 10 + [newest[1]] * 10 + [newest[2]] * 5
    nothing = TraceFilter(plugin="search", min_seconds=5.0)
    assert search_traces(store.database, store.writer.traces, nothing, AT - timedelta(days=2), AT, 25) == []


def test_a_trace_with_very_many_matching_spans_does_not_hide_the_others(store: Store) -> None:
    stored = fill(store, 3)
    message = trace_service_pb2.ExportTraceServiceRequest()
    trace = os.urandom(16)
    for number in range(200):  # the newest, and more than a search for ten traces looks at first
        span(message, name="child", at=AT + timedelta(milliseconds=number)).trace_id = trace
    store.send(Signal.TRACES, message)
    wanted = TraceFilter(text="child")
    found = search_traces(
        store.database, store.writer.traces, wanted, AT - timedelta(days=1), AT + timedelta(hours=1), 10
    )
    assert [row.spans for row in found] == [200] + [2] * 9
    assert found[0].trace_id == trace.hex()
    assert {row.started_at for row in found[1:]} == {max(at for _, at in stored)}


def test_of_a_trace_with_too_many_spans_those_that_failed_are_shown_with_the_way_to_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MAX_SPANS", 20)
    trace = os.urandom(16)
    above = b""
    for number in range(6):  # the failure is in the last request, far below the root in the first
        message = trace_service_pb2.ExportTraceServiceRequest()
        for place in range(10):
            made = span(message, name=f"{number}.{place}", at=AT + timedelta(seconds=10 * number + place))
            made.trace_id = trace
            made.parent_span_id = above
            if place == 9:
                above = made.span_id
        made.status.code = 2 if number == 5 else 0
        store.send(Signal.TRACES, message)
    found = find_trace(store.database, store.writer.traces, int.from_bytes(trace, "big"))
    way = [f"{number}.9" for number in range(6)]
    assert (len(found.spans), found.span_count) == (20, 60)
    assert [row.name for row in found.spans if row.name in way] == way
    assert {row.name for row in found.spans} > {f"0.{place}" for place in range(10)}, "the rest are the oldest"


def test_traces_that_share_half_an_id_are_told_apart(store: Store) -> None:
    first, second = os.urandom(16), os.urandom(16)
    second = second[:8] + first[8:]
    for trace, name in ((first, "mine"), (second, "yours")):
        message = trace_service_pb2.ExportTraceServiceRequest()
        span(message, name=name, at=AT).trace_id = trace
        store.send(Signal.TRACES, message)
    spans = find_trace(store.database, store.writer.traces, int.from_bytes(first, "big")).spans
    assert [row.name for row in spans] == ["mine"]
    wanted = TraceFilter(text="mine")
    found = search_traces(
        store.database, store.writer.traces, wanted, AT - timedelta(days=1), AT + timedelta(hours=1), 10
    )
    assert [(row.trace_id, row.spans, row.root) for row in found] == [(first.hex(), 1, "mine")]


@given(st.lists(ID, min_size=1, max_size=300), st.lists(ID, max_size=50))
@settings(max_examples=50, deadline=None)
def test_the_filter_never_misses_what_is_in_it(inside: list[int], outside: list[int]) -> None:
    def halves(ids: list[int]) -> tuple[pa.Array, pa.Array]:
        return pa.array([i >> 64 for i in ids], pa.uint64()), pa.array([i & 2**64 - 1 for i in ids], pa.uint64())

    hi, lo = halves(inside)
    bits = trace_index._filter(trace_index._folded(hi.to_numpy(), lo.to_numpy()))
    assert all(trace_index._holds(bits, trace_index._fold_one(i >> 64, i & 2**64 - 1)) for i in inside)


@pytest.mark.parametrize("make", [lambda n: n, lambda n: n << 64, lambda n: n << 64 | n, lambda n: n * 0x10001 << 40])
def test_ids_that_are_not_random_are_told_apart_as_well(make: Any) -> None:
    ids = [make(number) for number in range(1, 20_001)]
    hi = pa.array([i >> 64 for i in ids], pa.uint64()).to_numpy()
    lo = pa.array([i & 2**64 - 1 for i in ids], pa.uint64()).to_numpy()
    bits = trace_index._filter(trace_index._folded(hi, lo))
    others = [make(number) for number in range(1_000_000, 1_005_000)]
    wrong = sum(trace_index._holds(bits, trace_index._fold_one(i >> 64, i & 2**64 - 1)) for i in others)
    assert wrong / len(others) < 0.01  # Bloom's formula says 0.0037
