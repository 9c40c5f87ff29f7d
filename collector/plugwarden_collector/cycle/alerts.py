"""Alerts on burn rates, brought forward by one tick: pages of versions, tickets of plugins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

from plugwarden_collector.decide.alert import BURN, Alert, AlertRecord, AlertState, Reading
from plugwarden_collector.decide.alert import transition as alert_transition
from plugwarden_collector.decide.changes import AlertEvent, Annotation
from plugwarden_collector.decide.identity import new_id
from plugwarden_collector.durations import duration
from plugwarden_collector.figures import counted, number, percent, times
from plugwarden_collector.judge.arrivals import STALE
from plugwarden_collector.judge.burn import Burn, bad_by_version, burns
from plugwarden_collector.judge.failures import calls_by_error, carrying
from plugwarden_collector.judge.sli import NO_CALLS, Windows, indicator_of, summed_windows
from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.tiers import PAGE, TICKET

from .endings import expire
from .tick import Tick

__all__ = [
    "Described",
    "bring_forward",
    "fingerprint_of",
    "judge",
    "limit_of",
    "note_versions",
    "reading_of",
    "spenders",
]


class Described(NamedTuple):
    """What an alert says when it begins or fires."""

    name: str
    summary: str
    description: str
    detail: Mapping[str, Any]


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


def judge(tick: Tick) -> None:
    """Bring every alert on burn rates forward.

    Pages are of a version: what is done about one is done to a version. Tickets are of a plugin, over all of its versions, for so is the
    budget: a release neither ends one nor begins anew (ADR 0048).
    """
    replaced = tick.standing.replaced
    recorded = {(record.slo, record.plugin, record.version) for record in tick.standing.alerts.values()}
    for objective in tick.rules.objectives:
        good, failures = indicator_of(objective).good, max(1, objective.min_failures)
        ran: dict[str, dict[str, Windows]] = {}
        most: dict[str, int] = {}
        """Plugin -> no window of its versions together has more bad calls."""
        for (plugin, version), windows in tick.seen.windows.get(objective.name, {}).items():
            bad = max((counts.total - good(counts) for counts in windows.values()), default=0)
            ran.setdefault(plugin, {})[version] = windows
            most[plugin] = most.get(plugin, 0) + bad
            # Without so many failures in any window no alert begins, and there is none to bring forward: nearly all names.
            whose = version if objective.cut is None else None  # of slices everything is the plugin's
            if bad < failures and (objective.name, plugin, whose) not in recorded:
                continue
            if (plugin, version) not in replaced:  # its windows still hold old failures, but it will not run again
                _burn(tick, objective, PAGE, plugin, whose, {version: windows})
        for plugin, versions in ran.items():
            if most[plugin] >= failures or (objective.name, plugin, None) in recorded:
                _burn(tick, objective, TICKET, plugin, None, versions)
    expire(tick)


def _burn(
    tick: Tick, objective: Objective, severity: str, plugin: str, version: str | None, versions: Mapping[str, Windows]
) -> None:
    """Bring one alert forward, on the windows of so many versions together."""
    tiers = burns(objective, summed_windows(versions.values(), objective.sizes_of(severity)), severity)

    def described() -> Described:
        worst = max(tiers, key=lambda burn: (burn.met, burn.long_rate / burn.tier.factor))
        summary, description, errors = _describe(tick, objective, plugin, version, versions, worst)
        detail = {
            "long": {"seconds": worst.tier.long_seconds, "total": worst.long.total, "bad": worst.long.bad},
            "short": {"seconds": worst.tier.short_seconds, "total": worst.short.total, "bad": worst.short.bad},
            "long_burn_rate": worst.long_rate,
            "short_burn_rate": worst.short_rate,
            "factor": worst.tier.factor,
            "errors": errors,
        }
        return Described(f"{objective.name} {BURN}", summary, description, detail)

    bring_forward(tick, objective, severity, plugin, version, reading_of(tiers), described)


def bring_forward(
    tick: Tick,
    objective: Objective,
    severity: str,
    plugin: str,
    version: str | None,
    reading: Reading,
    described: Callable[[], Described],
    *kind: str,
) -> None:
    """Bring one alert forward by what was read; `described` is asked when it begins or fires, `kind` tells apart alerts of one severity."""
    fingerprint = fingerprint_of(objective.name, plugin, version, severity, *kind)
    record = tick.standing.alerts.get(fingerprint)
    before = record.alert if record is not None else Alert(fingerprint)
    after, reason = alert_transition(
        before,
        reading,
        tick.at,
        for_seconds=objective.for_seconds,
        keep_firing_seconds=objective.keep_firing_seconds,
    )
    if after == before:
        return
    if record is None or (reason and after.state is not AlertState.INACTIVE):
        name, summary, description, detail = described()
        record = AlertRecord(
            after, name, severity, objective.name, plugin, version, summary, description, tick.at, None, detail
        )
    else:
        record = replace(record, alert=after, changed_at=tick.at if reason else record.changed_at)
    tick.standing.alerts[fingerprint] = record
    tick.changes.alerts.append(record)
    if reason:
        tick.changes.alert_events.append(AlertEvent(tick.at, record, before.state, after.state, reason))


def fingerprint_of(slo: str, plugin: str, version: str | None, severity: str, *kind: str) -> str:
    """Return what an alert is known by."""
    return new_id("a", slo, plugin, version, severity, *kind)


def reading_of(tiers: tuple[Burn, ...]) -> Reading:
    """Return what the tiers of one severity say of an alert."""
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


def _describe(
    tick: Tick, objective: Objective, plugin: str, version: str | None, versions: Mapping[str, Windows], burn: Burn
) -> tuple[str, str, dict[str, int]]:
    """Return its summary, its description, and failed calls by type of error."""
    why = indicator_of(objective).why(limit_of(tick, objective, plugin))
    failing = percent(burn.long.bad / burn.long.total if burn.long.total else 0.0)
    of, over = (plugin, f", over {objective.over_versions}") if version is None else (f"{plugin}@{version}", "")
    summary = (
        f"{of}: {burn.long.bad} of {burn.long.total} {why} ({failing}) within "
        f"{duration(burn.tier.long_seconds)}{over}, against an objective of {percent(objective.target_ratio)}"
    )
    left = "unknown"
    if burn.long_rate > 0:
        left = duration(objective.period_seconds / burn.long_rate)
    description = (
        f"The error budget of {duration(objective.period_seconds)} burns {number(burn.long_rate)} times as fast as it may; an "
        f"untouched budget would be gone in {left}."
    )
    bad = bad_by_version(objective, {key: item.get(burn.tier.long_seconds, NO_CALLS) for key, item in versions.items()})
    if not bad or objective.cut is not None:
        return summary, description, {}
    if version is None:
        description += f" {spenders(bad)}"
    errors = tick.evidence.errors(
        plugin,
        next(iter(bad)),
        tick.at - timedelta(seconds=burn.tier.long_seconds),
        tick.at + timedelta(minutes=1),
        operations=objective.operations,
    )
    carried = carrying(errors)
    if carried:
        first = carried[0]
        share = percent(first.calls / sum(item.calls for item in carried))
        whose = "the" if version is not None else "its"
        description += f" {share} of {whose} failures are {first.error_type} (source: {first.error_source})."
    return summary, description, calls_by_error(carried)


def limit_of(tick: Tick, objective: Objective, plugin: str) -> float | None:
    """Return the limit that an objective of saturation is about; None: it is of calls, or nobody told of one lately."""
    return None if objective.saturation is None else tick.seen.limits.get((plugin, objective.saturation.resource.value))


def spenders(bad: Mapping[str, int]) -> str:
    """Return which version spent the most of a budget, as a sentence; `bad` are bad calls by version, the most first."""
    version, most = next(iter(bad.items()))
    share = percent(most / sum(bad.values()))
    return f"Version {version} spent {share} of that, of {counted(len(bad), 'version')} with bad calls."
