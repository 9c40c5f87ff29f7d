"""Searching for texts: what the blocks' filters say may be elsewhere never is, with and without them, also of older stores."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden_collector.receive.decode.requests import Signal
from plugwarden_collector.store.duckdb.retention.slices import Keep, RetentionStats, clean_up
from plugwarden_collector.store.duckdb.traces import index as trace_index
from plugwarden_collector.store.duckdb.traces import trigrams
from plugwarden_collector.store.duckdb.traces.index import TraceIndex
from plugwarden_collector.store.duckdb.traces.search import TraceFilter, search_traces

from tests.collector.support.rolled_store import AT, Store, span

DAY = timedelta(days=1)
NAMES = ("Fetch the İstanbul rates", "fetch", "store rows", "ΣΊΣΥΦΟΣ", "naïve 😀 name", "a", "")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(trace_index, "BLOCK_SPANS", 8)
    made = Store(tmp_path)
    yield made
    made.close()


def fill(store: Store, requests: int = 42) -> None:
    """Closed blocks with a few of the names each, and some spans in the open one."""
    for number in range(requests):
        message = trace_service_pb2.ExportTraceServiceRequest()
        at = AT - timedelta(minutes=requests - number)
        failed = span(message, at=at, name=NAMES[number * len(NAMES) // requests])
        failed.status.code, failed.status.message = 2, f"Cannot reach host-{number // 10}"
        span(
            message,
            at=at,
            name=f"call {number}",
            attributes={"gen_ai.tool.name": "x", "error.type": f"Kind{number}Error"},
        )
        store.send(Signal.TRACES, message)


def found(store: Store, index: TraceIndex, text: str) -> list[str]:
    rows = search_traces(store.database, index, TraceFilter(text=text), AT - DAY, AT + DAY, 1000)
    return sorted(row.trace_id for row in rows)


def expected(store: Store, text: str) -> list[str]:
    query = (
        "select distinct trace_id from spans where contains(lower(name), lower($text)) "
        "or contains(lower(status_message), lower($text)) or contains(lower(error_type), lower($text)) order by 1"
    )
    return [row[0] for row in store.database.cursor().execute(query, {"text": text}).fetchall()]


TEXTS = (
    "FETCH", "İstanbul", "i̇stanbul", "σίσυφος", "ΣΊΣΥΦΟΣ", "ïve 😀", "host-3", "kind7error", "Error", "e", "fe", "😀",
    "call 39", "nowhere", "ratesfetch", "rates\nfetch", "errorcall",
)  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_a_search_finds_what_looking_at_every_span_finds(store: Store, text: str) -> None:
    fill(store)
    assert len(store.writer.traces.candidates(1, 1)) < 5
    assert found(store, store.writer.traces, text) == expected(store, text)
    assert found(store, TraceIndex(store.database.cursor()), text) == expected(store, text)  # after a restart


def test_a_text_that_nobody_wrote_is_looked_for_in_the_open_block_alone(store: Store) -> None:
    fill(store)
    index = store.writer.traces
    assert index.unread() == []
    nowhere = trace_index.TextRuns([], trace_index.NO_KIND, (index._closed.open_from, index._open_to))
    assert index.candidates_with("nowhere", AT - DAY, AT + DAY) == nowhere
    only = index.candidates_with("host-0", AT - DAY, AT + DAY)
    assert only is not None
    # Ten requests, and those that share a block with the last of them; it is in messages alone.
    assert (only.closed, only.kinds) == ([(0, 12)], (False, False, True))
    # Two names that stand beside each other have the pieces of a text across them, and still do not hold it.
    assert found(store, index, "rates\nfetch") == []
    assert index.candidates_with("fe", AT - DAY, AT + DAY) is None  # too short to be told from anything
    assert index.candidates_with("nowhere", AT + DAY, AT + 2 * DAY) == nowhere


def test_blocks_of_an_earlier_version_are_looked_into_and_indexed_in_the_background(store: Store) -> None:
    fill(store)
    store.writer.run(lambda connection: connection.execute("delete from trace_texts")).result(10)
    old = TraceIndex(store.database.cursor())
    assert len(old.unread()) == 10
    for text in ("host-2", "nowhere"):
        assert found(store, old, text) == expected(store, text)
    store.writer.traces._closed = old._closed
    clean_up(store.database, store.writer, Keep(), RetentionStats(), AT)
    assert store.writer.traces.unread() == []
    assert TraceIndex(store.database.cursor()).unread() == []
    assert found(store, store.writer.traces, "host-2") == expected(store, "host-2")
    places = store.writer.traces.candidates_with("nowhere", AT - DAY, AT + DAY)
    assert places is not None
    assert places.closed == []


def test_what_is_let_go_is_forgotten(store: Store) -> None:
    fill(store)
    message = trace_service_pb2.ExportTraceServiceRequest()
    span(message, at=AT + timedelta(hours=2))
    store.send(Signal.TRACES, message, AT + timedelta(hours=2))
    clean_up(store.database, store.writer, Keep(raw=timedelta(minutes=1)), RetentionStats(), AT + timedelta(hours=2))
    left = store.database.cursor().execute(
        "select (select count(*) from trace_texts), (select count(*) from trace_blocks)"
    )
    assert left.fetchall() == [(0, 0)]


def test_a_block_with_very_long_texts_is_always_looked_into(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_index, "MAX_TEXT_BYTES", 20)
    fill(store)
    assert store.writer.traces.unread() == []
    assert store.writer.traces.candidates_with("nowhere", AT - DAY, AT + DAY) is None
    assert found(store, store.writer.traces, "host-2") == expected(store, "host-2")


@given(st.lists(st.text(max_size=40), max_size=20), st.data())
def test_every_part_of_a_text_is_in_its_filter(texts: list[str], data: st.DataObject) -> None:
    pieces = trigrams.unpack(trigrams.pack(trigrams.block_filter(["", "\n".join(texts), None])))
    for text in texts:
        first = data.draw(st.integers(0, len(text)))
        part = text[first : data.draw(st.integers(first, len(text)))]
        _, error_types, messages = trigrams.may_hold(pieces, trigrams.pieces_of(part))
        assert error_types
        assert messages  # of which nothing is known


def test_long_texts_are_taken_in_strides(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f"{number:x}" for number in range(2_000))
    whole = trigrams.block_filter([text, "abc", ""])
    monkeypatch.setattr(trigrams, "STRIDE", 7)
    assert trigrams.pack(trigrams.block_filter([text, "abc", ""])) == trigrams.pack(whole)
    assert trigrams.may_hold(whole, trigrams.pieces_of("xyzzy")) == (False,) * 3
    assert trigrams.may_hold(whole, trigrams.pieces_of("abc")) == ("abc" in text, True, False)


def test_few_pieces_and_many_are_told_apart_the_same_way() -> None:
    chance = random.Random(1)
    texts = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz 0123456789", k=length)) for length in (3_000, 40_000)]
    few, many, _ = pieces = trigrams.block_filter([*texts, None])
    assert (few.dtype, many.dtype) == ("uint16", "uint8")
    assert trigrams.memory_bytes(pieces) < 3 * trigrams.BITS // 8
    for _ in range(300):
        part = trigrams.pieces_of(
            "".join(chance.choices("abcdefghijklmnopqrstuvwxyz 0123456789", k=chance.randint(3, 5)))
        )
        dense = (*(trigrams._spread(kind) for kind in pieces),)
        assert trigrams.may_hold(pieces, part) == trigrams.may_hold(dense, part)
    restored = trigrams.unpack(trigrams.pack(pieces))
    assert [part.tolist() for part in restored] == [part.tolist() for part in pieces]
