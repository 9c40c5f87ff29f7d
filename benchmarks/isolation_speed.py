"""From the first failed call in one host to the first refused call in another: a real collector, two real host processes.

The rules are what people start with, an availability of 99 % over 30 days, with a policy that acts.
The bars: half within 1 s, all but one in twenty within 2 s.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from load.machine import load_average, quantile
from plugwarden_collector.command.processes import collector_process

RULES = """
[[slo]]
name = "availability"
objective = 0.99
period = "30d"

[policy]
enforcement = "enforce"
"""
WARM_SECONDS = 15.0
"""Two ordinary exports of each host, and more: what breaks has run well before."""
BARS = {0.5: 1.0, 0.95: 2.0}
PLUGINS = 4
GIVE_UP_SECONDS = 20.0


def main() -> None:
    """Break, wait, tell; 1 when a bar is missed. Each time with a collector and hosts of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--rate", type=float, default=20.0, help="calls a second of each plugin in each host")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    delays: list[float] = []
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory() as folder:
            found = measure(Path(folder), options.rate)
        delays += [] if found is None else [found]
        print(".", end="", file=sys.stderr, flush=True)
    lost = options.runs - len(delays)
    told = {f"p{round(100 * share)}": quantile(delays, share) for share in (0.5, 0.95)} | {"max": max(delays)}
    if options.json:
        print(json.dumps({"delays": delays, "never": lost, "load": load_average(), **told}))
    else:
        print(f"one of {PLUGINS} plugins broken, {options.runs} times; {options.rate:g} calls/s in each of two hosts")
        print("seconds to the first refused call in the other host:")
        print("  " + "  ".join(f"{item:.2f}" for item in sorted(delays)))
        print("  " + ", ".join(f"{name} {value:.2f} s" for name, value in told.items()) + f"; never: {lost}")
    missed = lost or any(quantile(delays, share) > bar for share, bar in BARS.items())
    raise SystemExit(1 if missed else 0)


def measure(folder: Path, rate: float) -> float | None:
    """Return the delay of one fault; None where the plugin was never refused."""
    flags = folder / "flags"
    flags.mkdir()
    rules = folder / "rules.toml"
    rules.write_text(RULES)
    free = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0"]
    with collector_process("--json", "--data", str(folder / "data"), "--rules", str(rules), *free) as (_, ready):
        said: dict[tuple[int, str, str], float] = {}
        news = threading.Condition()
        hosts = [start(folder, ready, flags, PLUGINS, rate, number, said, news) for number in range(2)]
        try:
            time.sleep(WARM_SECONDS)
            (flags / "p0").touch()
            return wait(said, news, "p0")
        finally:
            for host in hosts:
                assert host.stdin is not None
                host.stdin.close()
            for host in hosts:
                host.wait(20)


def start(
    folder: Path, ready: Any, flags: Path, plugins: int, rate: float, number: int,
    said: dict[tuple[int, str, str], float], news: threading.Condition,
) -> subprocess.Popen[str]:  # fmt: skip
    """Start a host; what it says is put into `said`, by host, plugin and what it is."""
    told = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{ready['http']}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "PLUGWARDEN_COLLECTOR_URL": f"http://{ready['api']}",
        "PLUGWARDEN_STATE_DIR": str(folder / f"state{number}"),
    }
    script = Path(__file__).parent / "load" / "flipping_host.py"
    host = subprocess.Popen(
        [sys.executable, str(script), str(flags), str(plugins), str(rate)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **told},
    )  # fmt: skip

    def listen() -> None:
        assert host.stdout is not None
        for line in host.stdout:
            event = json.loads(line)
            with news:
                said[number, event["plugin"], event["what"]] = event["at"]
                news.notify_all()

    threading.Thread(target=listen, daemon=True).start()
    return host


def wait(said: dict[tuple[int, str, str], float], news: threading.Condition, plugin: str) -> float | None:
    """Return the seconds from the first failed call to the first refused one in the other host; None when there is none."""
    until = time.monotonic() + GIVE_UP_SECONDS
    with news:
        while time.monotonic() < until:
            failed = [(said[host, plugin, "failed"], host) for host in (0, 1) if (host, plugin, "failed") in said]
            if failed:
                at, first = min(failed)
                refused = said.get((1 - first, plugin, "refused"))
                if refused is not None:
                    return refused - at
            news.wait(0.2)
    return None


if __name__ == "__main__":
    main()
