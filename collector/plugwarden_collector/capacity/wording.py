"""How limits and the days until they are full read: one wording for the command and pages. Takes answers of the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plugwarden_collector.durations import duration
from plugwarden_collector.figures import number, size

from .resource import Resource

__all__ = ["amount", "limit_amount", "until_full"]

DAY = 86_400.0
UNITS = {Resource.CALLS: "calls/s", Resource.CONCURRENCY: "calls at once", Resource.CPU: "CPU cores"}
"""What is counted of each resource; memory is a size."""


def amount(resource: str, value: float | None) -> str:
    """Return an amount of a resource with its unit; `—` for none."""
    if resource == Resource.MEMORY or value is None:
        return size(value)
    return f"{number(value)} {UNITS[Resource(resource)]}"


def limit_amount(limit: Mapping[str, Any]) -> str:
    """Return how much a limit allows, and where it comes from: `1.2 calls at once (enforced)`."""
    return f"{amount(limit['resource'], limit['limit'])} ({limit['kind']})"


def until_full(until: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """Return when a limit is full with its interval, such as `70 d (from 66 d to 75 d)`; or that nothing can be said."""
    soonest, median, latest = (until[f"{name}_days"] for name in ("soonest", "median", "latest"))
    if soonest == 0:
        return "full now"
    if record["growth"] is None:
        return "too little data"
    if soonest is None:
        return "not within a year"
    ends = "over a year" if latest is None else duration(latest * DAY)
    middle = "over a year" if median is None else duration(median * DAY)
    return f"{middle} (from {duration(soonest * DAY)} to {ends})"
