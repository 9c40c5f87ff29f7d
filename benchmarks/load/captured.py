"""What a real sidecar sends in an interval: one is run, and its requests are caught on their way out."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden import Sidecar

from .stamped import Stamped

__all__ = ["INSTANCE", "Interval", "capture", "placeholder"]

INSTANCE = "sidecar-0000"
_REQUESTS: dict[str, Any] = {
    "metrics": metrics_service_pb2.ExportMetricsServiceRequest,
    "traces": trace_service_pb2.ExportTraceServiceRequest,
}


@dataclass(frozen=True, slots=True)
class Interval:
    """The requests of one interval."""

    requests: dict[str, Stamped]
    """Signal -> its request."""
    items: dict[str, int]
    """Signal -> points or spans."""
    ended_ns: int
    calls: int
    """As its metrics count them."""


def placeholder(number: int) -> str:
    """The name that a captured plugin goes by, as long as those it is renamed to."""
    return f"capture-{number:03d}"


def capture(plugins: int, calls: int) -> list[Interval]:
    """Two intervals of a sidecar with that many plugins, each called `calls` times an interval: the first tells every gauge,
    the second only what changed."""
    sink = _Sink()
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    sidecar = Sidecar(
        service="fleet", instance_id=INSTANCE, endpoint=f"http://127.0.0.1:{sink.server_port}", export_interval_seconds=300.0
    )  # fmt: skip
    try:
        work = [
            sidecar.wrap(time.sleep, plugin=placeholder(number), version="1.0.0", operation="export", bulkhead=25)
            for number in range(plugins)
        ]
        random = np.random.default_rng(2)
        found = []
        for _ in range(2):
            waits = np.exp(random.normal(np.log(0.005), 1.0, (plugins, calls)))
            # The plugins of a host run beside each other.
            with ThreadPoolExecutor(plugins) as threads:
                list(threads.map(lambda call, own: [call(wait) for wait in own], work, waits.tolist()))
            sink.bodies.clear()
            sidecar.flush(30)
            found.append(_interval(sink.bodies))
        return found
    finally:
        sidecar.close(5)
        sink.shutdown()
        sink.server_close()


class _Sink(http.server.ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Catch)
        self.bodies: dict[str, list[bytes]] = {}


class _Catch(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Sink

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.bodies.setdefault(self.path.rsplit("/", 1)[1], []).append(body)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _interval(bodies: dict[str, list[bytes]]) -> Interval:
    requests, items, ended, calls = {}, {}, 0, 0
    for signal, kind in _REQUESTS.items():
        # Messages of one type, one after the other, are one message: their repeated fields are joined.
        body = b"".join(bodies.get(signal, ()))
        message = kind.FromString(body)
        times = {value for name, value in _fields(message) if name.endswith("time_unix_nano") and value}
        ids = {value for name, value in _fields(message) if name in {"trace_id", "span_id", "parent_span_id"} and value}
        requests[signal] = Stamped(body, times, ids)
        names = [name for name, _ in _fields(message)]
        items[signal] = names.count("span_id") if signal == "traces" else names.count("data_point")
        ended = max(ended, *times)
        for resource in message.resource_metrics if signal == "metrics" else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == "plugin.invocation.duration":
                        calls += sum(point.count for point in metric.exponential_histogram.data_points)
    return Interval(requests, items, ended, calls)


def _fields(message: Any) -> Iterator[tuple[str, Any]]:
    """Every field that is set, at any depth; a data point also by the name `data_point`."""
    for field, value in message.ListFields():
        if field.type != field.TYPE_MESSAGE:
            yield field.name, value
            continue
        for item in value if field.is_repeated else (value,):
            if field.name == "data_points":
                yield "data_point", None
            yield from _fields(item)
