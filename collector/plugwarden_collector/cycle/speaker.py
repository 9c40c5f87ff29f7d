"""Who speaks for an alert, so that people are told of it once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from plugwarden.contract import Scope

from plugwarden_collector.decide.alert import AlertRecord, AlertState
from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.decide.wider import covers
from plugwarden_collector.judge.evidence import ATTENTION_NATS
from plugwarden_collector.rules.tiers import PAGE

from .tick import Tick
from .upstreams import Explaining

__all__ = ["covering", "inhibit"]

OBEYED_SECONDS = 30.0
"""From a quarantine until the last of its calls are in: sidecars hear of it at once, and export every few seconds."""


def inhibit(tick: Tick) -> None:
    """Mark alerts that something else speaks for, of which people are told instead: a quarantine, a suggestion, an incident or upstream."""
    explaining = Explaining(tick)
    for identity, incident in tick.standing.incidents.items():
        explained_by = explaining.incident(incident)
        if explained_by != incident.explained_by:
            tick.standing.incidents[identity] = explained = replace(incident, explained_by=explained_by)
            tick.changes.incidents.append(explained)
    for fingerprint, record in tick.standing.alerts.items():
        if record.alert.state is AlertState.INACTIVE and record.inhibited_by is None:
            continue
        by = None
        if record.alert.state is not AlertState.INACTIVE:
            by = _speaker(tick, record, explaining)
        if by != record.inhibited_by:
            marked = replace(record, inhibited_by=by)
            tick.standing.alerts[fingerprint] = marked
            tick.changes.alerts.append(marked)


def _speaker(tick: Tick, record: AlertRecord, explaining: Explaining) -> str | None:
    """Who speaks for an alert; nobody where it goes on although its cause was dealt with or is gone.

    What an `[[alert]]` says of a plugin no quarantine answers: nobody knows what it asks for.
    """
    held = None if record.watched else covering(tick.standing, record)
    if held is not None and not (held.in_force and _goes_on(tick, held, record)):
        return held.id
    for incident in tick.standing.incidents.values():
        if record.plugin in incident.plugins:
            return incident.id
    return None if record.watched else explaining.page(record)


def _goes_on(tick: Tick, held: Quarantine, record: AlertRecord) -> bool:
    """Whether calls still fail long after the quarantine, in what is judged beside it: it is too narrow."""
    settled = held.changed_at + timedelta(seconds=OBEYED_SECONDS)
    return any(
        key.plugin == record.plugin
        and record.version in {None, key.version}
        and item.nats >= ATTENTION_NATS
        and item.bad_at > settled
        for key, item in tick.watch.streams.items()
    )


def covering(standing: Standing, record: AlertRecord) -> Quarantine | None:
    """Return the quarantine or suggestion that answers an alert: of all that it is about or, of a page, of a part of that.

    A page asks that something is done about what fails, which may be one process or tenant; a ticket is about a promise, and goes on
    with whoever else is called (ADR 0048).
    """
    about = Scope(record.plugin, record.version)
    held = [
        item for item in standing.quarantines.values() if item.ended_at is None and item.scope.plugin == record.plugin
    ]
    whole = next((item for item in held if covers(item.scope, about)), None)
    if whole is not None or record.severity != PAGE:
        return whole
    return next((item for item in held if item.scope.version in {None, record.version}), None)
