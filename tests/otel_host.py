"""A host for `make otel-matrix`: 100 calls over each way that telemetry can leave, counted by who receives them."""

from __future__ import annotations

import http.server
import json
import threading
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from plugwarden import Sidecar

CALLS = 100
counted: list[int] = []


class Handler(http.server.BaseHTTPRequestHandler):
    """Counts invocations, in protobuf or JSON."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path.endswith("/metrics") and self.headers["content-type"] == "application/json":
            told = json.loads(body)
            for scope in told["resourceMetrics"][0]["scopeMetrics"]:
                for metric in scope["metrics"]:
                    if metric["name"] == "plugin.invocation.duration":
                        counted.extend(int(p["count"]) for p in metric["exponentialHistogram"]["dataPoints"])
        elif self.path.endswith("/metrics"):
            for scope in ExportMetricsServiceRequest.FromString(body).resource_metrics[0].scope_metrics:
                for metric in scope.metrics:
                    if metric.name == "plugin.invocation.duration":
                        counted.extend(p.count for p in metric.exponential_histogram.data_points)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Metrics(MetricExporter):
    """The SDK's objects, counted."""

    def export(self, metrics_data: Any, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        for scope in metrics_data.resource_metrics[0].scope_metrics:
            for metric in scope.metrics:
                if metric.name == "plugin.invocation.duration":
                    counted.extend(point.count for point in metric.data.data_points)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        pass


def made(**settings: Any) -> None:
    """100 calls, and as many counted."""
    counted.clear()
    sidecar = Sidecar(service="x", trace_ratio=1.0, **settings)
    call = sidecar.wrap(lambda: 1, plugin="p", version="1", operation="x")
    for _ in range(CALLS):
        call()
    assert sidecar.close(10), settings
    assert sum(counted) == CALLS, (settings, counted)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
for protocol in ("http/protobuf", "http/json"):
    made(endpoint=f"http://127.0.0.1:{server.server_port}", protocol=protocol)
spans = InMemorySpanExporter()
made(span_exporter=spans, metric_exporter=Metrics())
assert len(spans.get_finished_spans()) == CALLS
