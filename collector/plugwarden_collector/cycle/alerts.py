"""Judging: every alert and every budget, brought forward by one tick."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from plugwarden_collector.decide.alert import Alert, AlertRecord, AlertState, Reading
from plugwarden_collector.decide.alert import transition as alert_transition
from plugwarden_collector.decide.changes import AlertEvent, Annotation, BudgetStatus
from plugwarden_collector.decide.identity import new_id
from plugwarden_collector.durations import duration
from plugwarden_collector.figures import number, percent, times
from plugwarden_collector.judge.arrivals import STALE
from plugwarden_collector.judge.burn import Burn, budget, burns, fast_burn_rate
from plugwarden_collector.judge.failures import carrying
from plugwarden_collector.judge.sli import CallCounts, indicator_of
from plugwarden_collector.rules.objective import Objective

from .endings import expire
from .tick import Tick

__all__ = ["judge", "note_versions"]

SEVERITIES = ("page", "ticket")


def note_versions(tick: Tick) -> None:
    """Record versions that were never seen before as deployments.

    What was not there at the last look began since then, though the clocks of its hosts say that it was a moment before.
    """
    known = tick.standing.versions
    looked_at = tick.watch.at if known else None
    for (plugin, version), first_at in sorted(tick.seen.versions.items(), key=lambda item: item[1]):
        if (plugin, version) not in known:
            text = f"first call of {plugin}@{version}"
            tick.changes.changes.append(Annotation(first_at, "deployment", plugin, version, text))
            if looked_at is not None and looked_at - first_at <= STALE:
                first_at = min(max(first_at, looked_at), tick.at)
            known[plugin, version] = first_at


def judge(tick: Tick) -> dict[str, tuple[Objective, tuple[Burn, ...]]]:
    """Bring every alert forward; return the burns behind each, by fingerprint."""
    behind: dict[str, tuple[Objective, tuple[Burn, ...]]] = {}
    superseded = {
        (item.scope.plugin, item.scope.version)
        for item in tick.standing.quarantines.values()
        if item.superseded_by is not None and item.ended_at is None
    }
    recorded = {(record.slo, record.plugin, record.version) for record in tick.standing.alerts.values()}
    for objective in tick.rules.objectives:
        good, failures = indicator_of(objective).good, max(1, objective.min_failures)
        for (plugin, version), windows in tick.seen.windows.get(objective.name, {}).items():
            if (plugin, version) in superseded:
                continue  # its windows still hold old failures, but it will not run again
            # Without so many failures in any window no alert begins, and there is none to bring forward: nearly all names.
            busy = (objective.name, plugin, version) in recorded or any(
                counts.total - good(counts) >= failures for counts in windows.values()
            )
            found = burns(objective, windows) if busy else ()
            for severity in SEVERITIES if busy else ():
                tiers = tuple(burn for burn in found if burn.tier.severity == severity)
                fingerprint = new_id("a", objective.name, plugin, version, severity)
                behind[fingerprint] = (objective, tiers)
                _bring_forward(tick, objective, plugin, version, severity, fingerprint, tiers)
            if tick.seen.periods is not None:
                _keep_budget(tick, objective, plugin, version, fast_burn_rate(objective, windows))
    expire(tick)
    return behind


def _bring_forward(
    tick: Tick,
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
        tick.changes.alert_events.append(AlertEvent(tick.at, record, before.state, after.state, reason))


def _reading(tiers: tuple[Burn, ...]) -> Reading:
    met = [burn for burn in tiers if burn.met]
    if met:
        burn = max(met, key=lambda item: item.long_rate)
        return Reading(
            True,
            f"burns at {times(burn.long_rate)} over {duration(burn.tier.long_seconds)} and {times(burn.short_rate)} over "
            f"{duration(burn.tier.short_seconds)} (limit {times(burn.tier.factor)})",
        )
    if tiers and all(burn.quiet for burn in tiers):
        return Reading(False, "no longer burns too fast in any short window")
    return Reading(None, "not enough calls to say")


def _describe(tick: Tick, objective: Objective, plugin: str, version: str, burn: Burn) -> tuple[str, str]:
    failing = percent(burn.long.bad / burn.long.total if burn.long.total else 0.0)
    summary = (
        f"{plugin}@{version}: {burn.long.bad} of {burn.long.total} {indicator_of(objective).why()} ({failing}) within "
        f"{duration(burn.tier.long_seconds)}, against an objective of {percent(objective.target_ratio)}"
    )
    left = "unknown"
    if burn.long_rate > 0:
        left = duration(objective.period_seconds / burn.long_rate)
    description = (
        f"The error budget of {duration(objective.period_seconds)} burns {number(burn.long_rate)} times as fast as it may; an "
        f"untouched budget would be gone in {left}."
    )
    errors = tick.evidence.errors(
        plugin, version, tick.at - timedelta(seconds=burn.tier.long_seconds), tick.at + timedelta(minutes=1)
    )
    carried = carrying(errors)
    if carried:
        first = carried[0]
        share = percent(first.calls / sum(item.calls for item in carried))
        description += f" {share} of the failures are {first.error_type} (source: {first.error_source})."
    return summary, description


def _keep_budget(tick: Tick, objective: Objective, plugin: str, version: str, burn_rate: float) -> None:
    counts = (tick.seen.periods or {}).get(objective.name, {}).get((plugin, version), CallCounts())
    state = budget(objective, counts)
    exhausted = None
    if state.remaining_ratio is not None and state.remaining_ratio > 0 and burn_rate > 0:
        exhausted = state.remaining_ratio * objective.period_seconds / burn_rate
    tick.changes.slo_status.append(
        BudgetStatus(
            objective.name, plugin, version, tick.at, objective.sli.value, objective.target_ratio, objective.period_seconds,
            state.total, state.bad, state.sli_ratio, state.remaining_ratio, burn_rate, exhausted,
        )
    )  # fmt: skip
