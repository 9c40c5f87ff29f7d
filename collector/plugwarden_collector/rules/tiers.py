"""Burn-rate tiers: pairs of windows, and how fast a budget may burn in them. Tables of them, scaled to a period."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

__all__ = [
    "BUILT_IN",
    "MIN_WINDOW_SECONDS",
    "PAGE",
    "SRE",
    "TICKET",
    "BurnWindows",
    "Tier",
    "max_burn_rate",
    "tier_of",
    "tiers_for",
]

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


@dataclass(frozen=True, slots=True)
class BurnWindows:
    """A table of tiers for one period, which is scaled to an objective's."""

    name: str
    """What objectives call it by."""
    period_seconds: float
    """The period that its windows are given for."""
    tiers: tuple[Tier, ...]
    """Tiers for that period: at least a page and a ticket."""
    round_seconds: float = 0.0
    """What scaled windows of at least this length are rounded to; 0: nothing."""

    def __hash__(self) -> int:  # of what tells tables apart: tiers are looked up by it for every plugin
        return hash(self.name)


def _built_in() -> dict[str, BurnWindows]:
    data = tomllib.loads(resources.files(__package__).joinpath("burn_windows.toml").read_text("utf-8"))
    return {row["name"]: _table(row) for row in data["windows"]}


def _table(row: Mapping[str, Any]) -> BurnWindows:
    period = row["period_seconds"]
    tiers = (tier_of(period_seconds=period, **tier) for tier in row["tier"])
    return BurnWindows(row["name"], period, tuple(tiers), row.get("round_seconds", 0.0))


def tier_of(
    severity: str,
    long_seconds: float,
    short_seconds: float,
    period_seconds: float,
    factor: float | None = None,
    budget_ratio: float | None = None,
) -> Tier:
    """Return a tier of a period by its factor, or by the share of the budget that it means: one of both must be given."""
    if factor is None:
        factor = (budget_ratio or 0.0) * period_seconds / long_seconds
    if budget_ratio is None:
        budget_ratio = factor * long_seconds / period_seconds
    return Tier(severity, factor, long_seconds, short_seconds, budget_ratio)


BUILT_IN: Mapping[str, BurnWindows] = _built_in()
"""Tables that every rules file can name."""
SRE = BUILT_IN["sre"]
"""The table of objectives that name none."""


@cache
def tiers_for(period_seconds: float, table: BurnWindows = SRE, slice_seconds: int = 0) -> tuple[Tier, ...]:
    """Return a table's tiers, their windows scaled to a period and rounded to whole slices, where there are any; windows never fall below
    `MIN_WINDOW_SECONDS`, or a slice."""
    scale = period_seconds / table.period_seconds

    def whole(seconds: float) -> float:
        return seconds if slice_seconds == 0 else max(_rounded(seconds, slice_seconds), float(slice_seconds))

    return tuple(
        Tier(
            tier.severity,
            tier.factor,
            whole(max(_rounded(tier.long_seconds * scale, table.round_seconds), 2 * MIN_WINDOW_SECONDS)),
            whole(max(_rounded(tier.short_seconds * scale, table.round_seconds), MIN_WINDOW_SECONDS)),
            tier.budget_ratio,
        )
        for tier in table.tiers
    )


def _rounded(seconds: float, to: float) -> float:
    return seconds if to == 0 or seconds < to else math.floor(seconds / to + 0.5) * to


def max_burn_rate(target_ratio: float) -> float:
    """Return the burn rate when everything fails: a tier above it can never be met (10 at an objective of 90 %)."""
    return 1.0 / (1.0 - target_ratio)
