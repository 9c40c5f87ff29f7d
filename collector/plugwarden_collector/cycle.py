"""One tick: judge, blame, decide. A function of what was observed and where things stood; nothing here reads a clock.

The live loop and the backtest run this same code, so a replay decides what the live collector would have.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from plugwarden.contract import Action, Directive, DirectiveSet, Newcomers, QuarantineState, Scope

from plugwarden_collector.decide.audit import Draft
from plugwarden_collector.decide.guard import Fleet, vetoes
from plugwarden_collector.decide.policy import Enforcement, Policy
from plugwarden_collector.decide.quarantine import AUTOMATION, Probes, Quarantine, release, transition
from plugwarden_collector.decide.standing import AlertRecord, Changes, Incident, Standing
from plugwarden_collector.judge.alert import Alert, AlertState, Reading
from plugwarden_collector.judge.alert import transition as alert_transition
from plugwarden_collector.judge.blame import Burning, Waits, common_causes, failing_cell_scope, troubled_downstreams
from plugwarden_collector.judge.objective import Burn, Counts, Objective, Sli, budget, burns
from plugwarden_collector.judge.rules import Rules

__all__ = ["Evidence", "Observation", "directives_for", "evaluate", "new_id"]

PluginVersion = tuple[str, str]
Windows = Mapping[float, Counts]
SEVERITIES = ("page", "ticket")


class Evidence(Protocol):
    """What the tick asks for only when something burns."""

    def cells(self, plugin: str, at: datetime, window_seconds: float) -> Sequence[Mapping[str, Any]]:
        """Counts by plugin_version, plugin_operation and instance_id."""

    def probes(self, quarantine: Quarantine, at: datetime) -> Probes:
        """Calls in a scope since its quarantine last changed."""

    def errors(self, plugin: str, version: str, since: datetime, until: datetime) -> Sequence[Mapping[str, Any]]:
        """Failed calls by error_type, most first."""

    def traces(self, plugin: str, version: str, since: datetime) -> Sequence[Mapping[str, Any]]:
        """Some failed spans."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What the rollups said at one moment."""

    at: datetime
    windows: Mapping[str, Mapping[PluginVersion, Windows]]
    """Objective name -> (plugin, version) -> window in seconds -> counts."""
    periods: Mapping[str, Mapping[PluginVersion, Counts]] | None = None
    """The same over each objective's period; None on ticks that leave budgets alone."""
    waits: Sequence[Waits] = ()
    running: int = 0
    """Plugins with traffic."""
    versions: Mapping[PluginVersion, datetime] = field(default_factory=dict)
    """When each version was first seen."""


@dataclass(slots=True)
class _Tick:
    rules: Rules
    standing: Standing
    seen: Observation
    evidence: Evidence
    chance: Callable[[], float]
    changes: Changes

    @property
    def at(self) -> datetime:
        return self.seen.at


def evaluate(
    rules: Rules, standing: Standing, seen: Observation, evidence: Evidence, chance: Callable[[], float]
) -> Changes:
    """Bring `standing` forward by one tick, in place, and answer what changed.

    The caller stores the changes before anybody else sees them, and throws `standing` away if that fails.
    """
    tick = _Tick(rules, standing, seen, evidence, chance, Changes(at=seen.at))
    _note_versions(tick)
    readings = _judge(tick)
    _find_causes(tick)
    _quarantine(tick, readings)
    _advance(tick)
    _admit_newcomers(tick)
    _inhibit(tick)
    announced = directives_for(standing, rules)
    if announced != tuple(standing.directives.directives):
        standing.directives = DirectiveSet(standing.directives.epoch, standing.directives.revision + 1, announced)
        tick.changes.directives = standing.directives
    return tick.changes


def directives_for(standing: Standing, rules: Rules) -> tuple[Directive, ...]:
    """What sidecars must be told, given the quarantines in force."""
    found = []
    for item in sorted(standing.quarantines.values(), key=lambda item: item.id):
        if not item.in_force or (item.actor == AUTOMATION and _overruled(item, standing)):
            continue
        if item.state is QuarantineState.PROBATION:
            reason = f"in probation at {item.share_ratio:.0%}: {item.reason}"
            found.append(Directive(item.id, Action.PROBE, item.scope, item.share_ratio, reason[:900]))
            continue
        newcomers = None
        if _lets_newcomers_in(item, rules.policy):
            newcomers = Newcomers(item.known_versions, rules.policy.probation_steps[0])
        found.append(Directive(item.id, Action.ISOLATE, item.scope, 0.0, item.reason[:900], newcomers))
    return tuple(found)


