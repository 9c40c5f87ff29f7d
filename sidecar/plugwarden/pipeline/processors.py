"""How many processors this process may use."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

__all__ = ["allowed", "processors"]

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""What a container may use: microseconds of processor time, or `max`, in a period of so many.
Source: Linux, Documentation/admin-guide/cgroup-v2.rst."""


@cache
def processors() -> float:
    """Return the processors that this process may use; read once, for what is allowed rarely changes while a process lives."""
    try:
        quota = QUOTA.read_text("ascii")
    except (OSError, ValueError):
        quota = ""
    try:
        usable = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # not on every system
        usable = os.cpu_count() or 1
    return allowed(quota, usable)


def allowed(quota: str, usable: int) -> float:
    """Return the processors of a container's quota, at most those that are usable; without a quota, these."""
    parts = quota.split()
    if len(parts) == 2 and all(part.isdecimal() for part in parts) and int(parts[0]) > 0 and int(parts[1]) > 0:
        return min(float(usable), int(parts[0]) / int(parts[1]))
    return float(usable)
