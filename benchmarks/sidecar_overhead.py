"""What a wrapped call costs the caller's thread, beside the OpenTelemetry SDK doing the same, in one run.

Medians over rounds that take turns, so that a noisy machine hits everyone alike. Nothing is sent over a network: the
sidecar's exporters and the SDK's span processor drop what they get.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from plugwarden import Sidecar
from plugwarden.pipeline import pipeline
from prometheus_client import CollectorRegistry, Counter, Histogram

CALLS, ROUNDS = 3_000, 15


class Nowhere:
    """Takes everything and keeps nothing."""

    def metrics(self, data: Any) -> bool:
        return True

    def spans(self, batch: Any) -> bool:
        return True

    def logs(self, batch: Any) -> bool:
        return True

    def shutdown(self) -> None:
        pass


def work() -> None:
    """The plugin: as little as a call can do, so that all that is measured is ours."""


def subjects() -> dict[str, Callable[[], None]]:
    """Name -> a call, instrumented in that way."""
    pipeline.Pipeline._get_exporters = lambda self: Nowhere()  # type: ignore[method-assign, assignment, return-value]
    sidecar = Sidecar(service="benchmark")
    tracer = TracerProvider().get_tracer("benchmark")
    meter = MeterProvider([InMemoryMetricReader()]).get_meter("benchmark")
    latency, calls = meter.create_histogram("latency"), meter.create_counter("calls")
    labels = {"plugin.id": "p", "plugin.version": "1", "plugin.operation": "x"}

    def with_sdk() -> None:
        started = time.perf_counter()
        with tracer.start_as_current_span("p x", attributes=labels):
            work()
        latency.record(time.perf_counter() - started, labels)
        calls.add(1, labels)

    registry = CollectorRegistry()
    histogram = Histogram("latency", "…", ["plugin", "version", "operation"], registry=registry)
    counter = Counter("calls", "…", ["plugin", "version", "operation"], registry=registry)

    def with_prometheus() -> None:
        started = time.perf_counter()
        work()
        histogram.labels("p", "1", "x").observe(time.perf_counter() - started)
        counter.labels("p", "1", "x").inc()

    return {
        "bare": work,
        "prometheus-client: histogram + counter": with_prometheus,
        "OpenTelemetry SDK: span + histogram + counter": with_sdk,
        "sidecar, without breaker": sidecar.wrap(work, plugin="p", version="1", operation="x", breaker=False),
        "sidecar, with breaker": sidecar.wrap(work, plugin="p", version="1", operation="y"),
    }


def main() -> None:
    """Print the table; `--json` for programs."""
    found = subjects()
    times: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(ROUNDS):
        for name, call in found.items():
            started = time.thread_time_ns()
            for _ in range(CALLS):
                call()
            times[name].append((time.thread_time_ns() - started) / CALLS / 1000)
            time.sleep(0.05)  # the background threads' work is not the caller's
    bare = statistics.median(times["bare"])
    medians = {name: statistics.median(values) - (0 if name == "bare" else bare) for name, values in times.items()}
    sdk = medians["OpenTelemetry SDK: span + histogram + counter"]
    if "--json" in sys.argv:
        print(json.dumps({name: {"us_per_call": value, "of_sdk": value / sdk} for name, value in medians.items()}))
        return
    print(f"CPU on the caller's thread per call, median of {ROUNDS} rounds of {CALLS} calls, the bare call taken off\n")
    for name, value in medians.items():
        print(f"{name:<48}{value:8.2f} µs{'' if name == 'bare' else f'   {value / sdk:5.2f} of the SDK'}")


if __name__ == "__main__":
    main()
