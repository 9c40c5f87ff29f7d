"""SLIs: which of the calls that were counted are good, and how a person says what is bad. The only place that tells errors from slowness.

One more kind is a name in `rules.objective.Sli`, a class here, and a line in `_KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar, Protocol

from plugwarden_collector.durations import duration
from plugwarden_collector.figures import percent
from plugwarden_collector.rules.objective import Objective, Sli
from plugwarden_collector.rules.saturation import Saturation
from plugwarden_collector.rules.slices import Slices

__all__ = [
    "NO_CALLS",
    "Availability",
    "CallCounts",
    "Indicator",
    "Latency",
    "Minutes",
    "OfSlices",
    "Windows",
    "indicator_of",
    "summed",
    "summed_windows",
]


@dataclass(frozen=True, slots=True)
class CallCounts:
    """Calls that a promise is about (ADR 0057), as the rollups count them; what an SLI does not look at may be left at 0."""

    total: int = 0
    failed: int = field(default=0, kw_only=True)
    """Through the plugin's fault; in windows and periods, those that its breaker refused too."""
    slow: int = field(default=0, kw_only=True)
    """Longer than a threshold; in windows and periods, those that its breaker refused too."""

    def without(self, some: CallCounts) -> CallCounts:
        """Return counts less those of some of the same calls."""
        return CallCounts(self.total - some.total, failed=self.failed - some.failed, slow=self.slow - some.slow)


NO_CALLS = CallCounts()
Windows = Mapping[float, CallCounts]
"""Seconds -> counts."""


def summed(counts: Iterable[CallCounts]) -> CallCounts:
    """Return counts of several versions together."""
    total = failed = slow = 0  # in one pass: a fleet has thousands
    for item in counts:
        total, failed, slow = total + item.total, failed + item.failed, slow + item.slow
    return CallCounts(total, failed=failed, slow=slow)


def summed_windows(windows: Collection[Windows], sizes: Iterable[float]) -> Windows:
    """Return some windows of several versions together, in seconds; of one alone all that it has."""
    if len(windows) == 1:
        return next(iter(windows))
    return {size: summed(item[size] for item in windows if size in item) for size in sizes}


class Indicator(Protocol):
    """One kind of SLI."""

    waits_explain: ClassVar[bool]
    """Whether a downstream that keeps a plugin waiting explains what is bad."""

    def good(self, counts: CallCounts) -> int:
        """Return how many of the counted calls are good."""

    def why(self, limit: float | None = None) -> str:
        """Return what is said of bad calls, such as `calls failed`; `limit` is the one that was told of, where it is about one."""


@dataclass(frozen=True, slots=True)
class Availability:
    """Calls that did not fail through the plugin's fault. Waits that fail are the downstream's failures already."""

    calls: str = "calls"
    """What they are called."""
    waits_explain: ClassVar[bool] = False

    def good(self, counts: CallCounts) -> int:
        """Return the calls that did not fail."""
        return counts.total - counts.failed

    def why(self, limit: float | None = None) -> str:
        """Return what is said of calls that failed."""
        return f"{self.calls} failed"


@dataclass(frozen=True, slots=True)
class Latency:
    """Calls that took at most the threshold."""

    threshold_seconds: float | None
    calls: str = "calls"
    """What they are called."""
    waits_explain: ClassVar[bool] = True

    def good(self, counts: CallCounts) -> int:
        """Return the calls that were fast."""
        return counts.total - counts.slow

    def why(self, limit: float | None = None) -> str:
        """Return what is said of calls that were slow."""
        return f"{self.calls} took longer than {duration(self.threshold_seconds)}"


@dataclass(frozen=True, slots=True)
class OfSlices:
    """Slices of time in which enough calls were good; counts are of slices, and the bad ones are in `failed`."""

    by: Indicator
    """Which calls are good."""
    slices: Slices
    waits_explain: ClassVar[bool] = False

    def good(self, counts: CallCounts) -> int:
        """Return the good slices."""
        return counts.total - counts.failed

    def why(self, limit: float | None = None) -> str:
        """Return what is said of bad slices."""
        return f"slices of {duration(self.slices.seconds)} were bad, as more than {percent(1 - self.slices.good_ratio)} of {self.by.why()}"


@dataclass(frozen=True, slots=True)
class Minutes:
    """Minutes in which no host process was at the threshold of its limit; counts are of minutes, and the bad ones are in `failed`."""

    saturation: Saturation
    waits_explain: ClassVar[bool] = False

    def good(self, counts: CallCounts) -> int:
        """Return the good minutes."""
        return counts.total - counts.failed

    def why(self, limit: float | None = None) -> str:
        """Return what is said of bad minutes."""
        of = f"{'' if limit is None else f'{limit:g} '}{self.saturation.resource.unit}"
        return f"minutes at or above {percent(self.saturation.threshold_ratio)} of its limit of {of}"


_KINDS: Mapping[Sli, Callable[[Objective], Indicator]] = {
    Sli.AVAILABILITY: lambda objective: Availability(objective.calls),
    Sli.LATENCY: lambda objective: Latency(objective.threshold_seconds, objective.calls),
    Sli.SATURATION: lambda objective: Minutes(_given(objective.saturation)),
}


@cache
def indicator_of(objective: Objective) -> Indicator:
    """Return the SLI that an objective is about."""
    by = _KINDS[objective.sli](objective)
    return by if objective.slices is None else OfSlices(by, objective.slices)


def _given(saturation: Saturation | None) -> Saturation:
    """Return the saturation of an objective of it, which rules give to each."""
    assert saturation is not None  # noqa: S101 - rules without one are refused
    return saturation