def _lets_newcomers_in(item: Quarantine, policy: Policy) -> bool:
    """Only the automation puts versions that nobody asked about on probation, and never those of protected plugins."""
    return item.actor == AUTOMATION and item.scope.version is not None and not policy.protects(item.scope.plugin)


def _overruled(item: Quarantine, standing: Standing) -> bool:
    """Whether a person has isolated all that an automatic quarantine covers: the person's word stands."""
    for other in standing.quarantines.values():
        if other.actor == AUTOMATION or not other.in_force or other.state is not QuarantineState.QUARANTINED:
            continue
        wider, own = other.scope.as_dict(), item.scope.as_dict()
        if all(wider[part] in {None, own[part]} for part in own):
            return True
    return False


def new_id(prefix: str, *parts: object) -> str:
    """A short id that the same parts always give."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=5).hexdigest()
    return f"{prefix}-{digest}"


# -- judge --------------------------------------------------------------------------------------------------------------


def _note_versions(tick: _Tick) -> None:
    known = tick.standing.versions
    for (plugin, version), first_at in sorted(tick.seen.versions.items(), key=lambda item: item[1]):
        if (plugin, version) not in known:
            text = f"first call of {plugin}@{version}"
            tick.changes.changes.append((first_at, "deployment", plugin, version, text))
            known[plugin, version] = first_at


def _judge(tick: _Tick) -> dict[str, tuple[Objective, tuple[Burn, ...]]]:
    """Bring every alert forward; answers the burns behind each, by fingerprint."""
    behind: dict[str, tuple[Objective, tuple[Burn, ...]]] = {}
    superseded = {
        (item.scope.plugin, item.scope.version)
        for item in tick.standing.quarantines.values()
        if item.superseded_by is not None and item.ended_at is None
    }
    for objective in tick.rules.objectives:
        for (plugin, version), windows in tick.seen.windows.get(objective.name, {}).items():
            if (plugin, version) in superseded:
                continue  # its windows still hold old failures, but it will not run again
            found = burns(objective, windows)
            for severity in SEVERITIES:
                tiers = tuple(burn for burn in found if burn.tier.severity == severity)
                fingerprint = new_id("a", objective.name, plugin, version, severity)
                behind[fingerprint] = (objective, tiers)
                _bring_forward(tick, objective, plugin, version, severity, fingerprint, tiers)
            if tick.seen.periods is not None:
                _keep_budget(tick, objective, plugin, version, found)
    _expire(tick)
    return behind


def _expire(tick: _Tick) -> None:
    """End alerts of versions without a single call in any window, and of objectives that are gone: what has stopped
    running for good neither burns nor recovers. What a quarantine stopped is held."""
    objectives = {objective.name: objective for objective in tick.rules.objectives}
    for fingerprint, record in list(tick.standing.alerts.items()):
        if record.alert.state is AlertState.INACTIVE or _covering(tick.standing, record) is not None:
            continue
        objective = objectives.get(record.slo)
        why = f"expired: there is no objective {record.slo} any more"
        if objective is not None:
            longest = max(tier.long_seconds for tier in objective.tiers)
            silent = (record.plugin, record.version) not in tick.seen.windows.get(objective.name, {})
            since = record.alert.firing_at or record.alert.pending_at or tick.at
            if not silent or tick.at - since < timedelta(seconds=longest):
                continue
            why = f"expired: no call of {record.plugin}@{record.version} within {_span(longest)}"
        before = record.alert.state.value
        alert = replace(record.alert, state=AlertState.INACTIVE, pending_at=None, resolved_at=tick.at, quiet_since=None)
        ended = replace(record, alert=alert, changed_at=tick.at)
        tick.standing.alerts[fingerprint] = ended
        tick.changes.alerts.append(ended)
        tick.changes.alert_events.append((tick.at, ended, before, AlertState.INACTIVE.value, why))


def _bring_forward(
    tick: _Tick,
    objective: Objective,
    plugin: str,
    version: str,
    severity: str,
    fingerprint: str,
    tiers: tuple[Burn, ...],
) -> None:
    record = tick.standing.alerts.get(fingerprint)
    before = record.alert if record is not None else Alert(fingerprint)
    after, reason = alert_transition(
        before,
        _reading(tiers),
        tick.at,
        for_seconds=objective.for_seconds,
        keep_firing_seconds=objective.keep_firing_seconds,
    )
    if after == before:
        return
    if record is None or (reason and after.state is not AlertState.INACTIVE):
        worst = max(tiers, key=lambda burn: (burn.met, burn.long_rate / burn.tier.factor))
        summary, description = _describe(tick, objective, plugin, version, worst)
        detail = {
            "long": {"seconds": worst.tier.long_seconds, "total": worst.long.total, "bad": worst.long.bad},
            "short": {"seconds": worst.tier.short_seconds, "total": worst.short.total, "bad": worst.short.bad},
            "long_burn_rate": worst.long_rate,
            "short_burn_rate": worst.short_rate,
            "factor": worst.tier.factor,
        }
        record = AlertRecord(
            after, f"{objective.name} budget burn", severity, objective.name, plugin, version, summary, description,
            tick.at, None, detail,
        )  # fmt: skip
    else:
        record = replace(record, alert=after, changed_at=tick.at if reason else record.changed_at)
    tick.standing.alerts[fingerprint] = record
    tick.changes.alerts.append(record)
    if reason:
        tick.changes.alert_events.append((tick.at, record, before.state.value, after.state.value, reason))


def _reading(tiers: tuple[Burn, ...]) -> Reading:
    met = [burn for burn in tiers if burn.met]
    if met:
        burn = max(met, key=lambda item: item.long_rate)
        return Reading(
            True,
            f"burns at {burn.long_rate:.1f}× over {_span(burn.tier.long_seconds)} and {burn.short_rate:.1f}× over "
            f"{_span(burn.tier.short_seconds)} (limit {burn.tier.factor:.1f}×)",
        )
    if tiers and all(burn.quiet for burn in tiers):
        return Reading(False, "no longer burns too fast in any short window")
    return Reading(None, "not enough calls to say")


def _describe(tick: _Tick, objective: Objective, plugin: str, version: str, burn: Burn) -> tuple[str, str]:
    what = (
        "calls failed"
        if objective.sli is Sli.AVAILABILITY
        else f"calls took longer than {objective.threshold_seconds} s"
    )
    share = burn.long.bad / burn.long.total if burn.long.total else 0.0
    summary = (
        f"{plugin}@{version}: {burn.long.bad} of {burn.long.total} {what} ({share:.0%}) within "
        f"{_span(burn.tier.long_seconds)}, against an objective of {_percent(objective.target_ratio)}"
    )
    left = "unknown"
    if burn.long_rate > 0:
        left = _span(objective.period_seconds / burn.long_rate)
    description = (
        f"The error budget of {_span(objective.period_seconds)} burns {burn.long_rate:.1f} times as fast as it may; an "
        f"untouched budget would be gone in {left}."
    )
    errors = tick.evidence.errors(
        plugin, version, tick.at - timedelta(seconds=burn.tier.long_seconds), tick.at + timedelta(minutes=1)
    )
    carried = [item for item in errors if item["outcome"] in {"error", "timeout"}]
    if carried:
        first = carried[0]
        total = sum(int(item["calls"]) for item in carried)
        description += f" {int(first['calls']) / total:.0%} of the failures are {first['error_type']} (source: {first['error_source']})."
    return summary, description


def _keep_budget(tick: _Tick, objective: Objective, plugin: str, version: str, found: tuple[Burn, ...]) -> None:
    counts = (tick.seen.periods or {}).get(objective.name, {}).get((plugin, version), Counts())
    state = budget(objective, counts)
    fast = max(found, key=lambda burn: burn.tier.factor)
    exhausted = None
    if state.remaining_ratio is not None and state.remaining_ratio > 0 and fast.long_rate > 0:
        exhausted = state.remaining_ratio * objective.period_seconds / fast.long_rate
    tick.changes.slo_status.append(
        (
            objective.name, plugin, version, tick.at, objective.sli.value, objective.target_ratio,
            objective.period_seconds, state.total, state.bad, state.sli_ratio, state.remaining_ratio, fast.long_rate,
            exhausted,
        )
    )  # fmt: skip


# -- blame --------------------------------------------------------------------------------------------------------------


def _firing_pages(tick: _Tick) -> list[AlertRecord]:
    return [
        record
        for record in tick.standing.alerts.values()
        if record.alert.state is AlertState.FIRING and record.severity == "page"
    ]


def _find_causes(tick: _Tick) -> None:
    standing = tick.standing
    slis = {objective.name: objective.sli for objective in tick.rules.objectives}
    firing = _firing_pages(tick)
    waiting = {name for plugins in troubled_downstreams(tick.seen.waits).values() for name in plugins}
    burning = [
        Burning(record.plugin, record.version, slis[record.slo], record.alert.pending_at or tick.at)
        for record in firing
        # What an open downstream incident explains already must not look like a second cause when the wait is over.
        if record.slo in slis and (_excuse(tick, record) is None or record.plugin in waiting)
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


def _excuse(tick: _Tick, record: AlertRecord) -> str | None:
    """The shared cause that speaks for a plugin: a downstream explains slowness, simultaneity explains anything."""
    slis = {objective.name: objective.sli for objective in tick.rules.objectives}
    for incident in tick.standing.incidents.values():
        slow_only = incident.cause.startswith("downstream:")
        if record.plugin in incident.plugins and (not slow_only or slis.get(record.slo) is Sli.LATENCY):
            return f"{incident.summary} (incident {incident.id})"
    return None


# -- decide -------------------------------------------------------------------------------------------------------------


def _quarantine(tick: _Tick, behind: Mapping[str, tuple[Objective, tuple[Burn, ...]]]) -> None:
    standing, policy = tick.standing, tick.rules.policy
    for record in _firing_pages(tick):
        fingerprint = record.alert.fingerprint
        if fingerprint not in behind or _covering(standing, record) is not None:
            continue
        objective, tiers = behind[fingerprint]
        met = [burn for burn in tiers if burn.met]
        if not met:
            continue  # it fires on, but nothing burns right now: not a moment to act
        burn = met[0]
        lookback = burn.tier.long_seconds * 5
        cells = tick.evidence.cells(record.plugin, tick.at, lookback)
        scope, why = failing_cell_scope(
            record.plugin, record.version, cells, tolerated_ratio=_tolerated(objective), min_events=objective.min_events
        )
        fleet = Fleet(
            tick.seen.running, list(standing.quarantines.values()), standing.actions, standing.frozen,
            _excuse(tick, record),
        )  # fmt: skip
        prevented = vetoes(scope, policy, fleet, tick.at)
        reason = f"{record.summary}; {why}"
        evidence = _evidence(tick, record, objective, burn, why)
        if prevented:
            _note(tick, record, "prevented", scope, f"{reason}. Not quarantined: {'; '.join(prevented)}", evidence)
        elif policy.enforcement is Enforcement.OBSERVE:
            _note(tick, record, "would_quarantine", scope, f"{reason}. The policy only observes.", evidence)
        else:
            _open(tick, record, scope, reason, evidence)


def _open(tick: _Tick, record: AlertRecord, scope: Scope, reason: str, evidence: dict[str, Any]) -> None:
    standing, policy = tick.standing, tick.rules.policy
    enforce = policy.enforcement is Enforcement.ENFORCE
    known = tuple(
        sorted(version for plugin, version in standing.versions if plugin == scope.plugin and version != scope.version)
    )
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


def _advance(tick: _Tick) -> None:
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


def _supersede(tick: _Tick, released: Quarantine) -> None:
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
    for fingerprint, record in tick.standing.alerts.items():
        same = record.plugin == original.scope.plugin and record.version == original.scope.version
        if same and record.alert.state is not AlertState.INACTIVE:
            before = record.alert.state.value
            alert = replace(record.alert, state=AlertState.INACTIVE, resolved_at=tick.at, quiet_since=None)
            ended = replace(record, alert=alert, changed_at=tick.at)
            tick.standing.alerts[fingerprint] = ended
            tick.changes.alerts.append(ended)
            why = f"superseded by {released.scope.version}"
            tick.changes.alert_events.append((tick.at, ended, before, AlertState.INACTIVE.value, why))


def _admit_newcomers(tick: _Tick) -> None:
    """Versions first seen while a sibling is isolated are on probation from their first call."""
    standing, policy = tick.standing, tick.rules.policy
    if standing.frozen is not None:
        return
    judged = {
        (item.scope.plugin, item.scope.version) for item in standing.quarantines.values() if item.ended_at is None
    }
    for item in list(standing.quarantines.values()):
        isolating = item.state is QuarantineState.QUARANTINED and item.in_force and _lets_newcomers_in(item, policy)
        if not isolating or item.superseded_by is not None:
            continue
        for plugin, version in list(standing.versions):
            if plugin != item.scope.plugin or version in item.known_versions or (plugin, version) in judged:
                continue
            share = policy.probation_steps[0]
            scope = Scope(plugin, version)
            reason = f"first version since {item.scope} was isolated; it starts with {share:.0%} of calls"
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


def _end_suspicion(tick: _Tick, item: Quarantine) -> None:
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


def _inhibit(tick: _Tick) -> None:
    """Mark alerts that somebody else speaks for: a quarantine in force, or an incident."""
    for fingerprint, record in tick.standing.alerts.items():
        if record.alert.state is AlertState.INACTIVE and record.inhibited_by is None:
            continue
        by = None
        if record.alert.state is not AlertState.INACTIVE:
            covering = _covering(tick.standing, record)
            if covering is not None:
                by = covering.id
            elif _excuse(tick, record) is not None:
                by = next(item.id for item in tick.standing.incidents.values() if record.plugin in item.plugins)
        if by != record.inhibited_by:
            marked = replace(record, inhibited_by=by)
            tick.standing.alerts[fingerprint] = marked
            tick.changes.alerts.append(marked)


def _covering(standing: Standing, record: AlertRecord) -> Quarantine | None:
    """The quarantine that answers an alert: one made for it, or one in force for all of the version's calls."""
    for item in standing.quarantines.values():
        scope = item.scope
        if item.ended_at is not None or scope.plugin != record.plugin or scope.version not in {None, record.version}:
            continue
        whole = scope.operation is None and scope.instance is None and scope.tenant is None
        if item.alert == record.alert.fingerprint or (whole and item.in_force):
            return item
    return None


