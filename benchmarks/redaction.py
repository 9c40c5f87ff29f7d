"""What looking for secrets costs: texts made to be slow, ordinary ones, and requests at the collector's door.

The first table takes an adversary for each rule at n, 2n and 4n characters: time in proportion is 1, 2, 4. The last decodes the same
requests with and without, taking turns. Medians (of the first table the least of several), and ratios of them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from load.machine import load_average
from load.span_requests import SPANS, make_requests
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from plugwarden.redaction import redact
from plugwarden_collector.receive.decode import redacted
from plugwarden_collector.receive.decode.batch import Signal
from plugwarden_collector.receive.decode.redacted import enabled
from plugwarden_collector.receive.decode.requests import read

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' tables are the benchmark's

from tests.sidecar.support.redaction_table import PERSONAL, SECRETS, adversaries

CHARACTERS = 8_000
"""Of the longest text that a sidecar sends (pipeline/logs.py)."""
STACK = "Traceback (most recent call last):\n" + "".join(
    f'  File "app/part{place}.py", line {place * 7}, in handle_{place}\n    return self.inner.call(row, index={place})\n'
    for place in range(15)
)
ORDINARY = {
    "a message": "ValueError: bad row 17 in /srv/in/2026-11-26/part-00017.csv: expected 12 columns, got 11",
    "a stack trace": f"{STACK}ValueError: bad row 17 in part-00017.csv",
    "a log line": "2026-11-26 11:27:12 uploaded 17 rows of table orders to the bucket in 0.23 s",
    "a password in a URL": "could not reach postgres://app:hunter2@db/x",
}


def least(look: Callable[[], Any], times: int) -> float:
    """Milliseconds."""
    found = []
    for _ in range(times):
        began = time.thread_time()
        look()
        found.append(time.thread_time() - began)
    return min(found) * 1e3


def slowest(times: int) -> list[tuple[str, float, float, float]]:
    """(adversary, milliseconds at n, 2n and 4n), the slowest at 4n first."""
    rows = []
    for seed in adversaries():
        texts = [(seed * (size // len(seed) + 1))[:size] for size in (CHARACTERS // 4, CHARACTERS // 2, CHARACTERS)]
        for text in texts:
            redact(text)
        each = [least(lambda text=text: redact(text), times) for text in texts]  # type: ignore[misc]
        rows.append((seed, each[0], each[1], each[2]))
    return sorted(rows, key=lambda row: -row[3])


def log_request(share_with_something: float, records: int = 2_000) -> bytes:
    """A request of log records, of which a share holds something to be masked."""
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    guilty = [text for _, text, _ in SECRETS + PERSONAL if len(text) < 300]
    innocent = [text for name, text in ORDINARY.items() if name != "a password in a URL"] + [
        "GET /api/v1/items/17 200 in 12 ms", "worker 3 took job 8f3a of queue exports", "cache miss for table orders, reading 17 parts",
    ]  # fmt: skip
    for place in range(records):
        record = scope.log_records.add(time_unix_nano=time.time_ns(), severity_number=9)
        some = place % 1000 < share_with_something * 1000
        texts = guilty if some else innocent
        record.body.string_value = f"{texts[place % len(texts)]} #{place}"
        for key, value in (
            ("code.function.name", "handle"),
            ("http.route", "/api/v1/items/{id}"),
            ("thread.id", str(place)),
        ):
            record.attributes.add(key=key).value.string_value = value
    return request.SerializeToString()


def decoding(rounds: int) -> dict[str, tuple[float, float]]:
    """Milliseconds without and with, by request."""
    spans, _ = make_requests(1, lambda place: ("load", f"plugin-{place // 20 % 10}", "1.0.0", f"op {place % 20}"))
    requests = {f"{SPANS} spans": (Signal.TRACES, bytes(spans[0].stamp(0, 0)))}
    requests |= {
        f"2000 log records, {share:.1%} with something": (Signal.LOGS, log_request(share)) for share in (0, 0.01, 0.5)
    }
    found: dict[str, tuple[float, float]] = {}
    for name, (signal, body) in requests.items():
        times: dict[str, list[float]] = {"0": [], "1": []}
        for _ in range(rounds):
            for switch, each in times.items():
                os.environ["PLUGWARDEN_REDACT"] = switch
                enabled.cache_clear()
                redacted._remember.cache_clear()  # as if all texts came for the first time
                began = time.perf_counter()
                read(signal, body)
                each.append((time.perf_counter() - began) * 1e3)
        found[name] = statistics.median(times["0"]), statistics.median(times["1"])
    return found


def main() -> None:
    """Print the tables; `--json` for programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    slow = slowest(max(3, options.rounds // 4))
    ordinary = {name: least(lambda text=text: redact(text), 200) for name, text in ORDINARY.items()}  # type: ignore[misc]
    door = decoding(options.rounds)
    if options.json:
        print(json.dumps({"slowest": slow, "ordinary_ms": ordinary, "door_ms": door, "load_average": load_average()}))
        return
    print(
        f"{len(slow)} adversaries, {CHARACTERS} characters; the ten slowest (ms, and as multiples of a quarter of the text)"
    )
    for seed, quarter, half, whole in slow[:10]:
        print(f"  {seed[:24]!r:<28}{whole:8.2f} ms   1 : {half / quarter:.1f} : {whole / quarter:.1f}")
    print("ordinary texts")
    for name, milliseconds in ordinary.items():
        print(f"  {name:<28}{milliseconds * 1e3:8.1f} µs for {len(ORDINARY[name])} characters")
    print("decoding a request, without and with")
    for name, (without, with_) in door.items():
        print(f"  {name:<40}{without:8.2f} ms{with_:8.2f} ms{with_ / without:7.2f}")
    print(f"\nload average {load_average():.1f}")


if __name__ == "__main__":
    main()
