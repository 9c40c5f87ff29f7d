"""Objectives: what plugins are held to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from plugwarden.contract.histogram import threshold_index

from .pattern import EVERY, matches
from .period import Calendar, Period, calendar_period, rolling_period
from .saturation import MINUTES, Saturation
from .slices import Slices
from .tiers import SRE, BurnWindows, Tier, tiers_for

__all__ = ["FOR_PEOPLE", "SLI_KEYS", "Objective", "Sli"]


class Sli(StrEnum):
    """What is measured."""

    AVAILABILITY = "availability"
    """Calls that did not fail through the plugin's fault, out of all that ended by themselves or that its own breaker refused, but for
    those that their caller made wrongly."""
    LATENCY = "latency"
    """Calls that were answered within the threshold, out of the same."""
    SATURATION = "saturation"
    """Minutes in which no host process used as much of its limit as the threshold, out of those in which the plugin was called and a
    limit of it was known."""


SLI_KEYS: Mapping[Sli, Mapping[str, str]] = {
    Sli.AVAILABILITY: {},
    Sli.LATENCY: {"threshold": '"250ms"'},
    Sli.SATURATION: {"resource": '"concurrency"', "threshold": "0.8"},
}
"""Keys of an objective that a kind of SLI needs, each with an example; a kind that does not need one does not have it."""


@dataclass(frozen=True, slots=True)
class Objective:
    """One service-level objective, for every plugin that its pattern matches: its budget is the plugin's, each version is judged by it."""

    name: str
    sli: Sli
    target_ratio: float
    """In (0, 1)."""
    period_seconds: float
    """Over which the error budget counts; of the calendar, what burn-rate windows are scaled to."""
    plugins: str = "*"
    """A shell pattern for plugin ids, or several as `{image-*,thumb-*}`."""
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
    # What follows is left out of the hash: objectives are looked up by it for every plugin.
    display_name: str = field(default="", hash=False)
    """What people call it; empty: its name."""
    description: str = field(default="", hash=False)
    """What it promises, and to whom."""
    owner: str = field(default="", hash=False)
    """Team or person that answers for what it covers."""
    runbook: str = field(default="", hash=False)
    """What to do when it burns: an address, or the text itself."""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    """More that people sort and route by; names are those of Prometheus' labels."""
    burn_windows: BurnWindows = field(default=SRE, hash=False)
    """The table of window pairs that people are alerted by."""
    calendar: Calendar | None = field(default=None, hash=False)
    """When the budget begins anew; None: its period rolls."""
    versions: str = field(default=EVERY, hash=False)
    """A pattern of versions, as of plugins: calls of others do not count."""
    operations: str = field(default=EVERY, hash=False)
    """A pattern of operations: calls of others do not count."""
    slices: Slices | None = field(default=None, hash=False)
    """What the budget counts as the rules say it; None: calls, or minutes of saturation."""
    saturation: Saturation | None = field(default=None, hash=False)
    """For saturation: of what, and from where on it is full."""

    def covers(self, plugin: str) -> bool:
        """Whether this objective is about a plugin."""
        return matches(self.plugins, plugin)

    @property
    def cut(self) -> Slices | None:
        """How time is cut into what the budget counts; None: it counts calls."""
        return self.slices if self.saturation is None else MINUTES

    @property
    def measured(self) -> str:
        """What it counts, in a word: the SLI, or slices by it."""
        return self.sli.value if self.slices is None else f"{self.sli.value}_slices"

    @property
    def calls(self) -> str:
        """What the calls that it is about are called."""
        said = (("operation", self.operations), ("version", self.versions))
        return "calls" + "".join(f" of {key} {pattern}" for key, pattern in said if pattern != EVERY)

    @property
    def isolates(self) -> bool:
        """Whether the automation may isolate for it: what it says is said of single calls, and of all of a version,
        as evidence is."""
        return self.versions == EVERY and self.operations == EVERY and self.cut is None

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """The burn-rate tiers for this objective's period."""
        return tiers_for(self.period_seconds, self.burn_windows, 0 if self.cut is None else self.cut.seconds)

    @property
    def threshold_index(self) -> int | None:
        """The last histogram bucket that counts as fast; None where durations do not count."""
        return None if self.threshold_seconds is None else threshold_index(self.threshold_seconds)

    def period_at(self, at: datetime) -> Period:
        """Return the period that the error budget counts over at a moment (UTC, without a zone)."""
        if self.calendar is not None:
            return calendar_period(self.calendar, at)
        if self.cut is None:
            return rolling_period(self.period_seconds, at)
        ended = self.cut.floor(at)
        return Period(ended - timedelta(seconds=self.period_seconds), ended)

    def sizes_of(self, severity: str) -> tuple[float, ...]:
        """Return every window of the tiers of one severity, in seconds."""
        mine = (tier for tier in self.tiers if tier.severity == severity)
        return tuple(size for tier in mine for size in (tier.long_seconds, tier.short_seconds))

    @property
    def over_versions(self) -> str:
        """Over which versions its budget is, in words."""
        return "all of its versions" if self.versions == EVERY else f"those of its versions that match {self.versions}"

    @property
    def windows(self) -> tuple[float, ...]:
        """Every window that its burn rates are of, in seconds."""
        return tuple(sorted({size for tier in self.tiers for size in (tier.long_seconds, tier.short_seconds)}))


FOR_PEOPLE = frozenset(
    {
        "display_name",
        "description",
        "owner",
        "runbook",
        "labels",
        "burn_windows",
        "calendar",
        "versions",
        "operations",
        "slices",
        "saturation",
    }
)
"""Fields of an objective that no decision rests on, for budgets and burn rates isolate nobody, and neither do objectives of some versions
or operations, of slices of time, or of saturation: they are not kept with one."""
