"""How a duration and a moment read: one wording for alerts, pages, tables and logs."""

from __future__ import annotations

import math
from datetime import datetime

from .figures import MISSING, number

__all__ = ["UNITS", "ago", "duration", "moment"]

UNITS = (("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86_400.0))
"""Name and length in seconds of each unit, the shortest first."""


def duration(seconds: float | None) -> str:
    """Return a duration with three significant digits in the largest unit that it fills, such as `12.4 ms`; `—` for none."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if seconds == 0:
        return "0 s"
    place, rest = 0, abs(seconds)
    # The rounded figure decides, so that 59.99 s reads as a minute and not as 60 s.
    while place + 1 < len(UNITS) and _rounded(rest, place) >= UNITS[place + 1][1]:
        place += 1
        rest = max(rest, UNITS[place][1])
    unit, length = UNITS[place]
    return f"{'-' if seconds < 0 else ''}{number(rest / length)} {unit}"


def ago(seconds: float) -> str:
    """Return how long ago something was, such as `1.5 min ago`; below a second, and ahead of us, it was `just now`."""
    return "just now" if seconds < 1.0 else f"{duration(seconds)} ago"


def _rounded(seconds: float, place: int) -> float:
    """Return the seconds that a duration reads as in one of `UNITS`."""
    length = UNITS[place][1]
    return float(f"{float(f'{abs(seconds) / length:.3g}') * length:.12g}")


def moment(at: datetime) -> str:
    """Return a time as people read it: to the second, UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
