"""Trace export requests of one size: spans with seven attributes, as the collector's benchmarks send them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from .stamped import Stamped

__all__ = ["SPANS", "make_requests"]

SPANS = 2_000


def make_requests(count: int, plugin: Callable[[int], tuple[str, str, str, str]]) -> tuple[list[Stamped], int]:
    """`count` requests, and the moment (ns) they tell of. `plugin` answers (service, plugin, version, operation) of a span."""
    now = time.time_ns()
    return [_request(number, now, plugin) for number in range(count)], now


def _request(number: int, now: int, plugin: Callable[[int], tuple[str, str, str, str]]) -> Stamped:
    message = trace_service_pb2.ExportTraceServiceRequest()
    random = np.random.default_rng(number)
    seconds = np.exp(random.normal(np.log(0.008), 1.1, SPANS))
    times: list[int] = []
    ids: list[bytes] = []
    scopes: dict[str, trace_pb2.ScopeSpans] = {}
    trace = root = b""
    for place in range(SPANS):
        service, name, version, operation = plugin(number * SPANS + place)
        scope = scopes.get(service)
        if scope is None:
            of_service = message.resource_spans.add()
            for key, value in (("service.name", service), ("service.instance.id", f"{service}-a")):
                of_service.resource.attributes.add(key=key).value.string_value = value
            scope = scopes[service] = of_service.scope_spans.add()
        span_id = os.urandom(8)
        parent = root
        if place % 5 == 0:
            trace, root, parent = os.urandom(16), span_id, b""
        # A second's worth of spans, each with times of its own.
        started = now - (SPANS - place) * 500_000
        ended = started + int(seconds[place] * 1e9)
        failed = random.random() < 0.01
        span = scope.spans.add(
            trace_id=trace, span_id=span_id, parent_span_id=parent, name=f"{name} {operation}", kind=1,
            start_time_unix_nano=started, end_time_unix_nano=ended,
        )  # fmt: skip
        for key, value in (
            ("plugin.id", name), ("plugin.version", version), ("plugin.operation", operation),
            ("plugin.outcome", "error" if failed else "success"), ("tenant.id", f"tenant {place % 50}"), ("region", "eu"),
            ("n", str(place)),
        ):  # fmt: skip
            span.attributes.add(key=key).value.string_value = value
        if failed:
            span.status.code, span.status.message = 2, "order could not be read"
        times += (started, ended)
        ids += (trace, span_id)
    return Stamped(message.SerializeToString(), times, ids)
