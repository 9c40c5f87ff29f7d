"""One service sends 100,000 plugin names and 100,000 versions: what the judge's turns cost before and after, how long another
plugin's fault takes to be isolated, and a person's act; also after a restart with that store.

Run it with an older version of the collector installed to compare: it uses nothing but OTLP and the API.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from load.machine import cpu_seconds, load_average
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from plugwarden_collector.command.processes import collector_process

RULES = """
[[slo]]
name = "availability"
objective = 0.99
period = "2h"
min_events = 5
min_failures = 3
[[slo]]
name = "latency"
sli = "latency"
objective = 0.95
threshold = "2s"
period = "2h"
min_events = 5
min_failures = 3
[policy]
enforcement = "enforce"
max_quarantined_ratio = 1.0
max_actions_per_hour = 1000
"""
SPANS_OF_A_REQUEST = 2_000
MAX_ACT_SECONDS = 1.0
GIVE_UP_SECONDS = 90.0
Call = tuple[str, str, bool]
"""Plugin, version, and whether it fails."""


class Running:
    """A collector, and the victim whose fault has to be found: a service that has nothing to do with the flood."""

    def __init__(self, pid: int, ready: dict[str, str]) -> None:
        self.pid, self.http, self.api = pid, f"http://{ready['http']}", f"http://{ready['api']}"
        self.not_ready = 0
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._ask, daemon=True)
        self._watch.start()

    def close(self) -> None:
        self._done.set()
        self._watch.join(5)

    def send(self, service: str, calls: list[Call]) -> None:
        """Calls as spans, in requests of a common size."""
        for start in range(0, len(calls), SPANS_OF_A_REQUEST):
            body = request_of(service, calls[start : start + SPANS_OF_A_REQUEST])
            asked = urllib.request.Request(
                f"{self.http}/v1/traces", body, {"content-type": "application/x-protobuf"}, method="POST"
            )
            with urllib.request.urlopen(asked, timeout=60) as answer:
                answer.read()

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """An answer of the API's."""
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(f"{self.api}/api/v1/{path}", data, {"content-type": "application/json"})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.loads(answer.read())

    def turns(self, seconds: float) -> dict[str, float]:
        """CPU of the whole process while nothing is sent but for a call now and then, and the length of a turn."""
        before, began, lengths = cpu_seconds(self.pid), time.monotonic(), []
        ticks = self._ticks()
        while time.monotonic() - began < seconds:
            self.send("shop", [("idle", "1", False)])
            time.sleep(0.5)
            lengths.append(self.ask("status")["tick_seconds_last"])
        turned = max(1, self._ticks() - ticks)
        used = cpu_seconds(self.pid) - before
        return {
            "cpu_share": used / (time.monotonic() - began),
            "cpu_seconds_a_turn": used / turned,
            "turn_seconds_max": max(lengths),
        }

    def _ticks(self) -> float:
        with urllib.request.urlopen(f"{self.api}/metrics", timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        return float(next(line for line in lines if line.startswith("plugwarden_ticks_total ")).split()[1])

    def isolates(self, plugin: str, flood: list[Call]) -> float:
        """Seconds from the first failed call of a version to its quarantine; more of the flood goes in meanwhile."""
        self.send("shop", [(plugin, version, False) for version in ("1", "2") for _ in range(50)])
        time.sleep(2)
        began = time.monotonic()
        place = 0
        while time.monotonic() - began < GIVE_UP_SECONDS:
            self.send("shop", [(plugin, "2", True)] * 10 + [(plugin, "1", False)] * 10)
            self.send("flooder", flood[place : place + SPANS_OF_A_REQUEST])
            place = (place + SPANS_OF_A_REQUEST) % max(1, len(flood))
            for _ in range(5):
                if any(item["plugin_id"] == plugin for item in self.ask("quarantine")):
                    return time.monotonic() - began
                time.sleep(0.05)
        return GIVE_UP_SECONDS

    def act(self, plugin: str) -> float:
        """Seconds that a person waits for the answer to a quarantine by hand; the worst of five."""
        waits = []
        for number in range(5):
            began = time.monotonic()
            self.ask("quarantine", {"plugin": f"{plugin}-{number}", "reason": "a person says so"})
            waits.append(time.monotonic() - began)
        return max(waits)

    def _ask(self) -> None:
        while not self._done.wait(0.5):
            try:
                with urllib.request.urlopen(f"{self.api}/readyz", timeout=10) as answer:
                    answer.read()
            except (OSError, urllib.error.HTTPError):
                self.not_ready += 1


def request_of(service: str, calls: list[Call]) -> bytes:
    """A trace export request of a second or so ago."""
    message = trace_service_pb2.ExportTraceServiceRequest()
    group = message.resource_spans.add()
    for key, value in (("service.name", service), ("service.instance.id", f"{service}-a")):
        group.resource.attributes.add(key=key).value.string_value = value
    scope = group.scope_spans.add()
    now = time.time_ns()
    for plugin, version, failed in calls:
        span = scope.spans.add(trace_id=os.urandom(16), span_id=os.urandom(8), name="call", kind=1)
        span.start_time_unix_nano, span.end_time_unix_nano = now - 5_000_000, now
        span.status.code = 2 if failed else 1
        for key, value in (("plugin.id", plugin), ("plugin.version", version), ("plugin.operation", "call")):
            span.attributes.add(key=key).value.string_value = value
    return message.SerializeToString()


def measure(folder: Path, names: int, seconds: float) -> dict[str, Any]:
    """Before the flood, after it, and after a restart."""
    rules = folder / "rules.toml"
    rules.write_text(RULES)
    free = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0", "--rules", str(rules)]
    plugins = [(f"plugin-{number}", "1", False) for number in range(names)]
    versions = [("many", f"1.0.{number}", False) for number in range(names)]
    found: dict[str, Any] = {}

    def look(running: Running, when: str, flood: list[Call]) -> None:
        found[when] = {
            **running.turns(seconds),
            "isolated_in_seconds": running.isolates(f"geo-{when}", flood),
            "act_seconds": running.act(f"held-{when}"),
        }

    with collector_process("--data", str(folder / "data"), *free) as (process, ready):
        running = Running(process.pid, ready)
        look(running, "before", [])
        used, began = cpu_seconds(process.pid), time.monotonic()
        running.send("flooder", plugins + versions)
        found["flood"] = {"seconds": time.monotonic() - began, "cpu_seconds": cpu_seconds(process.pid) - used}
        look(running, "after", plugins + versions)
        running.close()
        not_ready = running.not_ready
    began = time.monotonic()
    with collector_process("--data", str(folder / "data"), *free) as (process, ready):
        found["restart_seconds"] = time.monotonic() - began
        running = Running(process.pid, ready)
        look(running, "restarted", plugins + versions)
        running.close()
        found["not_ready_answers"] = not_ready + running.not_ready
    found["load_average"] = load_average()
    return found


def main() -> None:
    """Print what was found; `--json` for programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", type=int, default=100_000, help="plugins, and as many versions of one more")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each look at what turns cost")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), options.names, options.seconds)
    if options.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            shown = value.items() if isinstance(value, dict) else [("", value)]
            for part, number in shown:
                print(f"{f'{name} {part}'.replace('_', ' '):<40}{number:,.3f}")
    acts = [part["act_seconds"] for part in found.values() if isinstance(part, dict) and "act_seconds" in part]
    if max(acts) > MAX_ACT_SECONDS or found["not_ready_answers"]:
        raise SystemExit(f"an act took {max(acts):.2f} s; {found['not_ready_answers']} answers of /readyz were not 200")


if __name__ == "__main__":
    main()
