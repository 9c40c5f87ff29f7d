"""How long a person's act takes, from the request to its answer, alone and beside senders of the largest requests that are taken: few
kilobytes each, a million buckets of durations. The bar: a second.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
import threading
import time

import httpx2
from load.acts import acts, print_acts
from load.machine import load_average, quantile
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from plugwarden_collector.command.processes import collector_process

BAR_SECONDS = 1.0
FREE = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0"]
POINTS, BUCKETS = 16, 65_535
"""Of a request: just below what receive/decode/numbers.py takes of one, in points as long as it takes them."""


def request(number: int) -> bytes:
    """Compressed; no two alike, so that none passes for a repeat."""
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    resource = message.resource_metrics.add()
    for key, value in (("service.name", "s"), ("service.instance.id", f"i{number % 4}")):
        resource.resource.attributes.add(key=key).value.string_value = value
    metric = resource.scope_metrics.add().metrics.add(name="plugin.invocation.duration", unit="s")
    metric.exponential_histogram.aggregation_temporality = 1
    now = time.time_ns()
    for point in range(POINTS):
        row = metric.exponential_histogram.data_points.add(start_time_unix_nano=now - 10**9, time_unix_nano=now)
        for key, value in (("plugin.id", f"p{point}"), ("plugin.version", "1"), ("plugin.outcome", "success")):
            row.attributes.add(key=key).value.string_value = value
        row.scale, row.positive.offset = 5, -34_000
        row.positive.bucket_counts.extend([1] * BUCKETS)
        row.count, row.sum = BUCKETS, 1.0 + number
    return gzip.compress(message.SerializeToString())


def send(url: str, numbers: list[int], stop: threading.Event, answered: list[int]) -> None:
    """One sender, until it is told to stop."""
    headers = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}
    with httpx2.Client(base_url=url, timeout=120) as http:
        while not stop.is_set():
            body = request(numbers.pop())
            answer = http.post("/v1/metrics", content=body, headers=headers)
            answered.append(answer.status_code)
            if "retry-after" in answer.headers:
                stop.wait(float(answer.headers["retry-after"]))


def main() -> None:
    """Send, act, tell; 1 when the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--senders", type=int, default=12)
    parser.add_argument("--times", type=int, default=20)
    options = parser.parse_args()
    print(f"a request: {len(request(0))} bytes, {POINTS * BUCKETS} buckets")
    with tempfile.TemporaryDirectory() as folder:
        state = {"XDG_STATE_HOME": f"{folder}/state"}
        with (
            collector_process("--data", f"{folder}/data", *FREE, **state) as (_, ready),
            httpx2.Client(base_url=f"http://{ready['api']}", timeout=120) as http,
        ):
            time.sleep(2)
            took = {"alone": acts(http, options.times)}
            stop, answered, numbers = threading.Event(), list[int](), list(range(1, 1_000_000))
            senders = [
                threading.Thread(target=send, args=(f"http://{ready['http']}", numbers, stop, answered), daemon=True)
                for _ in range(options.senders)
            ]
            for sender in senders:
                sender.start()
            time.sleep(5)
            took[f"beside {options.senders} senders"] = acts(http, options.times)
            stop.set()
            for sender in senders:
                sender.join(60)
    print_acts(took)
    codes = ", ".join(f"{answered.count(code)} x {code}" for code in sorted(set(answered)))
    print(f"answers to senders: {codes}; load average {load_average():.1f}")
    if quantile(took[f"beside {options.senders} senders"], 0.95) > BAR_SECONDS:
        raise SystemExit("acts took longer than they may")


if __name__ == "__main__":
    main()
