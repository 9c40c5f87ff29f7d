"""How long a trace by its id takes over HTTP, here and, with `--python`, in another checkout: the same store, asked in turn.

Each collector serves a copy of its own; half a million spans are built once, in a folder that is used again.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from load.big_store import TRACE, Shape, prepare
from load.machine import load_average, quantile

FREE = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0"]


@contextmanager
def serving(python: str, folder: Path) -> Iterator[http.client.HTTPConnection]:
    """A collector over a copy of the store, and a connection to it that is kept."""
    with tempfile.TemporaryDirectory() as copy:
        data = Path(copy, "data")
        data.mkdir()
        shutil.copy(folder / "plugwarden.duckdb", data)
        command = [
            python,
            "-W",
            "ignore",
            "-m",
            "plugwarden_collector",
            "collector",
            "--json",
            "--data",
            str(data),
            *FREE,
        ]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "XDG_STATE_HOME": f"{copy}/state"},
        )
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            yield http.client.HTTPConnection(ready["api"], timeout=30)
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


def ids(spans: int, count: int) -> list[str]:
    """Ids of traces that are stored."""
    chance = random.Random(1)
    places = [chance.randrange(spans) // TRACE for _ in range(count)]
    query = "select format('{:016x}{:016x}', hash(i, 1), hash(i, 2)) from (select unnest($places::bigint[]) as i)"
    with duckdb.connect() as connection:
        return [row[0] for row in connection.execute(query, {"places": places}).fetchall()]


def milliseconds(connection: http.client.HTTPConnection, trace: str) -> float:
    """Of one question, to the last byte of its answer."""
    began = time.perf_counter()
    connection.request("GET", f"/api/v1/traces/{trace}")
    answer = connection.getresponse()
    body = answer.read()
    took = (time.perf_counter() - began) * 1000
    if answer.status != 200 or len(json.loads(body)["spans"]) != TRACE:
        raise SystemExit(f"{trace}: {answer.status} {body[:200]!r}")
    return took


def main() -> None:
    """Build, ask, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("build/traces"))
    parser.add_argument("--spans", type=int, default=500_000)
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--python", help="of the checkout to compare with")
    options = parser.parse_args()
    prepare(options.data, Shape(options.spans, 200, 2), print)
    asked = ids(options.spans, options.times + 50)
    with contextlib.ExitStack() as stack:
        served = {"here": stack.enter_context(serving(sys.executable, options.data))}
        if options.python:
            served["there"] = stack.enter_context(serving(options.python, options.data))
        time.sleep(5)  # what a start does besides is over
        took: dict[str, list[float]] = {name: [] for name in served}
        for number, trace in enumerate(asked):
            for name, connection in served.items():
                spent = milliseconds(connection, trace)
                if number >= 50:
                    took[name].append(spent)
    for name, times in took.items():
        print(f"{name:<8}p50 {quantile(times, 0.5):6.2f} ms   p95 {quantile(times, 0.95):6.2f} ms")
    print(f"load average {load_average():.1f}")


if __name__ == "__main__":
    main()
