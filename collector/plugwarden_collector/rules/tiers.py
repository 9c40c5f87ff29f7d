"""Burn-rate tiers: pairs of windows, and how fast a budget may burn in them. The workbook's table, scaled to a period."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

__all__ = ["MIN_WINDOW_SECONDS", "PAGE", "TICKET", "Tier", "max_burn_rate", "tiers_for"]

PAGE = "page"
"""Severity of what wakes somebody."""
TICKET = "ticket"
"""Severity of what waits for working hours."""

MIN_WINDOW_SECONDS = 5.0
"""Calls are counted by the second and sent every few seconds: a shorter window would see noise."""


@dataclass(frozen=True, slots=True)
class Tier:
    """A pair of windows that must both burn faster than `factor`."""

    severity: str
    """`page` or `ticket`."""
    factor: float
    """The burn rate above which the tier is met."""
    long_seconds: float
    """The window that shows that it matters."""
    short_seconds: float
    """The window that shows that it is still going on."""
    budget_ratio: float
    """The share of the period's budget gone when the long window burns at `factor`."""


@cache
def tiers_for(period_seconds: float) -> tuple[Tier, ...]:
    """Return the workbook's tiers, their windows scaled to a period; windows never fall below `MIN_WINDOW_SECONDS`."""
    data = tomllib.loads(resources.files(__package__).joinpath("burn_windows.toml").read_text("utf-8"))
    scale = period_seconds / data["period_seconds"]
    tiers = []
    for row in data["tier"]:
        factor = row["budget_ratio"] * data["period_seconds"] / row["long_seconds"]
        long_seconds = max(row["long_seconds"] * scale, 2 * MIN_WINDOW_SECONDS)
        short_seconds = max(row["short_seconds"] * scale, MIN_WINDOW_SECONDS)
        tiers.append(Tier(row["severity"], factor, long_seconds, short_seconds, row["budget_ratio"]))
    return tuple(tiers)


def max_burn_rate(target_ratio: float) -> float:
    """Return the burn rate when everything fails: a tier above it can never be met (10 at an objective of 90 %)."""
    return 1.0 / (1.0 - target_ratio)
