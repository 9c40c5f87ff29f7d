"""What reading a worker's answer costs in a host: values only, beside unpickling, which runs what it is told.

The same answers are written and read both ways in one process, in turns, by the CPU time of the thread; the ratio is the
result. Beside it stands what a whole call of the process runner costs, which any of it comes on top of.
"""

from __future__ import annotations

import argparse
import datetime
import json
import pickle
import statistics
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

from plugwarden import Sidecar
from plugwarden.runners.child.encode import Encoder
from plugwarden.runners.child.wire import loads_untrusted

ROUNDS = 15
ANSWERS: dict[str, Any] = {
    "a number": 42,
    "a small dict": {"ok": True, "rows": 3, "name": "csv-export", "took": 0.25},
    "100,000 floats": [number * 0.5 for number in range(100_000)],
    "100,000 ints": list(range(100_000)),
    "100,000 texts": [f"name {number}" for number in range(100_000)],
    "10,000 rows of 5": [
        {"id": number, "name": f"row {number}", "price": number * 0.1, "tags": ["a", "b"], "gone": None}
        for number in range(10_000)
    ],
    "10,000 ids with times": {
        uuid.UUID(int=number): datetime.datetime(2026, 1, 1) + datetime.timedelta(seconds=number)
        for number in range(10_000)
    },
    "1 MiB of bytes": b"x" * (1 << 20),
}


def echo(name: str) -> Any:
    """A plugin: answers what it is asked for."""
    return ANSWERS[name]


def _seconds(work: Callable[[], object], times: int) -> float:
    began = time.thread_time()
    for _ in range(times):
        work()
    return (time.thread_time() - began) / times


def compare(value: Any) -> dict[str, float]:
    """Medians in µs: writing and reading, ours and pickle's."""
    encoder = Encoder()
    ours, theirs = encoder.encode(value), pickle.dumps(value, protocol=5)
    times = max(1, 20_000 // len(ours))
    found: dict[str, list[float]] = {"write": [], "write_pickle": [], "read": [], "read_pickle": []}
    for _ in range(ROUNDS):
        found["write"].append(_seconds(lambda: encoder.encode(value), times))
        found["write_pickle"].append(_seconds(lambda: pickle.dumps(value, protocol=5), times))
        found["read"].append(_seconds(lambda: loads_untrusted(ours), times))
        found["read_pickle"].append(_seconds(lambda: pickle.loads(theirs), times))
    return {name: statistics.median(seconds) * 1e6 for name, seconds in found.items()} | {
        "bytes": len(ours), "bytes_pickle": len(theirs),
    }  # fmt: skip


def call_microseconds() -> float:
    """The median of a whole call that answers a number, in µs of wall time."""
    sidecar = Sidecar(service="benchmark", export_interval_seconds=300)
    try:
        call = sidecar.wrap(echo, plugin="echo", version="1", runner="process", breaker=False)
        call("a number")
        found = []
        for _ in range(500):
            began = time.perf_counter()
            call("a number")
            found.append(time.perf_counter() - began)
        return statistics.median(found) * 1e6
    finally:
        sidecar.close(timeout=0)


def main() -> int:
    """Print a table; `--json` for programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {name: compare(value) for name, value in ANSWERS.items()}
    call = call_microseconds()
    if options.json:
        print(json.dumps({"call_microseconds": call, "answers": found}))
        return 0
    print(f"{'answer':24} {'read':>12} {'pickle':>12} {'ratio':>7} {'write':>12} {'pickle':>12} {'ratio':>7}")
    for name, row in found.items():
        read, write = row["read"] / row["read_pickle"], row["write"] / row["write_pickle"]
        print(
            f"{name:24} {row['read']:9,.1f} µs {row['read_pickle']:9,.1f} µs {read:7.1f} "
            f"{row['write']:9,.1f} µs {row['write_pickle']:9,.1f} µs {write:7.1f}"
        )
    print(f"\na whole call that answers a number: {call:,.0f} µs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
