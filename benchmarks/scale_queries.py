"""How long people wait for pages at 50 million spans and 30 days of rollups of 1,000 plugins, while 20,000 spans/s arrive.

The store is built once, in a folder that is used again (a quarter of an hour and 5 GB; `--spans` and `--days` make it smaller).
Then a real collector serves it: every page is asked for at least a hundred times over the HTTP API.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import duckdb
from load import driver
from load.big_store import TRACE, Shape, name_of, prepare
from load.machine import cpu_seconds, load_average, quantile, resident_bytes
from load.span_requests import SPANS
from plugwarden_collector.clock import utc_now
from plugwarden_collector.command.processes import collector_process
from plugwarden_collector.store import Database
from plugwarden_collector.store.duckdb.calls.hour_cache import ClosedHours
from plugwarden_collector.store.duckdb.calls.kind import FAILURES, Kind

MONTH = 30 * 86_400.0
TARGETS_MS = {"fleet": 200.0, "plugin": 500.0, "trace": 50.0, "search": 500.0, "budget": 300.0}
"""95th percentiles, by the first word of what is measured."""
SEARCHES: dict[str, dict[str, Any]] = {
    "common plugin": {"plugin": name_of(1)},
    "rare plugin": {"plugin": name_of(990)},
    "outcome": {"outcome": "error"},
    "slow": {"min_seconds": 2},
    "common text": {"text": "export"},
    "rare text": {"text": "no space left"},
    "text nobody wrote": {"text": "xyzzy"},
}


class Browser:
    """Asks the collector like a page does."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._threads = ThreadPoolExecutor(4)
        self.seen = 0
        """Bytes of the last answers."""

    def get(self, path: str, expected: int = 200, **parameters: Any) -> bytes:
        """The body of an answer."""
        connection = http.client.HTTPConnection(self._address, timeout=60.0)
        try:
            connection.request("GET", f"/api/v1/{path}?{urlencode(parameters)}")
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != expected:
            raise SystemExit(f"{path} {parameters}: {answer.status} {body[:300]!r}")
        return body

    def together(self, *paths: str, **parameters: Any) -> None:
        """Several at once."""
        list(self._threads.map(lambda path: self.get(path, **parameters), paths))


def questions(browser: Browser, shape: Shape, fresh: list[str]) -> dict[str, Callable[[], Any]]:
    """What is asked, by what it is called."""
    chance = random.Random(1)
    stored = iter(_stored_ids(shape, chance))

    def plugin() -> str:
        return name_of(min(shape.plugins, int((shape.plugins + 1) ** chance.random())))

    asked: dict[str, Callable[[], Any]] = {
        "fleet overview, 15 min": lambda: (browser.get("plugins"), browser.get("series")),
        "fleet overview, 24 h": lambda: (browser.get("plugins", since="24h"), browser.get("series", since="24h")),
        "plugin page, 15 min": lambda: (lambda name: browser.together(f"plugins/{name}", f"plugins/{name}/series"))(
            plugin()
        ),
        "plugin page, 24 h": lambda: (
            lambda name: browser.together(f"plugins/{name}", f"plugins/{name}/series", since="24h")
        )(plugin()),
        "trace by id, of the day": lambda: browser.get(f"traces/{next(stored)}"),
        "trace by id, just come in": lambda: browser.get(f"traces/{chance.choice(fresh)}"),
        "trace by id, not there": lambda: browser.get(f"traces/{chance.getrandbits(128):032x}", expected=404),
    }
    for name, conditions in SEARCHES.items():
        for title, span in (("15 min", {}), ("24 h", {"since": "24h"})):
            asked[f"search by {name}, {title}"] = lambda parts={**conditions, **span}: browser.get("traces", **parts)  # type: ignore[misc]
    return asked


