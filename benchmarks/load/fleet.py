"""The process that stands for a thousand sidecars: each sends what a real one sends, when a real one would.

Run as `child` says.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from .captured import INSTANCE, Interval, capture, placeholder
from .child import start_child, wait_for_start
from .senders import HttpSender
from .stamped import Stamped

__all__ = ["Fleet", "Report", "report", "start"]

THREADS = 400
"""Sidecars are on their own and wait for nobody: there must be more threads than sidecars that wait at once for their
acknowledgement, or the generator itself makes the lag that it measures."""
WARM_UP_INTERVALS = 2
GAUGES_EVERY = 12
"""Intervals: a sidecar tells gauges that did not change once a minute."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """Who sends what."""

    address: str
    """Of the collector's OTLP/HTTP receiver."""
    seconds: float
    sidecars: int = 1_000
    plugins: int = 50
    """Of each sidecar."""
    catalogue: int = 1_000
    """Plugins there are."""
    calls: int = 10
    """Of each plugin of each sidecar in an interval."""
    interval_seconds: float = 5.0


@dataclass(slots=True)
class Report:
    """What came of it."""

    calls: int = 0
    """Told by acknowledged metrics."""
    points: int = 0
    spans: int = 0
    requests: int = 0
    refused: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """Of the process that stands for them all."""
    lags: list[float] = field(default_factory=list)
    """Seconds from when each request was due to its acknowledgement, after the first `WARM_UP_INTERVALS`."""
    first_lags: list[float] = field(default_factory=list)
    """The same of those: a collector that has just started meets every sidecar for the first time."""


def start(fleet: Fleet) -> subprocess.Popen[str]:
    """The fleet as a child; its first line on stdout says that it is ready, its second is the report."""
    return start_child("fleet", fleet)


@dataclass(slots=True)
class _Host:
    """One sidecar."""

    intervals: list[dict[str, Stamped]]
    sender: HttpSender


def report(fleet: Fleet) -> Report:
    """Send until the time is over. The schedule is fixed: a slot that is missed is sent late and counts as late."""
    intervals = capture(fleet.plugins, fleet.calls)
    hosts = [_host(fleet, intervals, number) for number in range(fleet.sidecars)]
    stopped = wait_for_start()
    found, lock, turn = Report(), threading.Lock(), 0
    pause = fleet.interval_seconds / fleet.sidecars
    began, cpu = time.time(), time.process_time()

    def work() -> None:
        nonlocal turn
        while True:
            with lock:
                number, turn = turn, turn + 1
            due = began + number * pause
            if due - began >= fleet.seconds or stopped.is_set():
                return
            time.sleep(max(0.0, due - time.time()))
            host, told = number % fleet.sidecars, number // fleet.sidecars
            kind = 0 if (told + host) % GAUGES_EVERY == 0 else 1
            interval = intervals[kind]
            for signal, request in hosts[host].intervals[kind].items():
                body = request.stamp(int(due * 1e9) - interval.ended_ns, number + 1)
                taken = hosts[host].sender.send(signal, body)
                lag = time.time() - due
                with lock:
                    (found.lags if told >= WARM_UP_INTERVALS else found.first_lags).append(lag)
                    found.requests += 1
                    found.refused += not taken
                    if taken and signal == "metrics":
                        found.calls += interval.calls
                        found.points += interval.items[signal]
                    elif taken:
                        found.spans += interval.items[signal]

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found.seconds, found.cpu_seconds = time.time() - began, time.process_time() - cpu
    return found


def _host(fleet: Fleet, intervals: list[Interval], number: int) -> _Host:
    chosen = random.Random(number).sample(range(fleet.catalogue), fleet.plugins)  # the same in every run
    names = {placeholder(place).encode(): f"plugin-{plugin:04d}".encode() for place, plugin in enumerate(chosen)}
    names[INSTANCE.encode()] = f"sidecar-{number:04d}".encode()
    return _Host(
        [{signal: request.renamed(names) for signal, request in interval.requests.items()} for interval in intervals],
        HttpSender(fleet.address),
    )


if __name__ == "__main__":
    arguments: dict[str, Any] = json.loads(sys.argv[1])
    print(json.dumps(asdict(report(Fleet(**arguments)))), flush=True)
