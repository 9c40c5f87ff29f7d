"""The collector's own status and health."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from plugwarden.contract.value import value

from plugwarden_collector.health.conditions import Verdict
from plugwarden_collector.health.readings import Readings
from plugwarden_collector.health.senders import SenderState
from plugwarden_collector.store.ledger_rows import ConditionEvent

from .answer import Answer

__all__ = [
    "Condition",
    "ConditionEvent",
    "Health",
    "HealthHistory",
    "Listener",
    "Now",
    "RefusedItems",
    "SenderTable",
    "Status",
]


@value
class Listener(Answer):
    """A sidecar that asks for directives."""

    service: str
    instance: str


@value
class Status(Answer):
    """How fresh the data are, how large the store is, and who listens for directives."""

    version: str
    at: datetime
    newest_data_at: datetime | None
    """Null: nothing ever came."""
    data_age_seconds: float | None
    database_bytes: int
    """Size of the file and its log."""
    queued_bytes: int
    """Taken, and not on disk yet."""
    commits: int
    """Since the start, as all counts here."""
    commit_seconds_last: float
    duplicates: int
    """Requests that were stored before and came again."""
    ticks: int
    """Turns of the judging loop."""
    judging: bool
    """Whether it has turned since the start."""
    warmed: bool
    """Whether what the store keeps in memory is loaded."""
    tick_failures: int
    tick_seconds_last: float
    enforcement: str
    """`observe`, `suggest` or `enforce`."""
    rules: str
    """The file they come from, or `built in`."""
    rules_warnings: tuple[str, ...]
    frozen: str | None
    """Why the automation is switched off; null: it acts."""
    directive_revision: int
    listeners: list[Listener]
    firing: int
    """Alerts, those that others push included: as many as `GET /api/v1/alerts` lists."""
    quarantined: int
    """Quarantines in force."""
    verdict: Verdict
    rows: Mapping[str, int]
    """Table -> rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Now(Answer, Readings):
    """What one look at the collector says; what is counted "within a minute" is counted since about a minute before."""

    seconds_until_full: float | None = field()
    """Until --max-size is reached, growing as now; null when it is not growing or there is no limit."""


@value
class Condition(Answer):
    """Something that may be wrong with the collector itself."""

    name: str
    title: str
    severity: str
    """`page` or `ticket`."""
    state: str
    """`inactive`, `pending` or `firing`."""
    summary: str
    """The numbers as of the last look."""
    next_step: str
    """What to do about it."""
    pending_at: datetime | None
    firing_at: datetime | None
    resolved_at: datetime | None
    silenced_by: str | None
    """Silence because of which nobody is told of it."""
    fingerprint: str
    """What it is acknowledged by."""
    acknowledged_by: str | None
    """Who knows of it, so that nobody is told again; null: nobody said so."""
    acknowledged_until: datetime | None
    """Until when, UTC."""


@value
class SenderTable(Answer):
    """Who sends telemetry."""

    known: int
    sending: int
    silent: int
    learning: int
    replaced: int
    ended: int
    rows: list[SenderState]
    """The first two hundred."""


@value
class RefusedItems(Answer):
    """What could not be taken, of one signal for one reason."""

    signal: str
    reason: str
    items: int


@value
class HealthHistory(Answer):
    """The recent past for charts, oldest first: a column each, with an entry a step."""

    at: list[datetime]
    """End of the step."""
    traces: list[float]
    """Spans a second."""
    metrics: list[float]
    """Points a second."""
    logs: list[float]
    """Records a second."""
    lag_p50_seconds: list[float | None]
    """From receipt to disk."""
    lag_p99_seconds: list[float | None]
    commit_p50_seconds: list[float | None]
    commit_p99_seconds: list[float | None]
    queued_bytes: list[int]
    busy: list[int]
    """Requests told to come back."""
    used_bytes: list[int]
    file_bytes: list[int]
    wal_bytes: list[int]
    tick_seconds: list[float]
    """The last turn of the judging loop."""
    rollup_lag_seconds: list[float]


@value
class Health(Answer):
    """Whether the collector itself is well."""

    at: datetime
    began_at: datetime
    looked_at: datetime
    verdict: Verdict
    now: Now
    conditions: list[Condition]
    events: list[ConditionEvent]
    """Newest first."""
    senders: SenderTable
    refused: list[RefusedItems]
    """Most first."""
    history: HealthHistory