def _stored_ids(shape: Shape, chance: random.Random) -> list[str]:
    places = [chance.randrange(shape.spans) // TRACE for _ in range(10_000)]
    query = "select format('{:016x}{:016x}', hash(i, 1), hash(i, 2)) from (select unnest($places::bigint[]) as i)"
    with duckdb.connect() as connection:
        return [row[0] for row in connection.execute(query, {"places": places}).fetchall()]


@contextmanager
def arriving(address: str, options: argparse.Namespace) -> Iterator[list[driver.Outcome]]:
    """Spans come in at a steady rate for a block; what became of them stands in the list after it."""
    task = driver.Task("http", address, 86_400.0, 8, options.rate / SPANS, options.plugins, zipf=True)
    child = driver.start(task)
    found: list[driver.Outcome] = []
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdout.readline()
    child.stdin.write("go\n")
    child.stdin.flush()
    try:
        yield found
    finally:
        child.stdin.close()
        found.append(driver.Outcome(**json.loads(child.stdout.readline())))
        child.wait()


def live(folder: Path, shape: Shape, options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds of every question, asked in turn while spans arrive."""
    free = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0"]
    with collector_process("--data", str(folder), *free) as (collector, ready):
        browser = Browser(ready["api"])
        with arriving(ready["http"], options) as outcomes:
            print(f"spans arrive; measuring begins in {options.warm_up:.0f} s", flush=True)
            time.sleep(options.warm_up)
            fresh = [row["trace_id"] for row in json.loads(browser.get("traces", plugin=name_of(1), since="30s"))]
            asked, took = questions(browser, shape, fresh), {}
            ticks, began, cpu = [], time.monotonic(), cpu_seconds(collector.pid)
            for name, ask in asked.items():
                took[name] = [_milliseconds(ask) for _ in range(options.times)]
                ticks.append(json.loads(browser.get("status"))["tick_seconds_last"] * 1000)
                print(_line(name, took[name]), flush=True)
            elapsed, used = time.monotonic() - began, cpu_seconds(collector.pid) - cpu
            resident = resident_bytes(collector.pid)
        outcome = outcomes[0]
    return {
        "milliseconds": took,
        "tick_ms_median": statistics.median(ticks),
        "tick_ms_max": max(ticks),
        "spans_per_second_meanwhile": outcome.acknowledged / outcome.seconds,
        "refused_requests": outcome.refused,
        "ingest_lag_p99_seconds": quantile(outcome.lags, 0.99),
        "collector_cores": used / elapsed,
        "resident_mb": resident / 1e6,
    }


def budgets(folder: Path, times: int) -> dict[str, list[float]]:
    """Milliseconds for the counts of a 30-day objective for all plugins at once, as the judge asks for them every five seconds,
    with nothing else going on; the first time after a start apart, when no hour is known yet."""
    database = Database(folder)
    hours = ClosedHours(database)
    try:
        at = utc_now()
        found = {}
        for title, kind in (("availability", FAILURES), ("latency", Kind(-32))):
            took = []
            for number in range(times + 1):
                asked = at + timedelta(seconds=5 * number)
                span = database.tiers.span(asked - timedelta(seconds=MONTH), asked + timedelta(minutes=1))
                took.append(_milliseconds(lambda span=span, kind=kind: hours.counts(span, kind)))  # type: ignore[misc]
            print(f"budget of 30 days, {title}, the first after a start: {took[0]:.0f} ms")
            found[f"budget of 30 days, {title}"] = took[1:]
        return found
    finally:
        database.close()


def _milliseconds(ask: Callable[[], Any]) -> float:
    started = time.perf_counter()
    ask()
    return (time.perf_counter() - started) * 1000


def _line(name: str, took: list[float]) -> str:
    target = TARGETS_MS[name.split()[0]]
    slow = quantile(took, 0.95)
    mark = "" if slow <= target else f"   above {target:.0f}"
    return f"{name:<36}p50 {quantile(took, 0.5):7.1f} ms   p95 {slow:7.1f} ms{mark}"


def main() -> None:
    """Build, ask, tell; `--json` adds a last line for programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=Path("build/scale"), help="folder of the store; built when it is empty"
    )
    parser.add_argument("--spans", type=int, default=50_000_000)
    parser.add_argument("--plugins", type=int, default=1_000)
    parser.add_argument("--days", type=int, default=30, help="of rollups")
    parser.add_argument("--rate", type=float, default=20_000.0, help="spans a second that arrive meanwhile")
    parser.add_argument("--warm-up", type=float, default=150.0, help="seconds of load before: until minutes are folded")
    parser.add_argument("--times", type=int, default=100, help="that each question is asked")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    shape = Shape(options.spans, options.plugins, options.days)
    began = time.monotonic()
    until: datetime = prepare(
        options.data, shape, lambda text: print(f"{time.monotonic() - began:6.0f} s  {text}", flush=True)
    )
    print(
        f"{shape.spans:,} spans of {shape.plugins:,} plugins until {until:%Y-%m-%d %H:%M}, rollups of {shape.days} days"
    )
    found = live(options.data, shape, options)
    took = found.pop("milliseconds")
    for name, times in budgets(options.data, options.times).items():
        took[name] = times
        print(_line(name, times))
    for name, value in found.items():
        print(f"{name.replace('_', ' '):<36}{value:,.3f}")
    print(f"load average {load_average():.1f}")
    if options.json:
        quantiles = {name: {"p50": quantile(times, 0.5), "p95": quantile(times, 0.95)} for name, times in took.items()}
        print(json.dumps({"milliseconds": quantiles, **found}))
    late = [name for name, times in took.items() if quantile(times, 0.95) > TARGETS_MS[name.split()[0]]]
    if late:
        raise SystemExit(f"above their targets: {'; '.join(late)}")


if __name__ == "__main__":
    main()
