"""Blaming: causes that several plugins share, and who speaks for a firing alert."""

from __future__ import annotations

from dataclasses import replace

from plugwarden_collector.decide.audit import Draft
from plugwarden_collector.decide.quarantine import AUTOMATION, Quarantine
from plugwarden_collector.decide.standing import AlertRecord, Incident, Standing
from plugwarden_collector.judge.alert import AlertState
from plugwarden_collector.judge.blame import Burning, common_causes, troubled_downstreams
from plugwarden_collector.judge.objective import Sli

from .tick import Tick, new_id

__all__ = ["covering", "excuse", "find_causes", "firing_pages", "inhibit"]


def find_causes(tick: Tick) -> None:
    """Open, widen and end incidents: causes that several plugins share."""
    standing = tick.standing
    slis = {objective.name: objective.sli for objective in tick.rules.objectives}
    firing = firing_pages(tick)
    waiting = {name for plugins in troubled_downstreams(tick.seen.waits).values() for name in plugins}
    burning = [
        Burning(record.plugin, record.version, slis[record.slo], record.alert.pending_at or tick.at)
        for record in firing
        # What an open downstream incident explains already must not look like a second cause when the wait is over.
        if record.slo in slis and (excuse(tick, record) is None or record.plugin in waiting)
    ]
    isolated = [item.scope for item in standing.quarantines.values() if item.in_force]
    for cause in common_causes(burning, tick.seen.waits, tick.seen.running, isolated):
        incident = next(
            (item for item in standing.incidents.values() if item.cause == f"{cause.kind}:{cause.name}"), None
        )
        if incident is not None and set(cause.plugins) <= set(incident.plugins):
            continue
        plugins = tuple(sorted({*cause.plugins, *(incident.plugins if incident else ())}))
        what = f"downstream {cause.name}" if cause.kind == "downstream" else "a cause that several plugins share"
        summary = f"{what} hurts {', '.join(plugins)}: {cause.explanation}"
        if incident is None:
            identity = new_id("i", cause.kind, cause.name, tick.at)
            incident = Incident(identity, f"{cause.kind}:{cause.name}", summary, plugins, tick.at)
        else:
            incident = replace(incident, summary=summary, plugins=plugins)
        standing.incidents[incident.id] = incident
        tick.changes.incidents.append(incident)
        reason = f"{summary}. One incident for people; no plugin is quarantined for it."
        tick.changes.decisions.append(
            Draft(tick.at, "common_cause", AUTOMATION, ", ".join(plugins), reason, tick.rules.policy.enforcement.value,
                  incident.id, {"cause": cause.kind, "name": cause.name, "plugins": list(plugins)})
        )  # fmt: skip
    still = {record.plugin for record in firing}
    for incident in list(standing.incidents.values()):
        if not still & set(incident.plugins):
            ended = replace(incident, ended_at=tick.at)
            del standing.incidents[incident.id]
            tick.changes.incidents.append(ended)
            tick.changes.decisions.append(
                Draft(tick.at, "common_cause_over", AUTOMATION, ", ".join(incident.plugins),
                      f"none of {', '.join(incident.plugins)} burns any more", "enforce", incident.id)
            )  # fmt: skip


def excuse(tick: Tick, record: AlertRecord) -> str | None:
    """The shared cause that speaks for a plugin: a downstream explains slowness, simultaneity explains anything."""
    slis = {objective.name: objective.sli for objective in tick.rules.objectives}
    for incident in tick.standing.incidents.values():
        slow_only = incident.cause.startswith("downstream:")
        if record.plugin in incident.plugins and (not slow_only or slis.get(record.slo) is Sli.LATENCY):
            return f"{incident.summary} (incident {incident.id})"
    return None


def inhibit(tick: Tick) -> None:
    """Mark alerts that somebody else speaks for: a quarantine in force, or an incident."""
    for fingerprint, record in tick.standing.alerts.items():
        if record.alert.state is AlertState.INACTIVE and record.inhibited_by is None:
            continue
        by = None
        if record.alert.state is not AlertState.INACTIVE:
            held = covering(tick.standing, record)
            if held is not None:
                by = held.id
            elif excuse(tick, record) is not None:
                by = next(item.id for item in tick.standing.incidents.values() if record.plugin in item.plugins)
        if by != record.inhibited_by:
            marked = replace(record, inhibited_by=by)
            tick.standing.alerts[fingerprint] = marked
            tick.changes.alerts.append(marked)


def firing_pages(tick: Tick) -> list[AlertRecord]:
    """Alerts that fire and would wake somebody."""
    return [
        record
        for record in tick.standing.alerts.values()
        if record.alert.state is AlertState.FIRING and record.severity == "page"
    ]


def covering(standing: Standing, record: AlertRecord) -> Quarantine | None:
    """The quarantine that answers an alert: one made for it, or one in force for all of the version's calls."""
    for item in standing.quarantines.values():
        scope = item.scope
        if item.ended_at is not None or scope.plugin != record.plugin or scope.version not in {None, record.version}:
            continue
        whole = scope.operation is None and scope.instance is None and scope.tenant is None
        if item.alert == record.alert.fingerprint or (whole and item.in_force):
            return item
    return None
