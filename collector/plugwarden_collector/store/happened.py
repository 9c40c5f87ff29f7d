"""What came of a span of time in truth, for whoever replays it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from .ledger_rows import AlertEventRow, IncidentRow, QuarantineRow

__all__ = ["Asked", "Happened"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A decision that isolated nothing: it was noted, people were warned, or a person was asked."""

    time: datetime
    """When, UTC."""
    kind: str
    """`suggested`, `warned`, `prevented` or `would_quarantine`."""
    actor: str
    scope: str
    reason: str


@dataclass(frozen=True, slots=True)
class Happened:
    """From a moment on, the oldest first."""

    quarantines: Sequence[QuarantineRow]
    """Scopes that were isolated, or suggested."""
    asked: Sequence[Asked]
    alerts: Sequence[AlertEventRow]
    """Alerts on plugins that began to fire."""
    incidents: Sequence[IncidentRow]
    corrections: int
    """How many leave something of it out of budgets."""
