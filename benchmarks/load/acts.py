"""People's acts at a running collector, and how long each takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence

import httpx2

from .machine import quantile

__all__ = ["acts", "print_acts"]


def acts(http: httpx2.Client, times: int) -> list[float]:
    """Seconds of each quarantine and each release."""
    took = []
    for number in range(times):
        began = time.perf_counter()
        made = http.post(
            "/api/v1/quarantine", json={"force": True, "plugin": f"plugin-{number:04d}", "reason": "measured"}
        )
        took.append(time.perf_counter() - began)
        began = time.perf_counter()
        http.post(f"/api/v1/quarantine/{made.raise_for_status().json()['id']}/release", json={"reason": "measured"})
        took.append(time.perf_counter() - began)
        time.sleep(0.1)
    return took


def print_acts(took: Mapping[str, Sequence[float]]) -> None:
    """A line for each situation."""
    for name, seconds in took.items():
        p95, most = quantile(seconds, 0.95), max(seconds)
        print(f"{name:<20}median {statistics.median(seconds):6.3f} s   p95 {p95:6.3f} s   longest {most:6.3f} s")
