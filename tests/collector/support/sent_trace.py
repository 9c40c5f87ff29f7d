"""A trace as a client sends it: spans with what they claim, and log records, over OTLP."""

from __future__ import annotations

import os
import time
from typing import Any

import httpx2
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from tests.collector.conftest import Running

__all__ = ["SentTrace", "send_logs"]

PROTOBUF = {"content-type": "application/x-protobuf"}


class SentTrace:
    """A trace that began a minute ago; times are milliseconds since then."""

    def __init__(self, service: str = "host") -> None:
        self.id = os.urandom(16)
        self.message = trace_service_pb2.ExportTraceServiceRequest()
        group = self.message.resource_spans.add()
        group.resource.attributes.add(key="service.name").value.string_value = service
        self._scope = group.scope_spans.add()
        self.began_ns = time.time_ns() - 60 * 10**9

    def span(
        self, name: str, parent: bytes = b"", begin: float = 0.0, took: float = 1.0, error: str = "", **said: str
    ) -> bytes:
        """Add a span; return its id. `said`: attributes, with `_` for `.`"""
        made = self._scope.spans.add(trace_id=self.id, span_id=os.urandom(8), parent_span_id=parent, name=name, kind=1)
        made.start_time_unix_nano = self.began_ns + int(begin * 1e6)
        made.end_time_unix_nano = made.start_time_unix_nano + int(took * 1e6)
        for key, value in said.items():
            made.attributes.add(key=key.replace("_", ".")).value.string_value = value
        if error:
            made.status.code, made.status.message = 2, error
        return bytes(made.span_id)

    def send(self, collector: Running) -> str:
        """Send it; return its id."""
        body = self.message.SerializeToString()
        assert httpx2.post(f"{collector.http}/v1/traces", content=body, headers=PROTOBUF, timeout=60).status_code == 200
        return self.id.hex()


def send_logs(
    collector: Running, *bodies: str, at_ns: int | None = None, severity: int = 9, plugin: str = "", **ids: Any
) -> None:
    """Send log records, a millisecond apart; the last one is of now, or of `at_ns`."""
    message = logs_service_pb2.ExportLogsServiceRequest()
    scope = message.resource_logs.add().scope_logs.add()
    at = time.time_ns() if at_ns is None else at_ns
    for number, body in enumerate(bodies):
        record = scope.log_records.add(
            time_unix_nano=at - (len(bodies) - 1 - number) * 10**6, severity_number=severity, **ids
        )
        record.severity_text = {9: "INFO", 13: "WARN", 17: "ERROR"}[severity]
        record.body.string_value = body
        if plugin:
            record.attributes.add(key="plugin.id").value.string_value = plugin
    answer = httpx2.post(f"{collector.http}/v1/logs", content=message.SerializeToString(), headers=PROTOBUF, timeout=60)
    assert answer.status_code == 200
