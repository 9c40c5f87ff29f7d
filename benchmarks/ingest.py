"""How fast OTLP bytes become committed rows, beside what decoding alone takes of the same bytes in the same run.

Requests are encoded before: 2,000 spans with seven attributes each, sent again and again with other times and ids. A real
collector takes them, judging and rolling up; the load generator is a process of its own on the same machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from load import driver
from load.machine import cpu_seconds, load_average, quantile, resident_bytes
from load.span_requests import SPANS, make_requests
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden_collector.api.client import CollectorClient
from plugwarden_collector.command.processes import collector_process
from plugwarden_collector.receive.decode.requests import Signal, parse, read
from ptars import HandlerPool

_REQUEST = trace_service_pb2.ExportTraceServiceRequest.DESCRIPTOR
BARE = HandlerPool([_REQUEST.file]).get_for_message(_REQUEST)
"""OTLP's own messages, every field of them: what decoding takes that anybody gets from the library."""
QUARTERS = 4
SETTLE_SECONDS = 30.0


@dataclass(slots=True)
class Decoding:
    """Spans per second of ways to decode, each measured before and after the load."""

    bodies: list[bytes]
    found: dict[str, list[float]]

    def measure(self) -> None:
        """Each way once more."""
        ways: dict[str, Callable[[bytes], Any]] = {
            "protobuf objects, parsed and not looked at": trace_service_pb2.ExportTraceServiceRequest.FromString,
            "ptars: bytes to nested Arrow": lambda body: BARE.list_to_record_batch([body]),
            "the same without what is not stored": lambda body: parse(Signal.TRACES, body),
            "bytes to flat columns": lambda body: read(Signal.TRACES, body),
        }
        for name, decode in ways.items():
            for body in self.bodies:
                started = time.perf_counter()
                decode(body)
                self.found.setdefault(name, []).append(SPANS / (time.perf_counter() - started))

    def medians(self) -> dict[str, float]:
        """Per way."""
        return {name: statistics.median(rates) for name, rates in self.found.items()}


def committed(transport: str, seconds: float, in_flight: int, folder: Path) -> dict[str, Any]:
    """What one collector does over one transport."""
    free = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0"]
    with collector_process("--data", str(folder), *free) as (collector, ready):
        child = driver.start(driver.Task(transport, ready[transport], seconds, in_flight))
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        cpu, resident = cpu_seconds(collector.pid), []
        began = time.monotonic()
        child.stdin.write("go\n")
        child.stdin.flush()
        for quarter in range(1, QUARTERS + 1):
            time.sleep(max(0.0, began + seconds * quarter / QUARTERS - time.monotonic()))
            resident.append(resident_bytes(collector.pid))
        outcome = driver.Outcome(**json.loads(child.stdout.readline()))
        child.wait()
        used = cpu_seconds(collector.pid) - cpu
        with CollectorClient(f"http://{ready['api']}", timeout=SETTLE_SECONDS) as api:
            stored = api.query("select count(*) as n from spans").to_pylist()[0]["n"]
            counted = api.query("select sum(calls)::bigint as n from plugin_calls").to_pylist()[0]["n"]
            status = api.get("status")
    if stored != outcome.acknowledged or counted != outcome.acknowledged:
        raise SystemExit(
            f"{outcome.acknowledged} spans were acknowledged, {stored} are stored, {counted} counted as calls"
        )
    return {
        "spans_per_second": outcome.acknowledged / outcome.seconds,
        "spans": outcome.acknowledged,
        "refused_requests": outcome.refused,
        "collector_cores": used / outcome.seconds,
        "spans_per_collector_cpu_second": outcome.acknowledged / used,
        "generator_cores": outcome.cpu_seconds / outcome.seconds,
        "lag_p50_seconds": quantile(outcome.lags, 0.5),
        "lag_p99_seconds": quantile(outcome.lags, 0.99),
        "resident_mb_by_quarter": [round(size / 1e6) for size in resident],
        "tick_seconds_last": status["tick_seconds_last"],
        **_disk(folder / "plugwarden.duckdb", outcome.acknowledged),
    }


def _disk(file: Path, spans: int) -> dict[str, float]:
    """Bytes a span after the collector's last checkpoint, rollups and indexes included."""
    with duckdb.connect(str(file)) as connection:
        block, used = connection.execute("select block_size, used_blocks from pragma_database_size()").fetchall()[0]
    return {"bytes_per_span_file": file.stat().st_size / spans, "bytes_per_span_used": block * used / spans}


def main() -> None:
    """Print the table; `--json` for programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of load per transport (the claim is for 120)")
    parser.add_argument(
        "--in-flight", type=int, default=64, help="requests that wait for their acknowledgement at once"
    )
    parser.add_argument("--transport", choices=["http", "grpc"], action="append", help="one of them; default both")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    requests, _ = make_requests(8, lambda place: ("load", f"plugin-{place // 20 % 10}", "1.0.0", f"op {place % 20}"))
    decoding = Decoding([request.stamp(0, 0) for request in requests], {})
    runs: dict[str, dict[str, Any]] = {}
    for transport in options.transport or ["http", "grpc"]:
        decoding.measure()
        with tempfile.TemporaryDirectory() as folder:
            runs[transport] = committed(transport, options.seconds, options.in_flight, Path(folder))
        decoding.measure()
    decoded = decoding.medians()
    bare = decoded["ptars: bytes to nested Arrow"]
    if options.json:
        found = {"decoding": decoded, "load_average": load_average()}
        print(
            json.dumps(
                found | {name: run | {"ratio_to_ptars": run["spans_per_second"] / bare} for name, run in runs.items()}
            )
        )
        return
    print(
        f"{SPANS} spans a request with 7 attributes, {len(requests[0]) / SPANS:.0f} bytes a span, {options.in_flight} in flight\n"
    )
    for name, value in decoded.items():
        print(f"{name:<48}{value:>12,.0f} spans/s   {value / bare:5.2f} of ptars alone")
    for name, run in runs.items():
        speed = run["spans_per_second"]
        print(
            f"{f'over {name}, committed to the file':<48}{speed:>12,.0f} spans/s   {speed / bare:5.2f} of ptars alone"
        )
    for name, run in runs.items():
        print(
            f"\n{name}: {run['spans']:,} spans acknowledged, stored and counted, {run['refused_requests']} requests refused"
        )
        print(
            f"  lag p50 {run['lag_p50_seconds']:.3f} s, p99 {run['lag_p99_seconds']:.3f} s; last tick {run['tick_seconds_last']:.3f} s"
        )
        each, cores = run["spans_per_collector_cpu_second"], run["collector_cores"]
        print(
            f"  collector {cores:.2f} cores ({each:,.0f} spans a core and second), generator {run['generator_cores']:.2f}"
        )
        print(f"  resident MB by quarter: {', '.join(map(str, run['resident_mb_by_quarter']))}")
        print(f"  {run['bytes_per_span_used']:.1f} bytes a span in use, {run['bytes_per_span_file']:.1f} in the file")
    print(f"\nload average {load_average():.1f}")


if __name__ == "__main__":
    main()
