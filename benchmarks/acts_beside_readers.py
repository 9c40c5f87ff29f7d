"""How long a person's act takes, from the request to its answer, alone and beside fifty readers: half of them ask for SQL that takes
all the time it may have, half for pages. The bar: half a second.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path

import httpx2
from load.acts import acts, print_acts
from load.big_store import Shape, prepare
from load.machine import load_average, quantile
from plugwarden_collector.command.processes import collector_process

BAR_SECONDS = 0.5
FREE = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0"]
SLOW = (
    "select count(*) from range(1000000000) a, range(1000000000) b where a.range % 7 = b.range % 5",
    "select max(sha256(range::varchar)) from range(100000000000)",
    "select plugin_id, quantile_cont(duration_seconds, [0.5, 0.99]) from spans group by all",
    "select count(*) from spans where regexp_matches(name, '(a|b)*c')",
)
PAGES = ("plugins?since=24h", "plugins/plugin-0001?since=24h", "traces?text=export&since=24h", "slos", "capacity")


def read(url: str, number: int, stop: threading.Event, answered: list[int]) -> None:
    """One reader, until it is told to stop."""
    with httpx2.Client(base_url=url, timeout=60) as http:
        while not stop.is_set():
            if number % 2:
                body = {"sql": SLOW[number // 2 % len(SLOW)], "timeout_seconds": 5}
                answer = http.post("/api/v1/query", json=body)
            else:
                answer = http.get(f"/api/v1/{PAGES[number // 2 % len(PAGES)]}")
            answered.append(answer.status_code)
            if answer.status_code == 503:
                stop.wait(float(answer.headers["retry-after"]))


def main() -> None:
    """Build, act, tell; 1 when the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=500_000)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--times", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        prepare(data, Shape(options.spans, 200, 2), lambda text: None)
        state = {"XDG_STATE_HOME": f"{folder}/state"}
        with collector_process("--data", str(data), *FREE, **state) as (_, ready):
            url = f"http://{ready['api']}"
            with httpx2.Client(base_url=url, timeout=60) as http:
                time.sleep(4)
                took = {"alone": acts(http, options.times)}
                stop, answered = threading.Event(), list[int]()
                readers = [
                    threading.Thread(target=read, args=(url, number, stop, answered), daemon=True)
                    for number in range(options.readers)
                ]
                for reader in readers:
                    reader.start()
                time.sleep(3)
                took[f"beside {options.readers} readers"] = acts(http, options.times)
                stop.set()
                for reader in readers:
                    reader.join(30)
    print_acts(took)
    print(
        f"{len(answered)} answers to readers, {answered.count(200)} of them with 200; load average {load_average():.1f}"
    )
    if quantile(took[f"beside {options.readers} readers"], 0.95) > BAR_SECONDS:
        raise SystemExit("acts took longer than they may")


if __name__ == "__main__":
    main()
