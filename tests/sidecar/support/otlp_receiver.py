"""An OTLP receiver over HTTP that counts calls as a collector does: a request with the same bytes counts once."""

from __future__ import annotations

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

__all__ = ["Receiver"]


class Receiver:
    """Listens on a free port of loopback from when it is made until `close`."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        """Calls of each point."""
        self.by_outcome: Counter[str] = Counter()
        self.by_operation: Counter[tuple[str, str]] = Counter()
        """Calls of each plugin's operations."""
        self.instances: Counter[str] = Counter()
        self.repeats = 0
        """Requests that came again."""
        self.status = 200
        """What it answers; nothing is counted but at 200."""
        seen: set[bytes] = set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path == "/v1/metrics" and receiver.status == 200:
                    receiver.repeats += body in seen
                    if body not in seen:
                        seen.add(body)
                        receiver.count(ExportMetricsServiceRequest.FromString(body))
                self.send_response(receiver.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def count(self, request: Any) -> None:
        """Count the calls of one request."""
        for resource in request.resource_metrics:
            names = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name != "plugin.invocation.duration":
                        continue
                    for point in metric.exponential_histogram.data_points:
                        assert point.count == sum(point.positive.bucket_counts)
                        labels = {pair.key: pair.value.string_value for pair in point.attributes}
                        self.counts.append(point.count)
                        self.by_outcome[labels["plugin.outcome"]] += point.count
                        self.by_operation[labels["plugin.id"], labels["plugin.operation"]] += point.count
                        self.instances[names["service.instance.id"]] += point.count

    def close(self) -> None:
        """Stop listening."""
        self.server.shutdown()
        self.server.server_close()
