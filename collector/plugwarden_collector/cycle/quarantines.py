"""Deciding: what is taken out, and what every quarantine does next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from plugwarden.contract import QuarantineState, Scope

from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.decide.alert import AlertRecord, AlertState
from plugwarden_collector.decide.guard import Fleet, vetoes
from plugwarden_collector.decide.identity import new_id
from plugwarden_collector.decide.quarantine import AUTOMATION, Probes, Quarantine, release, transition
from plugwarden_collector.figures import percent
from plugwarden_collector.judge.blame import failing_cell_scope
from plugwarden_collector.judge.burn import Burn
from plugwarden_collector.judge.failures import calls_by_error
from plugwarden_collector.judge.sli import Availability
from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.policy import Enforcement

from .causes import covering, excuse, firing_pages
from .directives import lets_newcomers_in
from .endings import end_alert
from .tick import Tick

__all__ = ["admit_newcomers", "advance", "quarantine_what_burns"]

LOOKBACK = 5
"""So many long windows are looked through for calls that went well, so that there are enough to call a part healthy."""


def quarantine_what_burns(tick: Tick, behind: Mapping[str, tuple[Objective, tuple[Burn, ...]]]) -> None:
    """Take out the scope behind every page that nobody speaks for, unless a guard rail or the policy forbids it."""
    standing, policy = tick.standing, tick.rules.policy
    for record in firing_pages(tick):
        fingerprint = record.alert.fingerprint
        if fingerprint not in behind or covering(standing, record) is not None:
            continue
        if policy.enforcement is Enforcement.OBSERVE and _noted(tick, record, "would_quarantine"):
            continue  # it was said; whoever only observes looks at each page once, however many there are
        objective, tiers = behind[fingerprint]
        met = [burn for burn in tiers if burn.met]
        if not met:
            continue  # it fires on, but nothing burns right now: not a moment to act
        burn = met[0]
        cells = tick.evidence.cells(record.plugin, tick.at, burn.tier.long_seconds * LOOKBACK)
        lately = tick.evidence.cells(record.plugin, tick.at, burn.tier.short_seconds)
        scope, why = failing_cell_scope(
            record.plugin,
            record.version,
            cells,
            lately,
            Availability(),
            tolerated_ratio=_tolerated(objective),
            min_events=objective.min_events,
        )
        fleet = Fleet(
            tick.seen.running, list(standing.quarantines.values()), standing.actions, standing.frozen,
            excuse(tick, record),
        )  # fmt: skip
        prevented = vetoes(scope, policy, fleet, tick.at)
        reason = f"{record.summary}; {why}"
        evidence = partial(_evidence, tick, record, objective, burn, why)
        if prevented:
            _note(tick, record, "prevented", scope, f"{reason}. Not quarantined: {'; '.join(prevented)}", evidence)
        elif policy.enforcement is Enforcement.OBSERVE:
            _note(tick, record, "would_quarantine", scope, f"{reason}. The policy only observes.", evidence)
        else:
            _open(tick, record, scope, reason, evidence())


def _open(tick: Tick, record: AlertRecord, scope: Scope, reason: str, evidence: dict[str, Any]) -> None:
    standing, policy = tick.standing, tick.rules.policy
    enforce = policy.enforcement is Enforcement.ENFORCE
    known = standing.versions_beside(scope.plugin, scope.version)
    hold = policy.hold_seconds * (1 + policy.hold_jitter_ratio * tick.chance())
    item = Quarantine(
        id=new_id("q", scope, tick.at),
        scope=scope,
        state=QuarantineState.QUARANTINED if enforce else QuarantineState.DEGRADED,
        reason=reason,
        actor=AUTOMATION,
        enforcement=policy.enforcement,
        started_at=tick.at,
        changed_at=tick.at,
        hold_until=tick.at + timedelta(seconds=hold) if enforce else None,
        known_versions=known,
        alert=record.alert.fingerprint,
        evidence=evidence,
    )
    standing.quarantines[item.id] = item
    tick.changes.quarantines.append(item)
    if enforce:
        standing.actions.append(tick.at)
        standing.actions[:] = [moment for moment in standing.actions if tick.at - moment < timedelta(hours=1)]
    kind = "quarantined" if enforce else "suggested"
    tick.changes.decisions.append(
        Draft(tick.at, kind, AUTOMATION, str(scope), reason, policy.enforcement.value, item.id, evidence)
    )


def advance(tick: Tick) -> None:
    """Bring every quarantine forward: hold, probe, release, isolate again."""
    standing, policy = tick.standing, tick.rules.policy
    if standing.frozen is not None:
        return  # a frozen automation holds everything as it is
    for item in list(standing.quarantines.values()):
        if item.ended_at is not None:
            continue
        if item.state is QuarantineState.DEGRADED:
            _end_suspicion(tick, item)
            continue
        probation = item.state is QuarantineState.PROBATION
        probes = tick.evidence.probes(item, tick.at) if probation else Probes(0, 0)
        after, effect = transition(
            item, probes, policy, tick.at, tolerated_ratio=_tolerated_for(tick, item), chance=tick.chance()
        )
        if effect is None:
            continue
        standing.quarantines[item.id] = after
        tick.changes.quarantines.append(after)
        counted = {"calls": probes.total, "bad": probes.bad, "share_ratio": item.share_ratio}
        tick.changes.decisions.append(
            Draft(
                tick.at,
                effect.kind,
                AUTOMATION,
                str(item.scope),
                effect.reason,
                item.enforcement.value,
                item.id,
                counted,
            )
        )
        if effect.kind == "released":
            _supersede(tick, after)


def _supersede(tick: Tick, released: Quarantine) -> None:
    """A version that came through probation takes the place of the isolated one, which stays isolated."""
    original = tick.standing.quarantines.get(released.successor_of or "")
    if original is None or original.ended_at is not None or released.scope.version is None:
        return
    known = tuple(sorted({*original.known_versions, released.scope.version}))
    after = replace(original, superseded_by=released.scope.version, known_versions=known, hold_until=None)
    tick.standing.quarantines[original.id] = after
    tick.changes.quarantines.append(after)
    reason = f"{released.scope} passed probation; {original.scope} stays isolated and is no longer probed"
    tick.changes.decisions.append(
        Draft(tick.at, "superseded", AUTOMATION, str(original.scope), reason, original.enforcement.value, original.id)
    )
    for record in list(tick.standing.alerts.values()):
        same = record.plugin == original.scope.plugin and record.version == original.scope.version
        if same and record.alert.state is not AlertState.INACTIVE:
            end_alert(tick, record, f"superseded by {released.scope.version}")


def admit_newcomers(tick: Tick) -> None:
    """Versions first seen while a sibling is isolated are on probation from their first call."""
    standing, policy = tick.standing, tick.rules.policy
    if standing.frozen is not None:
        return
    judged = {
        (item.scope.plugin, item.scope.version) for item in standing.quarantines.values() if item.ended_at is None
    }
    for item in list(standing.quarantines.values()):
        isolating = item.state is QuarantineState.QUARANTINED and item.in_force and lets_newcomers_in(item, policy)
        if not isolating or item.superseded_by is not None:
            continue
        for plugin, version in list(standing.versions):
            if plugin != item.scope.plugin or version in item.known_versions or (plugin, version) in judged:
                continue
            share = policy.probation_steps[0]
            scope = Scope(plugin, version)
            reason = f"first version since {item.scope} was isolated; it starts with {percent(share)} of calls"
            entry = Quarantine(
                id=new_id("q", scope, tick.at), scope=scope, state=QuarantineState.PROBATION, reason=reason,
                actor=AUTOMATION, enforcement=item.enforcement, started_at=tick.at, changed_at=tick.at, step=0,
                share_ratio=share, successor_of=item.id, known_versions=item.known_versions, alert=item.alert,
            )  # fmt: skip
            judged.add((plugin, version))
            standing.quarantines[entry.id] = entry
            tick.changes.quarantines.append(entry)
            tick.changes.decisions.append(
                Draft(tick.at, "probation", AUTOMATION, str(scope), reason, item.enforcement.value, entry.id,
                      {"successor_of": item.id})
            )  # fmt: skip


def _end_suspicion(tick: Tick, item: Quarantine) -> None:
    record = tick.standing.alerts.get(item.alert or "")
    if record is not None and record.alert.state is AlertState.INACTIVE:
        after = release(item, tick.at)
        tick.standing.quarantines[item.id] = after
        tick.changes.quarantines.append(after)
        tick.changes.decisions.append(
            Draft(
                tick.at,
                "suspicion_over",
                AUTOMATION,
                str(item.scope),
                "the alert resolved",
                item.enforcement.value,
                item.id,
            )
        )


def _note(
    tick: Tick, record: AlertRecord, kind: str, scope: Scope, reason: str, evidence: Callable[[], dict[str, Any]]
) -> None:
    """Record a decision once for as long as the alert fires; only then is its evidence looked up."""
    if _noted(tick, record, kind):
        return
    tick.standing.noted.add(_note_key(record, kind))
    enforcement = tick.rules.policy.enforcement.value
    tick.changes.decisions.append(Draft(tick.at, kind, AUTOMATION, str(scope), reason, enforcement, None, evidence()))


def _noted(tick: Tick, record: AlertRecord, kind: str) -> bool:
    return _note_key(record, kind) in tick.standing.noted


def _note_key(record: AlertRecord, kind: str) -> tuple[str, str, str]:
    return record.alert.fingerprint, str(record.alert.firing_at), kind


def _evidence(tick: Tick, record: AlertRecord, objective: Objective, burn: Burn, why: str) -> dict[str, Any]:
    since = tick.at - timedelta(seconds=burn.tier.long_seconds)
    until = tick.at + timedelta(minutes=1)
    errors = tick.evidence.errors(record.plugin, record.version, since, until)
    return {
        "alert": record.alert.fingerprint,
        "slo": objective.name,
        "sli": objective.sli.value,
        "objective": objective.target_ratio,
        "period_seconds": objective.period_seconds,
        "factor": burn.tier.factor,
        "long": {"seconds": burn.tier.long_seconds, "total": burn.long.total, "bad": burn.long.bad, "burn_rate": burn.long_rate},
        "short": {"seconds": burn.tier.short_seconds, "total": burn.short.total, "bad": burn.short.bad, "burn_rate": burn.short_rate},
        "min_events": objective.min_events,
        "min_failures": objective.min_failures,
        "scope": why,
        "errors": calls_by_error(errors),
        "traces": [item.trace_id for item in tick.evidence.traces(record.plugin, record.version, since, until)],
        "running_plugins": tick.seen.running,
    }  # fmt: skip


def _tolerated(objective: Objective) -> float:
    """The share of failures that would not page: the fastest page tier's factor times what the objective allows."""
    factor = max(tier.factor for tier in objective.tiers if tier.severity == "page")
    return min(0.5, factor * (1.0 - objective.target_ratio))


def _tolerated_for(tick: Tick, item: Quarantine) -> float:
    record = tick.standing.alerts.get(item.alert or "")
    for objective in tick.rules.objectives:
        if record is not None and objective.name == record.slo:
            return _tolerated(objective)
    return min((_tolerated(objective) for objective in tick.rules.objectives), default=0.1)
