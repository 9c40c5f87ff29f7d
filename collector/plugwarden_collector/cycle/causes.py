"""Blaming: causes that several plugins share, and who speaks for a firing alert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.decide.alert import AlertRecord, AlertState
from plugwarden_collector.decide.identity import new_id
from plugwarden_collector.decide.quarantine import AUTOMATION, Quarantine
from plugwarden_collector.decide.standing import Incident, Standing
from plugwarden_collector.judge.blame import TOGETHER, Burning, common_causes, troubled_downstreams
from plugwarden_collector.judge.burn import Burn
from plugwarden_collector.judge.sli import indicator_of
from plugwarden_collector.rules.objective import Objective

from .tick import Tick

__all__ = ["covering", "excuse", "find_causes", "firing_pages", "inhibit"]

OBEYED_SECONDS = 30.0
"""From a quarantine until the last of its calls are in: sidecars hear of it at once, and export every few seconds."""


def find_causes(tick: Tick) -> None:
    """Open, widen and end incidents: causes that several plugins share."""
    standing = tick.standing
    explained = _explained_by_waits(tick)
    firing = firing_pages(tick)
    waiting = {name for plugins in troubled_downstreams(tick.seen.waits).values() for name in plugins}
    burning = [
        Burning(record.plugin, record.version, explained[record.slo], record.alert.pending_at or tick.at)
        for record in firing
        # What an open downstream incident explains already must not look like a second cause when the wait is over.
        if record.slo in explained and (excuse(tick, record) is None or record.plugin in waiting)
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
    incident = _excusing(tick, record)
    return None if incident is None else f"{incident.summary} (incident {incident.id})"


def _excusing(tick: Tick, record: AlertRecord) -> Incident | None:
    explained = _explained_by_waits(tick)
    for incident in tick.standing.incidents.values():
        waits_only = incident.cause.startswith("downstream:")
        if record.plugin in incident.plugins and (not waits_only or explained.get(record.slo, False)):
            return incident
    return None


def _explained_by_waits(tick: Tick) -> dict[str, bool]:
    """Return for each objective whether waits for a downstream explain why it burns."""
    return {objective.name: indicator_of(objective).waits_explain for objective in tick.rules.objectives}


def inhibit(tick: Tick, behind: Mapping[str, tuple[Objective, tuple[Burn, ...]]]) -> None:
    """Mark alerts that somebody else speaks for: a quarantine, a suggestion or an incident, which people are told of instead."""
    for fingerprint, record in tick.standing.alerts.items():
        if record.alert.state is AlertState.INACTIVE and record.inhibited_by is None:
            continue
        by = None
        if record.alert.state is not AlertState.INACTIVE:
            by = _speaker(tick, record, behind.get(fingerprint, (None, ()))[1])
        if by != record.inhibited_by:
            marked = replace(record, inhibited_by=by)
            tick.standing.alerts[fingerprint] = marked
            tick.changes.alerts.append(marked)


def _speaker(tick: Tick, record: AlertRecord, tiers: tuple[Burn, ...]) -> str | None:
    """Who speaks for an alert; nobody where it burns on although its cause was dealt with or is gone."""
    held = covering(tick.standing, record)
    if held is not None and not (held.in_force and _burns_on(tick, held, tiers)):
        return held.id
    incident = _excusing(tick, record)
    return incident.id if incident is not None and not _left_alone(tick, incident, record) else None


def _burns_on(tick: Tick, held: Quarantine, tiers: tuple[Burn, ...]) -> bool:
    """Whether the short window burns with failures from after the quarantine: it is too narrow, or somebody does not obey."""
    since = (tick.at - held.changed_at).total_seconds()
    return any(burn.met and since > burn.tier.short_seconds + OBEYED_SECONDS for burn in tiers)


def _left_alone(tick: Tick, incident: Incident, record: AlertRecord) -> bool:
    """Whether all others of a simultaneous failure have been well for a while: what they shared does not explain this one."""
    if incident.cause.startswith("downstream:") or tick.at - incident.started_at <= TOGETHER:
        return False
    for other in tick.standing.alerts.values():
        if other.plugin == record.plugin or other.plugin not in incident.plugins or other.severity != "page":
            continue
        ended = other.alert.resolved_at
        if other.alert.state is AlertState.FIRING or (ended is not None and tick.at - ended <= TOGETHER):
            return False
    return True


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
