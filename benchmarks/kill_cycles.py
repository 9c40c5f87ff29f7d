"""`kill -9` at random moments under load: is every acknowledged record there, exactly once, and how long does a start take?

A real collector process; senders of spans, logs and metrics over HTTP and gRPC that repeat the same bytes until they are
acknowledged, as OTLP clients do. Every record carries the name of its sender, its batch and its number, so that each one
is looked for by name. Some kills hit the collector while it starts.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx2
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden_collector.api.client import CollectorClient
from plugwarden_collector.command.processes import collector_command

RECORDS = 100
"""In one request."""
UP_SECONDS = (0.3, 3.0)
"""How long a collector lives, once it is ready, before it is killed."""
EARLY_RATIO = 0.15
"""Of the kills that come while it starts."""
SENDING = (
    ("traces", "http"),
    ("logs", "grpc"),
    ("metrics", "http"),
    ("traces", "grpc"),
    ("logs", "http"),
    ("metrics", "grpc"),
)
METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}
VIEWS = {"traces": "spans", "logs": "logs", "metrics": "metric_points"}


def message(signal: str, sender: int, batch: int) -> Any:
    """One export request; the same for the same sender and batch but for its times."""
    chance = random.Random(f"{sender}/{batch}")
    now = time.time_ns()
    if signal == "traces":
        traces = trace_service_pb2.ExportTraceServiceRequest()
        items = traces.resource_spans.add().scope_spans.add().spans
        for number in range(RECORDS):
            span = items.add(trace_id=chance.randbytes(16), span_id=chance.randbytes(8), name="step")
            span.start_time_unix_nano, span.end_time_unix_nano = now, now + number
            _name(span, sender, batch, number)
        return traces
    if signal == "logs":
        logs = logs_service_pb2.ExportLogsServiceRequest()
        records = logs.resource_logs.add().scope_logs.add().log_records
        for number in range(RECORDS):
            record = records.add(time_unix_nano=now)
            record.body.string_value = "a line"
            _name(record, sender, batch, number)
        return logs
    metrics = metrics_service_pb2.ExportMetricsServiceRequest()
    metric = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="plugin.invocation.duration", unit="s")
    metric.exponential_histogram.aggregation_temporality = 1
    for number in range(RECORDS):
        point = metric.exponential_histogram.data_points.add(count=1, sum=0.01, scale=4, time_unix_nano=now)
        point.positive.offset = -107
        point.positive.bucket_counts.append(1)
        point.attributes.add(key="plugin.id").value.string_value = f"p{sender}"
        _name(point, sender, batch, number)
    return metrics


def _name(item: Any, sender: int, batch: int, number: int) -> None:
    for key, value in (("sender", sender), ("batch", batch), ("number", number)):
        item.attributes.add(key=key).value.string_value = str(value)


@dataclass(slots=True)
class Address:
    """Where the collector is at the moment; None while there is none."""

    ready: dict[str, str] | None = None


@dataclass(slots=True)
class Sender:
    """Sends one batch after another, each until it is acknowledged."""

    number: int
    signal: str
    transport: str
    address: Address
    stop: threading.Event
    acknowledged: int = 0
    attempts: Counter[str] = field(default_factory=Counter)

    def run(self) -> None:
        """Until told to stop; the batch under way is still brought to its end."""
        while not self.stop.is_set():
            body = message(self.signal, self.number, self.acknowledged).SerializeToString()
            while True:
                outcome = self._attempt(body)
                self.attempts[outcome] += 1
                if outcome == "acknowledged":
                    break
                time.sleep(0.05)
            self.acknowledged += 1

    def _attempt(self, body: bytes) -> str:
        ready = self.address.ready
        if ready is None:
            return "nobody there"
        try:
            if self.transport == "http":
                headers = {"content-type": "application/x-protobuf"}
                answer = httpx2.post(
                    f"http://{ready['http']}/v1/{self.signal}", content=body, headers=headers, timeout=20
                )
                if answer.status_code in {502, 503, 504}:
                    return "busy"
                answer.raise_for_status()
            else:
                with grpc.insecure_channel(ready["grpc"]) as channel:
                    # Bytes as they are: a repeat must be the same to the last one.
                    send = channel.unary_unary(
                        METHODS[self.signal], request_serializer=None, response_deserializer=None
                    )
                    send(body, timeout=20)
        except (httpx2.TransportError, grpc.RpcError) as error:
            if isinstance(error, grpc.RpcError) and error.code() not in {
                grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED,
            }:  # fmt: skip
                raise
            return "cut off"
        return "acknowledged"


class Collector:
    """The process, started again and again on the same folder."""

    def __init__(self, data: Path, address: Address, errors: Any) -> None:
        free = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0"]
        self._command = collector_command("--data", str(data), *free)
        self._address = address
        self._errors = errors
        self._process: subprocess.Popen[str] | None = None
        self.start_cpu_seconds: list[float] = []

    def start(self, early_kill_seconds: float | None = None) -> float | None:
        """Seconds until it was ready; None when it was killed before."""
        began = time.perf_counter()
        process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=self._errors, text=True)
        self._process = process
        if early_kill_seconds is not None:
            time.sleep(early_kill_seconds)
            self.kill()
            return None
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"the collector did not start again: exit code {process.wait()}; see its messages above")
        self._address.ready = json.loads(line)
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        # User and system time: what a start costs, whoever else is on the machine.
        self.start_cpu_seconds.append((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
        return time.perf_counter() - began

    def kill(self) -> None:
        """`kill -9`."""
        self._address.ready = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None


def count(api: CollectorClient, senders: list[Sender]) -> dict[str, int]:
    """How many records are missing, there more than once, or were never sent."""
    found: Counter[str] = Counter()
    for view in set(VIEWS.values()):
        mine = [sender for sender in senders if VIEWS[sender.signal] == view]
        rows = api.query(
            "select attributes['sender']::int as sender, attributes['batch']::int as batch, count(*) as stored, "
            f"count(distinct attributes['number']) as different from {view} where attributes['sender'] is not null group by all",
            limit=100_000,
        ).to_pylist()
        stored = {(row["sender"], row["batch"]): row for row in rows}
        for sender in mine:
            for batch in range(sender.acknowledged):
                row = stored.pop((sender.number, batch), {"stored": 0, "different": 0})
                found["acknowledged"] += RECORDS
                found["missing"] += RECORDS - row["different"]
                found["more than once"] += row["stored"] - row["different"]
        found["never acknowledged"] += sum(row["stored"] for row in stored.values())
    calls = api.query("select coalesce(sum(calls), 0)::bigint as calls from plugin_calls").to_pylist()[0]["calls"]
    wanted = RECORDS * sum(sender.acknowledged for sender in senders if sender.signal == "metrics")
    found["calls wrongly counted"] = abs(int(calls) - wanted)
    return dict(found)


def run(cycles: int, seed: int, sender_count: int, data: Path, quiet: bool) -> dict[str, Any]:
    """The whole thing."""
    chance, address, stop = random.Random(seed), Address(), threading.Event()
    senders = [Sender(n, *SENDING[n % len(SENDING)], address, stop) for n in range(sender_count)]
    threads = [threading.Thread(target=sender.run, daemon=True) for sender in senders]
    starts: list[float] = []
    early, log_bytes = 0, 0
    log = data / "plugwarden.duckdb.wal"
    with contextlib.ExitStack() as stack:
        errors = stack.enter_context((data.parent / "messages").open("w+"))
        collector = Collector(data, address, errors)
        stack.callback(collector.kill)
        for thread in threads:
            thread.start()
        for cycle in range(cycles):
            if cycle and chance.random() < EARLY_RATIO:
                collector.start(chance.uniform(0, 1.5))
                early += 1
            else:
                starts.append(collector.start() or 0.0)
                time.sleep(chance.uniform(*UP_SECONDS))
                log_bytes = max(log_bytes, log.stat().st_size if log.exists() else 0)
                collector.kill()
            if not quiet:
                sent = sum(sender.acknowledged for sender in senders) * RECORDS
                sys.stderr.write(f"\rkill {cycle + 1} of {cycles}, {sent:,} records acknowledged ")
        starts.append(collector.start() or 0.0)
        stop.set()
        for thread in threads:
            thread.join(120)
        if any(thread.is_alive() for thread in threads):
            raise SystemExit("a sender never got its last batch acknowledged")
        assert address.ready is not None
        with CollectorClient(f"http://{address.ready['api']}", timeout=120) as api:
            found = count(api, senders)
            audit = api.get("audit/verify")["valid"]
            repeats = api.get("status")["duplicates"]
        errors.seek(0)
        messages = errors.read()
    attempts: Counter[str] = sum((sender.attempts for sender in senders), Counter())
    return {
        "cycles": cycles, "seed": seed, "senders": sender_count, "kills_while_starting": early, **found,
        "attempts_cut_off": attempts["cut off"], "attempts_busy": attempts["busy"], "repeats_recognised_last": repeats,
        "decision_log_whole": audit, "tracebacks": messages.count("Traceback"),
        "start_seconds_median": round(statistics.median(starts), 2), "start_seconds_max": round(max(starts), 2),
        "start_cpu_seconds_median": round(statistics.median(collector.start_cpu_seconds), 2),
        "start_cpu_seconds_max": round(max(collector.start_cpu_seconds), 2),
        "log_bytes_max": log_bytes,
    }  # fmt: skip


def main() -> int:
    """Print what was found; 1 when a record is missing or there twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--senders", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(options.cycles, options.seed, options.senders, Path(folder) / "data", options.json)
    if options.json:
        print(json.dumps(found))
    else:
        print()
        for name, value in found.items():
            print(
                f"{name.replace('_', ' '):<28}{value:>14,}"
                if not isinstance(value, bool)
                else f"{name:<28}{value!s:>14}"
            )
    wrong = ("missing", "more than once", "never acknowledged", "calls wrongly counted")
    return 0 if not any(found[name] for name in wrong) and found["decision_log_whole"] else 1


if __name__ == "__main__":
    sys.exit(main())
