"""How long: durations as people write them."""

from __future__ import annotations

import math
import re

from .workable import shown

__all__ = ["seconds", "written"]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")


def seconds(value: object) -> float:
    """A duration: `"90s"`, `"5m"`, `"1h30m"`, `"250ms"`, or a number of seconds; raises `ValueError`."""
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a duration")
    if isinstance(value, int | float):
        try:
            amount = float(value)
        except OverflowError:
            amount = math.inf
    elif isinstance(value, str) and value and _DURATION.sub("", value) == "":
        amount = sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(value))
    else:
        raise ValueError(f'{shown(value)} is not a duration; write for instance "250ms", "90s", "1h30m" or "30d"')
    if not math.isfinite(amount) or amount < 0:
        raise ValueError(f"{shown(value)} must be 0 or more")
    return amount


def written(amount: float) -> str | float:
    """Return a duration as people write it, in one unit; as a number of seconds where that would not be exact."""
    for unit in ("d", "h", "m", "s", "ms"):
        text = f"{round(amount / _UNITS[unit])}{unit}"
        if amount > 0 and seconds(text) == amount:
            return text
    return amount
