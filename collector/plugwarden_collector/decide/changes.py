"""What a tick, or a person, changed: new values of what stands, and events that the ledger keeps."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime

from plugwarden.contract import DirectiveSet

from plugwarden_collector.audit.entries import Draft

from .acknowledgement import Acknowledgement
from .alert import AlertRecord, AlertState
from .correction import Correction
from .quarantine import Quarantine
from .silence import Silence
from .standing import Incident

__all__ = ["AlertEvent", "Annotation", "BudgetStatus", "Changes", "Freeze"]


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """An alert that went from one state to another."""

    at: datetime
    record: AlertRecord
    """As it is after it."""
    before: AlertState
    after: AlertState
    reason: str


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """An error budget of a plugin at one moment, for the views `plugin_budgets` and `slo_status`; equal to another that says the same."""

    slo: str
    plugin: str
    version: str | None
    """None: over all versions that were called within the period."""
    at: datetime = field(compare=False)
    sli: str
    target_ratio: float
    period_seconds: float
    total: int
    bad: int
    sli_ratio: float | None
    """None without events."""
    remaining_ratio: float | None
    burn_rate: float
    """How fast it burns in the long window of the fastest tier."""
    exhausted_seconds: float | None
    """Seconds until the rest is gone at that rate; None where it does not burn, or nothing is left."""
    versions: int = 1
    """Versions that it is about."""
    period_started_at: datetime | None = None
    """When a period of the calendar began; None of one that rolls."""
    period_ends_at: datetime | None = None
    """When it begins anew; None of one that rolls."""
    excluded_seconds: float = 0.0
    """How much of the period corrections leave out."""

    @property
    def key(self) -> tuple[str, str, str | None]:
        """Which budget it is."""
        return self.slo, self.plugin, self.version


@dataclass(frozen=True, slots=True)
class Annotation:
    """Something that happened to a plugin version and may explain what came after it, for the view `changes`."""

    at: datetime
    kind: str
    """`deployment`: a version was seen for the first time."""
    plugin: str
    version: str
    text: str


@dataclass(frozen=True, slots=True)
class Freeze:
    """The automation's switch as somebody left it."""

    reason: str | None
    """Why the automation is switched off; None when it is on again."""


@dataclass(slots=True)
class Changes:
    """All that one tick, or one act of a person, changed."""

    alerts: list[AlertRecord] = field(default_factory=list)
    alert_events: list[AlertEvent] = field(default_factory=list)
    quarantines: list[Quarantine] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    decisions: list[Draft] = field(default_factory=list)
    directives: DirectiveSet | None = None
    slo_status: list[BudgetStatus] = field(default_factory=list)
    """Budgets, by version and over all versions."""
    changes: list[Annotation] = field(default_factory=list)
    at: datetime | None = None
    look_at: datetime | None = None
    """When to look again though nothing arrives until then: something that waits may be acted on. None: no sooner than usual."""
    silences: list[Silence] = field(default_factory=list)
    """New ones, and those that were extended or moved in time."""
    unsilenced: list[str] = field(default_factory=list)
    """Ids of silences that were taken back."""
    acknowledgements: list[Acknowledgement] = field(default_factory=list)
    """New ones, and those that were moved in time."""
    unacknowledged: list[str] = field(default_factory=list)
    """Ids of acknowledgements that others took the place of."""
    corrections: list[Correction] = field(default_factory=list)
    """New ones, and those that were ended or withdrawn."""
    freeze: Freeze | None = None
    """None: the switch was not touched."""
    shifted_seconds: float | None = None
    """By how much holds and silences were moved with the clock over all; None: they were not moved."""
    watch: str | None = None
    """What is suspected, as text (`judge.kept_watch`); None: what was kept before stands."""
    watched: dict[str, str | None] = field(default_factory=dict)
    """Name of an `[[alert]]` -> what is kept of its looks, as text (`watch.kept`); None: nothing is any more."""
    noted: str | None = None
    """What was said already, as text (`decide.noted`); None: what was kept before stands."""

    @property
    def moves_subjects(self) -> bool:
        """Whether what people must know of may be other than before."""
        return any(
            (self.alerts, self.quarantines, self.incidents, self.silences, self.unsilenced, self.acknowledgements)
        )

    def __bool__(self) -> bool:
        return any(
            getattr(self, item.name) not in (None, [], {})
            for item in fields(self)
            if item.name not in {"at", "look_at"}
        )
