"""The load generator's own process: sends what it is told to, and answers what was acknowledged and how long it took.

Run as `child` says.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from .child import start_child, wait_for_start
from .senders import GrpcSender, HttpSender, Sender
from .span_requests import SPANS, make_requests

__all__ = ["Outcome", "Task", "drive", "start"]

REQUESTS = 20
"""Requests that differ in more than times and ids."""
CHANNELS = 4
"""gRPC channels, shared by all that are in flight."""


@dataclass(frozen=True, slots=True)
class Task:
    """What to send."""

    transport: str
    address: str
    seconds: float
    in_flight: int = 64
    per_second: float | None = None
    """Requests a second, on a fixed schedule; None: as many as are acknowledged."""
    plugins: int = 10
    zipf: bool = False
    """Plugins as the large store has them; else all alike."""


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    acknowledged: int = 0
    """Spans."""
    refused: int = 0
    """Requests."""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """Of the generator."""
    lags: list[float] = field(default_factory=list)
    """Seconds from when each request was due to its acknowledgement."""


def start(task: Task) -> subprocess.Popen[str]:
    """The generator as a child; its first line on stdout says that it begins, its second is the outcome."""
    return start_child("driver", task)


def drive(task: Task) -> Outcome:
    """Send until the time is over, in this process."""
    requests, base = make_requests(REQUESTS, _zipf(task.plugins) if task.zipf else _even(task.plugins))
    stopped = wait_for_start()
    outcome, lock, turn = Outcome(), threading.Lock(), 0
    senders = _senders(task)
    began, cpu = time.time(), time.process_time()

    def work(sender: Sender) -> None:
        nonlocal turn
        while True:
            with lock:
                number, turn = turn, turn + 1
                now = time.time()
                # A slot that is missed is sent late, and counts as late: waiting must not hide itself.
                due = now if task.per_second is None else began + number / task.per_second
                if max(due, now) - began >= task.seconds or stopped.is_set():
                    return
                body = requests[number % REQUESTS].stamp(int(due * 1e9) - base, number + 1) if due <= now else b""
            if not body:
                time.sleep(max(0.0, due - time.time()))
                with lock:
                    body = requests[number % REQUESTS].stamp(int(due * 1e9) - base, number + 1)
            taken = sender.send("traces", body)
            lag = time.time() - due
            with lock:
                outcome.acknowledged += SPANS * taken
                outcome.refused += not taken
                outcome.lags.append(lag)

    threads = [threading.Thread(target=work, args=(senders[n % len(senders)],)) for n in range(task.in_flight)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcome.seconds, outcome.cpu_seconds = time.time() - began, time.process_time() - cpu
    return outcome


def _senders(task: Task) -> list[Sender]:
    if task.transport == "grpc":
        return [GrpcSender(task.address) for _ in range(CHANNELS)]
    return [HttpSender(task.address) for _ in range(task.in_flight)]


def _even(plugins: int) -> Any:
    def plugin(place: int) -> tuple[str, str, str, str]:
        return "load", f"plugin-{place // 20 % plugins}", "1.0.0", f"op {place % 20}"

    return plugin


def _zipf(plugins: int) -> Any:
    import numpy as np

    from .big_store import identity_of

    ranks = np.floor((plugins + 1) ** np.random.default_rng(1).random(REQUESTS * SPANS)).astype(int)
    return lambda place: identity_of(int(ranks[place]))


if __name__ == "__main__":
    print(json.dumps(asdict(drive(Task(**json.loads(sys.argv[1]))))), flush=True)
