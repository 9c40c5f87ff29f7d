"""One request of spans, as a client sends it."""

from __future__ import annotations

import os
import time

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

PROTOBUF = {"content-type": "application/x-protobuf"}


def request(spans: int = 1, **attributes: str) -> trace_service_pb2.ExportTraceServiceRequest:
    message = trace_service_pb2.ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    for number in range(spans):
        span = scope.spans.add(trace_id=os.urandom(16), span_id=os.urandom(8), name=f"span {number}")
        span.start_time_unix_nano = time.time_ns()
        span.end_time_unix_nano = span.start_time_unix_nano + 1_000_000
        for key, value in attributes.items():
            span.attributes.add(key=key).value.string_value = value
    return message
