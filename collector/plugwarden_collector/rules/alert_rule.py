"""Alerts that rest on no objective: what is looked at, when it is told, and when it is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from plugwarden_collector.durations import duration
from plugwarden_collector.figures import number

from .pattern import EVERY, matches
from .upstream import Upstream

__all__ = ["AlertKind", "AlertRule", "Limit", "Measure", "NoData", "Severity"]


class AlertKind(StrEnum):
    """What is looked at."""

    SQL = "sql"
    """Rows of a statement over the stable views, each compared with a limit."""
    ABSENCE = "absence"
    """Calls that do not come, though a host of theirs lives."""
    ANOMALY = "anomaly"
    """What is not as it was at the same time of the days before."""
    FORECAST = "forecast"
    """Values of a statement that will soon be where they must not be."""
    UPSTREAM = "upstream"
    """Burn rates or the budget of an objective that an `[[upstream]]` sets; no `[[alert]]` is of this kind."""


class Measure(StrEnum):
    """What of a plugin's calls is compared with the days before."""

    CALLS = "calls"
    FAILED = "failed"
    """Share of those that ended by themselves that failed, whoever was to blame."""
    DURATION = "duration"
    """How long one takes, on average."""

    @property
    def words(self) -> str:
        """What a sentence about it begins with."""
        return {Measure.CALLS: "calls:", Measure.FAILED: "failed share:", Measure.DURATION: "time of a call:"}[self]


class Severity(StrEnum):
    """How soon somebody should look."""

    PAGE = "page"
    TICKET = "ticket"


class NoData(StrEnum):
    """What becomes of something that was there and has no value any more."""

    OK = "ok"
    """It is well."""
    KEEP = "keep"
    """It stays as it was."""
    ALERT = "alert"
    """That is the trouble."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One side that a value must not be on; a value that equals it is on neither."""

    above: float | None = None
    below: float | None = None

    def met(self, value: float) -> bool:
        """Whether a value is beyond it."""
        return (self.above is not None and value > self.above) or (self.below is not None and value < self.below)

    def __str__(self) -> str:
        sides = {"above": self.above, "below": self.below}
        return " or ".join(f"{word} {number(value)}" for word, value in sides.items() if value is not None)


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One `[[alert]]`: each row or plugin that it finds is an alert of its own. None of them isolates anything."""

    name: str
    kind: AlertKind
    severity: Severity = Severity.TICKET
    every_seconds: float = 60.0
    """Seconds from one look to the next."""
    for_seconds: float = 0.0
    """How long it must be so before the alert fires."""
    keep_firing_seconds: float = 0.0
    """How long it must be over before the alert ends."""
    fails: int = 1
    """At so many of the last `looks` it must be so."""
    looks: int = 1
    no_data: NoData = NoData.OK
    sql: str = ""
    """Statement of the kind `sql`, which gives a column `value` and labels."""
    limit: Limit = Limit()
    """When a value is trouble."""
    recover: Limit | None = None
    """When the value of an alert that fires is well again; None: as soon as `limit` is not met."""
    plugins: str = EVERY
    """Pattern of plugin ids of the kind `absence`."""
    operations: str | None = None
    """Pattern of its operations, each of which is looked at by itself; None: any call of a plugin will do."""
    silence_seconds: float = 0.0
    """How long calls may stay away."""
    measure: Measure = Measure.CALLS
    """What the kind `anomaly` looks at."""
    over_seconds: float = 0.0
    """Length of the window that is compared; it divides a day."""
    deviations: float = 0.0
    """How many deviations from the middle are usual."""
    full: float = 0.0
    """Where the values of the kind `forecast` must not come."""
    within_seconds: float = 0.0
    """How soon that must be foreseen for an alert."""
    upstream: Upstream | None = None
    """Objective of the kind `upstream`."""
    spent: bool = False
    """Whether that kind looks at whether the budget of the whole period is spent, in place of burn rates."""
    place: str = field(default="", compare=False)
    """Where it stands in its file, such as `alert[0]`."""
    line: int = field(default=0, compare=False)
    """Line of its statement there; 0 where it is not known."""
    display_name: str = ""
    """What people call it; empty: its name."""
    description: str = ""
    """What it means, and to whom."""
    owner: str = ""
    """Team or person that answers for what it is about."""
    runbook: str = ""
    """What to do when it fires: an address, or the text itself."""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    """More that people sort and route by."""

    @property
    def fires_when(self) -> str:
        """When it fires, in a few words."""
        match self.kind:
            case AlertKind.SQL:
                return str(self.limit)
            case AlertKind.ABSENCE:
                return f"no call for {duration(self.silence_seconds)}"
            case AlertKind.ANOMALY:
                return f"{self.measure.value} unusual by {number(self.deviations)} deviations"
            case AlertKind.FORECAST:
                return f"at {number(self.full)} within {duration(self.within_seconds)}"
            case AlertKind.UPSTREAM:
                return "its budget is spent" if self.spent else "its budget burns too fast"

    @property
    def title(self) -> str:
        """What people call it."""
        return self.display_name or self.name

    def covers(self, plugin: str, operation: str) -> bool:
        """Whether it looks at an operation of a plugin, or at a plugin as a whole."""
        return matches(self.plugins, plugin) and (self.operations is None or matches(self.operations, operation))
