"""A commit that fails and is complete all the same."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden_collector.receive.decode.requests import Signal
from plugwarden_collector.store.duckdb.traces.search import find_trace
from plugwarden_collector.store.duckdb.write.commit import Committer

from tests.collector.support.rolled_store import Store, span


def test_a_commit_that_fails_and_is_complete_is_counted_and_found(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert, failed = Committer._insert, []

    def fail_once(self: Committer, staging: str, *rest: Any) -> None:
        insert(self, staging, *rest)
        if staging == "incoming_requests" and not failed:
            failed.append(True)
            self._connection.execute("commit")
            raise duckdb.IOException("the log could not be written")

    monkeypatch.setattr(Committer, "_insert", fail_once)
    message = trace_service_pb2.ExportTraceServiceRequest()
    made = span(message)
    store.send(Signal.TRACES, message)
    store.roll()
    assert failed
    assert store.calls() == {("search", "run", "success"): 1}
    spans = find_trace(store.database, store.writer.traces, int.from_bytes(made.trace_id, "big")).spans
    assert len(spans) == 1
