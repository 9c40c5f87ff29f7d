"""How fast OTLP bytes become committed rows, beside what decoding alone takes, in one run.

Spans with seven attributes, 2,000 a request. The load generator shares the machine with the collector.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden_collector.api.client import CollectorClient
from plugwarden_collector.command.processes import collector_process
from plugwarden_collector.receive.decode import Signal, parse, read

SPANS, REQUESTS, SENDERS = 2_000, 60, 4


def body(seed: int) -> bytes:
    """One export request."""
    message = trace_service_pb2.ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    now = time.time_ns()
    for number in range(SPANS):
        span = scope.spans.add(trace_id=os.urandom(16), span_id=os.urandom(8), name=f"operation {number % 20}")
        span.start_time_unix_nano, span.end_time_unix_nano = now, now + number * 1000
        for key, value in (
            ("plugin.id", f"plugin-{seed % 10}"), ("plugin.version", "1.0.0"), ("plugin.operation", f"op {number % 20}"),
            ("plugin.outcome", "success"), ("tenant.id", f"tenant {number % 50}"), ("region", "eu"), ("n", str(number)),
        ):  # fmt: skip
            span.attributes.add(key=key).value.string_value = value
    return bytes(message.SerializeToString())


def rate(items: int, started: float) -> float:
    """Items per second since a moment."""
    return items / (time.perf_counter() - started)


def committed(bodies: list[bytes], folder: Path) -> tuple[float, float]:
    """Spans per second over HTTP until they are on disk, and bytes per span after a checkpoint."""
    free = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0"]
    with collector_process("--data", str(folder), *free) as (_, ready):
        todo = list(bodies)

        def send() -> None:
            with httpx2.Client(timeout=60, trust_env=False) as client:
                while todo:
                    try:
                        payload = todo.pop()
                    except IndexError:
                        return
                    headers = {"content-type": "application/x-protobuf"}
                    client.post(
                        f"http://{ready['http']}/v1/traces", content=payload, headers=headers
                    ).raise_for_status()

        started = time.perf_counter()
        threads = [threading.Thread(target=send) for _ in range(SENDERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        speed = rate(len(bodies) * SPANS, started)
        with CollectorClient(f"http://{ready['api']}") as api:
            stored = api.query("select count(*) as n from spans").to_pylist()[0]["n"]
        if stored != len(bodies) * SPANS:
            raise SystemExit(f"{stored} spans are stored, {len(bodies) * SPANS} were acknowledged")
    return speed, (folder / "plugwarden.duckdb").stat().st_size / (len(bodies) * SPANS)


def main() -> None:
    """Print the table; `--json` for programs."""
    bodies = [body(seed) for seed in range(REQUESTS)]
    started = time.perf_counter()
    for payload in bodies:
        trace_service_pb2.ExportTraceServiceRequest.FromString(payload)
    protobuf = rate(REQUESTS * SPANS, started)
    started = time.perf_counter()
    for payload in bodies:
        parse(Signal.TRACES, payload)
    bare = rate(REQUESTS * SPANS, started)
    started = time.perf_counter()
    for payload in bodies:
        read(Signal.TRACES, payload)
    flattened = rate(REQUESTS * SPANS, started)
    with tempfile.TemporaryDirectory() as folder:
        stored, size = committed(bodies, Path(folder))
    found = {
        "protobuf objects, parsed and not looked at": protobuf,
        "ptars: bytes to nested Arrow": bare,
        "bytes to flat columns": flattened,
        "over HTTP, committed to the file": stored,
    }
    if "--json" in sys.argv:
        print(json.dumps({"spans_per_second": found, "bytes_per_span": size}))
        return
    print(f"{REQUESTS} requests of {SPANS} spans with 7 attributes, {SENDERS} senders on the same machine\n")
    for name, value in found.items():
        print(f"{name:<48}{value:>12,.0f} spans/s   {value / bare:5.2f} of ptars alone")
    print(f"\n{size:.0f} bytes a span on disk")


if __name__ == "__main__":
    main()
