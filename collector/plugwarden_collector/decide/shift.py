"""What is to happen after a length of time, moved by as much as the clock was. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from .changes import Changes
from .override import shifted
from .silence import Silence
from .standing import Standing

__all__ = ["shift"]


def shift(standing: Standing, seconds: float, at: datetime) -> tuple[Standing, Changes]:
    """Return a standing whose holds, probation steps, overrides, pending and quiet times, counted actions, silences and
    acknowledgements, and when something pointed at an incident last, have moved, and what changed.

    A clock that was put right by a day must neither end a hold of an hour nor make it last a day longer. Silences in force and
    overrides were asked for by their length; a silence to come was asked for by the calendar, and stays.
    """
    by, fresh, changes = timedelta(seconds=seconds), standing.copy(), Changes(at=at)
    for identity, item in standing.quarantines.items():
        if item.ended_at is None:
            moved = replace(item, hold_until=_moved(item.hold_until, by), changed_at=item.changed_at + by)
        else:
            moved = shifted(item, by, at)
        if moved is not item:
            fresh.quarantines[identity] = moved
            changes.quarantines.append(moved)
    for fingerprint, record in standing.alerts.items():
        alert = replace(
            record.alert,
            pending_at=_moved(record.alert.pending_at, by),
            quiet_since=_moved(record.alert.quiet_since, by),
        )
        if alert != record.alert:
            fresh.alerts[fingerprint] = replace(record, alert=alert)
            changes.alerts.append(fresh.alerts[fingerprint])
    fresh.incidents = {
        identity: replace(item, seen_at=_moved(item.seen_at, by)) for identity, item in standing.incidents.items()
    }
    changes.incidents = list(fresh.incidents.values())
    fresh.actions = [moment + by for moment in standing.actions]
    fresh.silences = tuple(_moved_silence(item, by, at) for item in standing.silences)
    changes.silences = list(fresh.silences)
    fresh.acknowledgements = tuple(
        replace(item, made_at=item.made_at + max(by, timedelta(0)), ends_at=item.ends_at + by)
        for item in standing.acknowledgements
    )
    changes.acknowledgements = list(fresh.acknowledgements)
    return fresh, changes


def _moved(at: datetime | None, by: timedelta) -> datetime | None:
    return None if at is None else at + by


def _moved_silence(item: Silence, by: timedelta, at: datetime) -> Silence:
    begun = item.starts_at <= max(at, at - by)  # by the clock of now, or of before
    return replace(item, starts_at=item.starts_at + by, ends_at=item.ends_at + by) if begun else item
