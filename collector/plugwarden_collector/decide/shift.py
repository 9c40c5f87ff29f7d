"""What is to happen after a length of time, moved by as much as the clock was. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from .changes import Changes
from .silence import Silence
from .standing import Standing

__all__ = ["shift", "shifted_silences"]


def shift(standing: Standing, seconds: float) -> tuple[Standing, Changes]:
    """Return `standing` with holds, probation steps, pending and quiet times and the counted hour of actions moved, and what
    changed by it.

    A clock that was put right by a day must neither end a hold of an hour nor make it last a day longer.
    """
    by, changes, standing = timedelta(seconds=seconds), Changes(), standing.copy()
    for identity, item in list(standing.quarantines.items()):
        if item.ended_at is None:
            moved = replace(item, hold_until=_moved(item.hold_until, by), changed_at=item.changed_at + by)
            standing.quarantines[identity] = moved
            changes.quarantines.append(moved)
    for fingerprint, record in list(standing.alerts.items()):
        alert = replace(
            record.alert,
            pending_at=_moved(record.alert.pending_at, by),
            quiet_since=_moved(record.alert.quiet_since, by),
        )
        if alert != record.alert:
            standing.alerts[fingerprint] = replace(record, alert=alert)
            changes.alerts.append(standing.alerts[fingerprint])
    standing.actions = [moment + by for moment in standing.actions]
    return standing, changes


def shifted_silences(silences: list[Silence], seconds: float) -> list[Silence]:
    """Silences were asked for by their length."""
    by = timedelta(seconds=seconds)
    return [replace(item, starts_at=item.starts_at + by, ends_at=item.ends_at + by) for item in silences]


def _moved(at: datetime | None, by: timedelta) -> datetime | None:
    return None if at is None else at + by