def _note(tick: _Tick, record: AlertRecord, kind: str, scope: Scope, reason: str, evidence: dict[str, Any]) -> None:
    key = (record.alert.fingerprint, str(record.alert.firing_at), kind)
    if key in tick.standing.noted:
        return
    tick.standing.noted.add(key)
    enforcement = tick.rules.policy.enforcement.value
    tick.changes.decisions.append(Draft(tick.at, kind, AUTOMATION, str(scope), reason, enforcement, None, evidence))


def _evidence(tick: _Tick, record: AlertRecord, objective: Objective, burn: Burn, why: str) -> dict[str, Any]:
    since = tick.at - timedelta(seconds=burn.tier.long_seconds)
    by_type: dict[str, int] = defaultdict(int)
    for item in tick.evidence.errors(record.plugin, record.version, since, tick.at + timedelta(minutes=1)):
        if item["outcome"] in {"error", "timeout"}:
            by_type[str(item["error_type"])] += int(item["calls"])
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
        "errors": dict(by_type),
        "traces": [item["trace_id"] for item in tick.evidence.traces(record.plugin, record.version, since)],
        "running_plugins": tick.seen.running,
    }  # fmt: skip


def _tolerated(objective: Objective) -> float:
    """The share of failures that would not page: the fastest page tier's factor times what the objective allows."""
    factor = max(tier.factor for tier in objective.tiers if tier.severity == "page")
    return min(0.5, factor * (1.0 - objective.target_ratio))


def _tolerated_for(tick: _Tick, item: Quarantine) -> float:
    record = tick.standing.alerts.get(item.alert or "")
    for objective in tick.rules.objectives:
        if record is not None and objective.name == record.slo:
            return _tolerated(objective)
    return min((_tolerated(objective) for objective in tick.rules.objectives), default=0.1)


def _span(seconds: float) -> str:
    for size, unit in ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _percent(ratio: float) -> str:
    return f"{ratio * 100:.6g} %"
