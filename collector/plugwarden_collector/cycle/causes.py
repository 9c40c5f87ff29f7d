"""Causes that several plugins share: one incident for people, and no plugin is taken down for it. Also who speaks for an alert."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.decide.alert import AlertRecord, AlertState
from plugwarden_collector.decide.identity import new_id
from plugwarden_collector.decide.quarantine import AUTOMATION, Quarantine
from plugwarden_collector.decide.standing import Incident, Standing
from plugwarden_collector.judge.causes import SharedCause
from plugwarden_collector.judge.evidence import ATTENTION_NATS
from plugwarden_collector.judge.pace import slow_hosts
from plugwarden_collector.judge.sli import indicator_of
from plugwarden_collector.judge.waits import troubled_downstreams

from .tick import Tick
from .trouble import Trouble

__all__ = ["covering", "find_causes", "inhibit"]

LINGER = timedelta(seconds=30)
"""Plugins recover from one cause one after the other: who is last is not to blame for it this long after the others are well."""
MAX_ASKED = 100
"""Processes whose pace is asked for; a plugin that is slow in more is slow everywhere."""
OPEN_NATS = 24.0
"""Evidence that its plugins fail at all, from which on people are told of what they share: what a fault must have before it is acted on
(`rules.policy`). With less, two that fail a little in one place are one of many coincidences in a large fleet."""
OBEYED_SECONDS = 30.0
"""From a quarantine until the last of its calls are in: sidecars hear of it at once, and export every few seconds."""


@dataclass(frozen=True, slots=True)
class _Cause:
    """A cause as one tick sees it."""

    kind: str
    name: str
    plugins: tuple[str, ...]
    explanation: str
    since: datetime | None = None
    """When the first of them began to fail; None where it excuses slowness alone."""
    weight: float = math.inf
    """Nats that say that they fail at all."""

    @property
    def key(self) -> str:
        """What it is known by from tick to tick."""
        return f"{self.kind}:{self.name}"


def find_causes(tick: Tick, troubles: list[Trouble]) -> tuple[dict[str, str], dict[str, datetime]]:
    """Open, widen and end incidents. Return who is not to blame for its trouble (plugin -> the incident that explains it), and who
    something shared makes fail at this moment (plugin -> since when)."""
    excused = {}
    causes = []
    open_ones = {incident.cause for incident in tick.standing.incidents.values()}
    for cause in _causes(tick, troubles):
        if cause.weight >= OPEN_NATS or cause.key in open_ones:
            causes.append(cause)
            _see(tick, cause)
        else:  # nobody need be told yet, and nobody is to blame yet
            excused.update(dict.fromkeys(cause.plugins, f"{' and '.join(cause.plugins)} may fail for one reason"))
    _end_what_is_over(tick)
    pointed_at = {cause.key: cause.plugins for cause in causes}
    for incident in tick.standing.incidents.values():
        # While something points at it, it speaks for those it explains now, and for all of its plugins while they recover.
        for plugin in pointed_at.get(incident.cause, incident.plugins):
            excused[plugin] = f"{incident.summary} (incident {incident.id})"
    return excused, {name: cause.since for cause in causes if cause.since is not None for name in cause.plugins}


def _causes(tick: Tick, troubles: Sequence[Trouble]) -> Iterator[_Cause]:
    slowed = list(_slowed(tick, troubles))
    named = {plugin for cause in slowed for plugin in cause.plugins}
    for trouble in troubles:
        for shared in trouble.explanation.shared:
            # What plugins have in common without a name has one now.
            if not (_is_unnamed(trouble, shared) and named.issuperset(shared.plugins)):
                yield _Cause(
                    shared.kind, shared.name, tuple(sorted(shared.plugins)), shared.why, shared.since, shared.weight
                )
    yield from slowed


def _is_unnamed(trouble: Trouble, shared: SharedCause) -> bool:
    return not shared.name and indicator_of(trouble.objective).waits_explain


def _slowed(tick: Tick, troubles: Sequence[Trouble]) -> Iterator[_Cause]:
    """What makes plugins slow that is not theirs: a downstream that keeps them waiting, or a host that is slow with everything.

    Only slowness needs this excuse, for waits that fail are no failures of the plugin.
    """
    slow = [item for item in troubles if indicator_of(item.objective).waits_explain]
    faults = [fault for trouble in slow for fault in trouble.explanation.faults]
    unnamed = [shared for trouble in slow for shared in trouble.explanation.shared if _is_unnamed(trouble, shared)]
    if not faults and not unnamed:
        return
    since = min([*(fault.since for fault in faults), *(shared.since for shared in unnamed)])
    waiting = {fault.scope.plugin for fault in faults}.union(*(shared.plugins for shared in unnamed))
    for downstream, plugins in sorted(troubled_downstreams(tick.evidence.waits(since, tick.at)).items()):
        hit = sorted(waiting & set(plugins))
        if hit:
            yield _Cause("downstream", downstream, tuple(hit), "; ".join(plugins[name] for name in hit))
    asked = sorted({instance for fault in faults for instance in fault.instances[:MAX_ASKED]})[:MAX_ASKED]
    if not asked:
        return
    paces = tick.evidence.paces(asked, since, tick.at)
    by_host: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for fault in faults:
        for instance, slowdown in slow_hosts(fault.scope.plugin, fault.instances, paces).items():
            by_host[instance][fault.scope.plugin] = slowdown
    for instance, slowdowns in sorted(by_host.items()):
        why = f"everything there takes {min(slowdowns.values()):.1f} times as long as before, and they work no more than they did"
        yield _Cause("instance", instance, tuple(sorted(slowdowns)), why)


def _see(tick: Tick, cause: _Cause) -> None:
    standing = tick.standing
    before = next((item for item in standing.incidents.values() if item.cause == cause.key), None)
    if before is not None and set(cause.plugins) <= set(before.plugins):
        standing.incidents[before.id] = replace(before, seen_at=tick.at)
        return
    plugins = tuple(sorted({*cause.plugins, *(before.plugins if before else ())}))
    what = f"{cause.kind} {cause.name}" if cause.name else "a cause that several plugins share"
    summary = f"{what} hurts {', '.join(plugins)}: {cause.explanation}"
    if before is None:
        identity = new_id("i", cause.kind, cause.name, tick.at)
        incident = Incident(identity, cause.key, summary, plugins, tick.at, seen_at=tick.at)
    else:
        incident = replace(before, summary=summary, plugins=plugins, seen_at=tick.at)
    standing.incidents[incident.id] = incident
    tick.changes.incidents.append(incident)
    reason = f"{summary}. One incident for people; no plugin is quarantined for it."
    tick.changes.decisions.append(
        Draft(tick.at, "common_cause", AUTOMATION, ", ".join(plugins), reason, tick.rules.policy.enforcement.value,
              incident.id, {"cause": cause.kind, "name": cause.name, "plugins": list(plugins)})
    )  # fmt: skip


def _end_what_is_over(tick: Tick) -> None:
    for incident in list(tick.standing.incidents.values()):
        if incident.seen_at is None:  # as it was loaded from the store
            tick.standing.incidents[incident.id] = replace(incident, seen_at=tick.at)
        elif tick.at - incident.seen_at > LINGER:
            ended = replace(incident, ended_at=tick.at)
            del tick.standing.incidents[incident.id]
            tick.changes.incidents.append(ended)
            tick.changes.decisions.append(
                Draft(tick.at, "common_cause_over", AUTOMATION, ", ".join(incident.plugins),
                      f"nothing points at it any more: {incident.summary}", "enforce", incident.id)
            )  # fmt: skip


def inhibit(tick: Tick) -> None:
    """Mark alerts that somebody else speaks for: a quarantine, a suggestion or an incident, which people are told of instead."""
    for fingerprint, record in tick.standing.alerts.items():
        if record.alert.state is AlertState.INACTIVE and record.inhibited_by is None:
            continue
        by = None
        if record.alert.state is not AlertState.INACTIVE:
            by = _speaker(tick, record)
        if by != record.inhibited_by:
            marked = replace(record, inhibited_by=by)
            tick.standing.alerts[fingerprint] = marked
            tick.changes.alerts.append(marked)


def _speaker(tick: Tick, record: AlertRecord) -> str | None:
    """Who speaks for an alert; nobody where it goes on although its cause was dealt with or is gone."""
    held = covering(tick.standing, record)
    if held is not None and not (held.in_force and _goes_on(tick, held, record)):
        return held.id
    for incident in tick.standing.incidents.values():
        if record.plugin in incident.plugins:
            return incident.id
    return None


def _goes_on(tick: Tick, held: Quarantine, record: AlertRecord) -> bool:
    """Whether calls still fail long after the quarantine, in what is judged beside it: it is too narrow."""
    settled = held.changed_at + timedelta(seconds=OBEYED_SECONDS)
    return any(
        key.plugin == record.plugin
        and key.version == record.version
        and item.nats >= ATTENTION_NATS
        and item.bad_at > settled
        for key, item in tick.watch.streams.items()
    )


def covering(standing: Standing, record: AlertRecord) -> Quarantine | None:
    """The quarantine or suggestion that answers an alert."""
    for item in standing.quarantines.values():
        scope = item.scope
        if item.ended_at is None and scope.plugin == record.plugin and scope.version in {None, record.version}:
            return item
    return None
