"""Objectives, and what the counts say about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from plugwarden.contract.histogram import threshold_index

from plugwarden_collector.judge.burn import Tier, burn_rate, tiers_for

__all__ = ["Budget", "Burn", "Counts", "Objective", "Sli", "budget", "burns"]


class Sli(StrEnum):
    """What is measured."""

    AVAILABILITY = "availability"
    """Calls that did not fail through the plugin's fault, out of all that ended by themselves."""
    LATENCY = "latency"
    """Calls that took at most the threshold, out of the same."""


@dataclass(frozen=True, slots=True)
class Objective:
    """One service-level objective, for every plugin that its pattern matches, version by version."""

    name: str
    sli: Sli
    target_ratio: float
    """In (0, 1)."""
    period_seconds: float
    """Over which the error budget counts; it rolls."""
    plugins: str = "*"
    """A shell pattern for plugin ids."""
    threshold_seconds: float | None = None
    """For latency: what still counts as fast."""
    min_events: int = 20
    """Fewer events within the long window never make an alert (Zapier's rule; plugins have little traffic)."""
    min_failures: int = 5
    """Nor do fewer bad ones."""
    for_seconds: float = 0.0
    """How long it must burn before the alert fires."""
    keep_firing_seconds: float = 30.0
    """How long it must not burn before the alert resolves, so that it does not flap."""

    def covers(self, plugin: str) -> bool:
        """Whether this objective is about a plugin."""
        return self.plugins == "*" or fnmatchcase(plugin, self.plugins)

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """The burn-rate tiers for this objective's period."""
        return tiers_for(self.period_seconds)

    @property
    def threshold_index(self) -> int:
        """The last histogram bucket that counts as fast."""
        if self.threshold_seconds is None:
            raise ValueError(f"{self.name} has no latency threshold")
        return threshold_index(self.threshold_seconds)

    @property
    def windows(self) -> tuple[float, ...]:
        """Every window needed to judge it, in seconds."""
        sizes = {self.period_seconds}
        for tier in self.tiers:
            sizes |= {tier.long_seconds, tier.short_seconds}
        return tuple(sorted(sizes))


@dataclass(frozen=True, slots=True)
class Counts:
    """Events in one window."""

    total: int = 0
    bad: int = 0


@dataclass(frozen=True, slots=True)
class Burn:
    """One tier as it stands."""

    tier: Tier
    long: Counts
    short: Counts
    long_rate: float
    short_rate: float
    enough: bool
    """There were enough events and failures to say anything."""

    @property
    def met(self) -> bool:
        """Both windows burn too fast, on enough evidence."""
        return self.enough and self.long_rate >= self.tier.factor and self.short_rate >= self.tier.factor

    @property
    def quiet(self) -> bool:
        """Calls came in the short window and did not burn too fast: evidence of recovery."""
        return self.short.total > 0 and self.short_rate < self.tier.factor


@dataclass(frozen=True, slots=True)
class Budget:
    """What is left of an error budget."""

    total: int
    bad: int
    sli_ratio: float | None
    """None without events."""
    remaining_ratio: float | None
    """1 untouched, 0 spent, below 0 overspent; None without events."""
    allowed: float
    """Bad events that the objective allows for this many events."""


def burns(objective: Objective, windows: Mapping[float, Counts]) -> tuple[Burn, ...]:
    """Every tier of an objective on the counts per window (seconds -> counts)."""
    found = []
    for tier in objective.tiers:
        long, short = windows.get(tier.long_seconds, Counts()), windows.get(tier.short_seconds, Counts())
        found.append(
            Burn(
                tier,
                long,
                short,
                burn_rate(long.bad, long.total, objective.target_ratio),
                burn_rate(short.bad, short.total, objective.target_ratio),
                long.total >= objective.min_events and long.bad >= objective.min_failures,
            )
        )
    return tuple(found)


def budget(objective: Objective, counts: Counts) -> Budget:
    """The error budget over the period."""
    if counts.total == 0:
        return Budget(0, 0, None, None, 0.0)
    allowed = counts.total * (1.0 - objective.target_ratio)
    return Budget(counts.total, counts.bad, 1.0 - counts.bad / counts.total, 1.0 - counts.bad / allowed, allowed)
