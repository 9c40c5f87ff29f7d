"""What one tick makes of a quarantine: its new state, and the entry that says so."""

from __future__ import annotations

from collections.abc import Mapping

from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.decide.quarantine import AUTOMATION, Quarantine

from .tick import Tick

__all__ = ["decide", "put"]


def put(tick: Tick, item: Quarantine) -> None:
    """Set a quarantine to what it is from now on."""
    tick.standing.quarantines[item.id] = item
    tick.changes.quarantines.append(item)


def decide(tick: Tick, item: Quarantine, kind: str, reason: str, evidence: Mapping[str, object] | None = None) -> None:
    """Add an entry about a quarantine to the decision log."""
    tick.changes.decisions.append(
        Draft(tick.at, kind, AUTOMATION, str(item.scope), reason, item.enforcement.value, item.id, evidence)
    )
