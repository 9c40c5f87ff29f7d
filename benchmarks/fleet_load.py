"""A thousand sidecars of fifty plugins each, reporting every five seconds: what the collector takes, and how far it lags.

Their requests are those of a real sidecar, caught once and sent with other names, times and ids, spread over the interval on a
fixed schedule. Every call that a sidecar told of must be counted.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from load import fleet
from load.machine import cpu_seconds, load_average, quantile, resident_bytes
from plugwarden_collector.api.client import CollectorClient
from plugwarden_collector.command.processes import collector_process

MAX_LAG_P99_SECONDS = 1.0
LOOK_EVERY_SECONDS = 1.0


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One run."""
    free = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0"]
    with collector_process("--data", str(folder), *free) as (collector, ready):
        task = fleet.Fleet(
            ready["http"], options.seconds, options.sidecars, options.plugins, options.catalogue, options.calls
        )
        child = fleet.start(task)
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        with CollectorClient(f"http://{ready['api']}", timeout=60.0) as api:
            cpu, began, ticks = cpu_seconds(collector.pid), time.monotonic(), []
            child.stdin.write("go\n")
            child.stdin.flush()
            while time.monotonic() - began < options.seconds:
                time.sleep(LOOK_EVERY_SECONDS)
                ticks.append(api.get("status")["tick_seconds_last"])
            told = fleet.Report(**json.loads(child.stdout.readline()))
            used = cpu_seconds(collector.pid) - cpu
            child.wait()
            query = "select sum(calls)::bigint as calls, count(distinct plugin_id) as plugins from plugin_calls"
            stored = api.query(query).to_pylist()[0]
            status, resident = api.get("status"), resident_bytes(collector.pid)
    if stored["calls"] != told.calls:
        raise SystemExit(f"{told.calls} calls were told and acknowledged, {stored['calls']} are counted")
    return {
        "calls_told_and_counted": told.calls,
        "plugins": stored["plugins"],
        "requests": told.requests,
        "refused_requests": told.refused,
        "rows_per_second": (told.points + told.spans) / told.seconds,
        "calls_per_second": told.calls / told.seconds,
        "collector_cores": used / told.seconds,
        "generator_cores": told.cpu_seconds / told.seconds,
        "lag_p50_seconds": quantile(told.lags, 0.5),
        "lag_p99_seconds": quantile(told.lags, 0.99),
        "lag_max_seconds": max(told.lags),
        "lag_p99_of_the_first_10_s_seconds": quantile(told.first_lags, 0.99),
        "tick_seconds_median": statistics.median(ticks),
        "tick_seconds_max": max(ticks),
        "tick_failures": status["tick_failures"],
        "resident_mb": resident / 1e6,
        "database_mb_per_minute": status["database_bytes"] / 1e6 / told.seconds * 60,
        "rows": status["rows"],
        "load_average": load_average(),
    }


def main() -> None:
    """Print what was found; `--json` for programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--sidecars", type=int, default=1_000)
    parser.add_argument("--plugins", type=int, default=50, help="of each sidecar")
    parser.add_argument("--catalogue", type=int, default=1_000, help="plugins there are")
    parser.add_argument("--calls", type=int, default=10, help="of each plugin of each sidecar in an interval of 5 s")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options, Path(folder))
    if options.json:
        print(json.dumps(found))
    else:
        print(
            f"{options.sidecars:,} sidecars with {options.plugins} plugins each of {options.catalogue:,}, every 5 s\n"
        )
        for name, value in found.items():
            shown = value if isinstance(value, dict) else f"{value:,.3f}" if isinstance(value, float) else f"{value:,}"
            print(f"{name.replace('_', ' '):<28}{shown}")
    if found["lag_p99_seconds"] > MAX_LAG_P99_SECONDS:
        raise SystemExit(f"the lag's 99th percentile is above {MAX_LAG_P99_SECONDS} s")


if __name__ == "__main__":
    main()
