"""How soon a call under the process runner ends when its plugin misbehaves, and whether the next call works.

Ten times each: a plugin that spins, sleeps, allocates without end, forks and detaches, or ends its process, with a
deadline of half a second. A plain call of the same runner stands beside them.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from plugwarden import QuotaPolicy, Sidecar

DEADLINE_SECONDS, GRACE_SECONDS, ROUNDS = 0.5, 0.1, 10


def add(number: int) -> int:
    """A plugin as it should be."""
    return number + 1


def spin() -> None:
    """Never ends."""
    while True:
        pass


def sleep() -> None:
    """Waits for ever."""
    time.sleep(3600)


def allocate() -> None:
    """Takes memory without end."""
    held = []
    while True:
        held.append(bytearray(1 << 20))


def fork() -> None:
    """Leaves detached processes behind."""
    for _ in range(10):
        if os.fork() == 0:
            try:
                os.setsid()
            except OSError:
                pass
            time.sleep(3600)
    time.sleep(3600)


def exit_now() -> None:
    """Ends its process."""
    os._exit(1)


def main() -> None:
    """Print the table; `--json` for programs."""
    sidecar = Sidecar(service="benchmark", endpoint="http://127.0.0.1:9")

    def wrap(function: Callable[..., Any], **terms: Any) -> Callable[..., Any]:
        return sidecar.wrap(function, plugin="p", version="1", runner="process", breaker=False, **terms)

    good = wrap(add, timeout=10.0)
    good(1)
    times = []
    for _ in range(200):
        started = time.perf_counter()
        good(1)
        times.append(time.perf_counter() - started)
    found: dict[str, dict[str, float]] = {}
    for function in (spin, sleep, allocate, fork, exit_now):
        quota = QuotaPolicy(memory_bytes=256 << 20) if function is allocate else None
        call = wrap(function, timeout=DEADLINE_SECONDS, quota=quota)
        late, ends = [], set()
        for _ in range(ROUNDS):
            started = time.perf_counter()
            try:
                call()
            except Exception as error:  # noqa: BLE001 - which one is what is measured
                ends.add(type(error).__name__)
            late.append(time.perf_counter() - started - DEADLINE_SECONDS)
            assert good(1) == 2
        found[function.__name__] = {
            "median": statistics.median(late),
            "worst": max(late),
            "ends": ", ".join(sorted(ends)),
        }  # type: ignore[dict-item]
    sidecar.close(1)
    if "--json" in sys.argv:
        print(json.dumps({"call_us": statistics.median(times) * 1e6, "after_the_deadline_seconds": found}))
        return
    print(f"a call that behaves: {statistics.median(times) * 1e6:.0f} µs, median of {len(times)}\n")
    print(f"deadline {DEADLINE_SECONDS:g} s; how long after it a call ended, {ROUNDS} calls each\n")
    print(f"{'plugin':<12}{'median':>10}{'worst':>10}   ended with")
    for name, told in found.items():
        print(f"{name:<12}{told['median'] * 1000:>7.0f} ms{told['worst'] * 1000:>7.0f} ms   {told['ends']}")
    worst = max(told["worst"] for told in found.values())
    print(f"\ntarget: deadline + {GRACE_SECONDS * 1000:.0f} ms: {'met' if worst <= GRACE_SECONDS else 'MISSED'}")


if __name__ == "__main__":
    main()
