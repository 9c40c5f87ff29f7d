"""Ends of alerts that no call will ever end: of versions that run no more, and of objectives that are gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from plugwarden_collector.decide.alert import AlertRecord, AlertState
from plugwarden_collector.decide.changes import AlertEvent
from plugwarden_collector.durations import duration
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.tiers import TICKET

from .speaker import covering
from .tick import Tick

__all__ = ["end_alert", "expire"]

MIN_QUIET_SECONDS = 60.0
"""Windows of a few seconds are shorter than the pause between two exports, which is 60 s for some SDKs."""


def expire(tick: Tick) -> None:
    """End alerts of what has stopped running for good: it neither burns nor recovers.

    No data is no recovery. That no call comes is an end only where the plugin goes on without the version (a release that was rolled
    back), or when not even the longest window knows a call. What a quarantine in force stopped is held. What is about a plugin goes on with
    whichever version is called.
    """
    objectives = {objective.name: objective for objective in tick.rules.objectives}
    for record in list(tick.standing.alerts.values()):
        if record.alert.state is AlertState.INACTIVE or record.watched:
            continue
        if record.severity == TICKET and record.version is not None:  # an earlier version made it
            end_alert(tick, record, f"expired: tickets are of {record.plugin} over all of its versions")
            continue
        speaker = covering(tick.standing, record)
        if speaker is not None and speaker.in_force:
            continue
        objective = objectives.get(record.slo)
        if objective is None:
            end_alert(tick, record, f"expired: there is no objective {record.slo} any more")
        elif why := _replaced(tick, objective, record) or _gone(tick, objective, record):
            end_alert(tick, record, f"expired: {why}")


def end_alert(tick: Tick, record: AlertRecord, why: str) -> None:
    """An alert is over for a reason that is not in its windows."""
    alert = replace(record.alert, state=AlertState.INACTIVE, pending_at=None, resolved_at=tick.at, quiet_since=None)
    ended = replace(record, alert=alert, changed_at=tick.at)
    tick.standing.alerts[alert.fingerprint] = ended
    tick.changes.alerts.append(ended)
    tick.changes.alert_events.append(AlertEvent(tick.at, ended, record.alert.state, AlertState.INACTIVE, why))


def _replaced(tick: Tick, objective: Objective, record: AlertRecord) -> str | None:
    """Whether the plugin's calls go to other versions: none of this one in any short window of the alert's severity."""
    if record.version is None:
        return None
    counted = tick.seen.windows.get(objective.name, {})
    own = counted.get((record.plugin, record.version), {})
    shorts = [tier.short_seconds for tier in objective.tiers if tier.severity == record.severity]
    if any(own.get(size, CallCounts()).total for size in shorts):
        return None
    quiet = max([MIN_QUIET_SECONDS, *shorts])
    called_at = tick.seen.called_at.get((record.plugin, record.version))
    since = record.alert.firing_at or record.alert.pending_at or tick.at
    # A version whose calls are all refused, by whatever, still runs: it is asked for.
    if (called_at is not None and tick.at - called_at < timedelta(seconds=quiet)) or tick.at - since < timedelta(
        seconds=quiet
    ):
        return None
    runs = sorted(
        version
        for (plugin, version), windows in counted.items()
        if plugin == record.plugin and version != record.version and windows.get(min(shorts), CallCounts()).total
    )
    if not runs:
        return None
    return f"no call of {record.plugin}@{record.version} within {duration(quiet)}, while {', '.join(runs[:3])} of it is called"


def _gone(tick: Tick, objective: Objective, record: AlertRecord) -> str | None:
    longest = max(tier.long_seconds for tier in objective.tiers)
    since = record.alert.firing_at or record.alert.pending_at or tick.at
    if tick.at - since < timedelta(seconds=longest):
        return None
    if any(
        plugin == record.plugin and record.version in {None, version}
        for plugin, version in tick.seen.windows.get(objective.name, {})
    ):
        return None
    return f"no call of {record.about} within {duration(longest)}"
