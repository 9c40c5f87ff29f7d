"""Repeats of requests, beyond what memory holds of them."""

from __future__ import annotations

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden_collector.receive.decode.requests import Signal

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
