"""Sidecars whose outlet is the process's edge: it keeps the OTLP bytes it is given, or fails when told to."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from plugwarden import Sidecar
from plugwarden.pipeline import outlet as outlet_module
from plugwarden.pipeline.outlet import OtlpOutlet, Verdict


class Outbox:
    """Stands where the OTLP exporters stand, and reads what it is given as any receiver would."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.tried: list[tuple[str, bytes]] = []
        self.works = True

    def outlet(self, settings: Any, resource: Any, count_drop: Any) -> OtlpOutlet:
        """For `make_outlet`: encodes for real, sends to here."""
        made = OtlpOutlet(settings, resource, count_drop)
        made.send = self.send  # type: ignore[method-assign]
        return made

    def send(self, signal: str, data: bytes) -> Verdict:
        self.tried.append((signal, data))
        if self.works:
            self.sent.append((signal, data))
        return Verdict.TAKEN if self.works else Verdict.RETRY

    @property
    def points(self) -> list[Any]:
        """All metric points: name, attributes, and the protobuf point."""
        requests = [ExportMetricsServiceRequest.FromString(data) for signal, data in self.sent if signal == "metrics"]
        return [
            SimpleNamespace(name=metric.name, attributes=values(point.attributes), point=point)
            for request in requests
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in getattr(metric, metric.WhichOneof("data")).data_points
        ]

    @property
    def spans_sent(self) -> list[Any]:
        requests = [ExportTraceServiceRequest.FromString(data) for signal, data in self.sent if signal == "spans"]
        return [
            SimpleNamespace(
                name=span.name,
                trace_id=span.trace_id.hex(),
                span_id=span.span_id.hex(),
                parent_id=span.parent_span_id.hex(),
                attributes=values(span.attributes),
                events=[SimpleNamespace(name=event.name, attributes=values(event.attributes)) for event in span.events],
                status=span.status,
                raw=span,
            )
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def logs_sent(self) -> list[Any]:
        requests = [ExportLogsServiceRequest.FromString(data) for signal, data in self.sent if signal == "logs"]
        return [
            SimpleNamespace(
                body=record.body.string_value, attributes=values(record.attributes), span_id=record.span_id.hex()
            )
            for request in requests
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def calls(self, **wanted: str) -> int:
        """Invocations exported whose attributes match, `plugin_outcome` for `plugin.outcome`."""
        return int(sum(found.point.count for found in self.named("plugin.invocation.duration", **wanted)))

    def named(self, name: str, **wanted: str) -> list[Any]:
        """Metric points by name and attributes."""
        keys = {key.replace("_", "."): value for key, value in wanted.items()}
        return [
            found
            for found in self.points
            if found.name == name and all(found.attributes.get(key) == value for key, value in keys.items())
        ]


def values(pairs: Any) -> dict[str, Any]:
    return {pair.key: value(pair.value) for pair in pairs}


def value(any_value: Any) -> Any:
    kind = any_value.WhichOneof("value")
    if kind == "array_value":
        return [value(item) for item in any_value.array_value.values]
    return getattr(any_value, kind)


@pytest.fixture
def outbox(monkeypatch: pytest.MonkeyPatch) -> Outbox:
    box = Outbox()
    monkeypatch.setattr(outlet_module, "make_outlet", box.outlet)
    return box


@pytest.fixture
def sidecar(outbox: Outbox) -> Iterator[Sidecar]:
    made = Sidecar(service="test", trace_ratio=1.0, export_interval_seconds=0.2)
    yield made
    outbox.works = True
    made.close(timeout=5)
