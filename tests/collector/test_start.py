"""A start: data are taken before memory has caught up with the store, and whatever is asked meanwhile is answered right."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pyarrow as pa
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden_collector import app
from plugwarden_collector.control.live import Warden
from plugwarden_collector.errors import StoreError
from plugwarden_collector.store import Writer
from plugwarden_collector.store.duckdb.traces import index as trace_index
from plugwarden_collector.store.duckdb.traces.index import TraceIndex
from plugwarden_collector.store.duckdb.traces.search import TraceFilter, find_trace, search_traces

from tests.collector.store.traces.test_search import fill
from tests.collector.support.rolled_store import AT, Store, span
from tests.collector.support.waiting import eventually

from .conftest import Running, running

HEADERS = {"content-type": "application/x-protobuf"}


def request(name: str = "run") -> tuple[bytes, str]:
    """One span, and the id of its trace."""
    message = trace_service_pb2.ExportTraceServiceRequest()
    made = span(message, name=name)
    return message.SerializeToString(), made.trace_id.hex()


def send(collector: Running, body: bytes) -> int:
    return httpx2.post(f"{collector.http}/v1/traces", content=body, headers=HEADERS, timeout=20).status_code


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Memory does not catch up with the store before this is set."""
    let = threading.Event()
    warm = Writer.warm

    def later(self: Writer) -> None:
        assert let.wait(60)
        warm(self)

    monkeypatch.setattr(Writer, "warm", later)
    yield let
    let.set()


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_index, "BLOCK_SPANS", 1)


def test_before_memory_has_caught_up_data_are_taken_once_and_found(
    tmp_path: Path, small_blocks: None, held: threading.Event
) -> None:
    stored = [request(f"stored {number}") for number in range(4)]
    held.set()
    with running(tmp_path / "data", judging=False) as before:
        eventually(lambda: before.collector.writer.warmed)
        assert [send(before, body) for body, _ in stored] == [200] * 4
    held.clear()
    fresh = request("fresh")
    with running(tmp_path / "data", judging=False) as after:
        writer = after.collector.writer
        listed = after.api.get("traces", text="stored", since="2000-01-01T00:00:00Z")
        assert sorted(row["trace_id"] for row in listed) == sorted(trace for _, trace in stored)
        assert send(after, fresh[0]) == 200
        assert [send(after, body) for body, _ in (*stored, fresh)] == [200] * 5, "all of them are repeats"
        for _ in range(2):
            for _, trace in (*stored, fresh):
                assert len(after.api.get(f"traces/{trace}")["spans"]) == 1
            assert writer.stats.duplicates == 5
            assert writer.stats.requests == 1
            assert after.scalar("select count(*) from spans") == 5
            assert after.api.get("status")["warmed"] is writer.traces.known is held.is_set()
            held.set()
            eventually(lambda: writer.warmed)


def test_who_sends_is_answered_before_the_api_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    let, load = threading.Event(), importlib.import_module

    def later(name: str) -> Any:
        assert name != "plugwarden_collector.api.app" or let.wait(60)
        return load(name)

    monkeypatch.setattr(importlib, "import_module", later)
    with ThreadPoolExecutor(1) as asking:
        try:
            with running(tmp_path / "data", judging=False) as collector:
                answer = asking.submit(collector.api.get, "status")
                assert send(collector, request()[0]) == 200
                assert not answer.done()
                assert not collector.collector.warden.stats.ticks, "judging begins after that"
                let.set()
                assert answer.result(60)["commits"] >= 1
                eventually(lambda: collector.collector.warden.stats.ticks)
        finally:
            let.set()


def test_a_collector_that_stops_before_its_api_is_loaded_just_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "LOAD_SECONDS", 3600.0)
    with running(tmp_path / "data", judging=False) as collector:
        assert send(collector, request()[0]) == 200


def test_it_is_ready_to_take_data_before_it_has_judged_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let, tick = threading.Event(), Warden.tick

    def later(self: Warden) -> Any:
        assert let.wait(60)
        return tick(self)

    monkeypatch.setattr(Warden, "tick", later)
    try:
        with running(tmp_path / "data", judging=False) as collector:
            answer = httpx2.get(f"{collector.url}/readyz", timeout=20)
            assert (answer.status_code, answer.text[:17]) == (200, "ok: data are take")
            assert collector.api.get("status")["judging"] is False
            let.set()
            eventually(lambda: httpx2.get(f"{collector.url}/readyz", timeout=20).text == "ok")
            assert collector.api.get("status")["judging"] is True
    finally:
        let.set()


def test_what_memory_could_not_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []
    warm = Writer.warm

    def fails_twice(self: Writer) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise StoreError("no memory")
        warm(self)

    monkeypatch.setattr(Writer, "warm", fails_twice)
    monkeypatch.setattr(app, "RETRY_SECONDS", 0.0)
    with running(tmp_path / "data", judging=False) as collector:
        assert send(collector, request()[0]) == 200
        eventually(lambda: collector.collector.writer.warmed)
        assert len(tries) == 3


def test_an_index_that_knows_nothing_finds_everything_and_takes_up_what_came_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_index, "BLOCK_SPANS", 50)
    store = Store(tmp_path)
    try:
        stored = fill(store, 8)
        found = trace_index.read_blocks(store.database.cursor())
        index = TraceIndex()
        index.reach(store.writer.batch)
        newer = fill(store, 2)  # the store's own index closes a block meanwhile: the other one has it in its open block
        index.add(store.writer.batch, pa.array([], pa.uint64()), pa.array([], pa.uint64()))
        for step in range(2):
            for trace, _ in (*stored, *newer):
                assert len(find_trace(store.database, index, trace).spans) == 2
            every = search_traces(store.database, index, TraceFilter(text="child"), AT.replace(year=2000), AT, 100)
            assert {row.trace_id for row in every} == {f"{trace:032x}" for trace, _ in (*stored, *newer)}
            assert index.known is bool(step)
            assert not index.full or step
            if not step:
                index.take(found, store.database.cursor())
        assert len(index.candidates(1, 1)) < 3
    finally:
        store.close()


def test_a_reader_process_loads_no_pandas() -> None:
    script = (
        "import sys\n"
        "from plugwarden_collector import reader\n"
        "sys.argv[1:] = ['999999']\n"  # no descriptor: it has loaded all by then
        "try:\n    reader.main()\nexcept OSError:\n    pass\n"
        "print('pyarrow' in sys.modules, 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "True False\n", done.stderr
