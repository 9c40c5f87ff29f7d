"""Repeats of requests, beyond what memory holds of them."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden_collector.clock import utc_now
from plugwarden_collector.durations import duration
from plugwarden_collector.receive.decode.requests import Signal
from plugwarden_collector.store.duckdb.write.repeats import KNOWN_SECONDS, RecentRequests

from tests.collector.support.rolled_store import Store, span


def test_a_repeat_that_memory_has_forgotten_is_refused_by_the_database(store: Store) -> None:
    message = trace_service_pb2.ExportTraceServiceRequest()
    span(message)
    store.send(Signal.TRACES, message)
    store.writer._recent._older.clear()
    store.writer._recent._newer.clear()
    store.sent -= 1
    store.send(Signal.TRACES, message)
    store.roll()
    assert store.calls() == {("search", "run", "success"): 1}


def test_the_reference_says_how_long_a_repeat_counts_once() -> None:
    text = (Path(__file__).parents[4] / "docs/reference/otlp.md").read_text("utf-8")
    (said,) = re.findall(r"Send the same bytes\s+again and they are counted once, for (.+?)\.\s", text)
    assert said == duration(KNOWN_SECONDS)


def test_the_database_knows_a_request_for_as_long_as_the_reference_says(store: Store) -> None:
    message = trace_service_pb2.ExportTraceServiceRequest()
    span(message)
    store.send(Signal.TRACES, message)

    def known_after(seconds: float) -> bool:
        recent = RecentRequests(lambda: utc_now() + timedelta(seconds=seconds))
        return bool(store.writer.run_outside_transaction(recent.read).result(10))

    assert known_after(KNOWN_SECONDS - 60)
    assert not known_after(KNOWN_SECONDS + 60)
