"""Causes that several plugins share: one incident for people, and no plugin is taken down for it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.decide.identity import new_id
from plugwarden_collector.decide.quarantine import AUTOMATION
from plugwarden_collector.decide.standing import Incident
from plugwarden_collector.durations import duration
from plugwarden_collector.judge.causes import SharedCause
from plugwarden_collector.judge.pace import slow_hosts
from plugwarden_collector.judge.sli import indicator_of
from plugwarden_collector.judge.waits import troubled_downstreams

from .excuses import Excuse, Excuses, is_slowness
from .outage import isolated_for_it, outages
from .tick import Tick
from .trouble import Trouble

__all__ = ["find_causes"]

LINGER = timedelta(seconds=30)
"""Plugins recover from one cause one after the other: who is last is not to blame for it this long after the others are well."""
MAX_PLACES = 100
"""A plugin that is slow in more processes is slow everywhere."""
MAX_ASKED = 2_000
"""Processes whose pace is asked for at once."""
SLOW = "slow "
"""How the kind of a cause begins that was found by slow calls, and that failing ones may show as well: it is another cause then."""
OF_SLOWNESS = ("downstream", "host")
"""Kinds that slow calls alone show, and that need not say so: waits that fail are no failures of the plugin."""
OPEN_NATS = 24.0
"""Evidence that its plugins fail at all, from which on people are told of what they share: what a fault must have before it is acted on
(`rules.policy`). With less, two that fail a little in one place are one of many coincidences in a large fleet."""


@dataclass(frozen=True, slots=True)
class _Cause:
    """A cause as one tick sees it."""

    kind: str
    name: str
    plugins: tuple[str, ...]
    explanation: str
    slow: bool
    """Whether slow calls show it, so that it excuses these alone."""
    since: datetime | None = None
    """When the first of them began to fail, or to be slow; None of what keeps them waiting."""
    weight: float = math.inf
    """Nats that say that they fail at all."""

    @property
    def key(self) -> str:
        """What it is known by from tick to tick."""
        told = SLOW if self.slow and self.kind not in OF_SLOWNESS else ""
        return f"{told}{self.kind}:{self.name}"


def _excuse(incident: Incident, since: datetime | None) -> Excuse:
    """Return what an incident excuses its plugins with."""
    kind, _, name = incident.cause.partition(":")
    slow = kind in OF_SLOWNESS or kind.startswith(SLOW)
    why = f"{incident.summary} (incident {incident.id})"
    return Excuse(f"{kind.removeprefix(SLOW)} {name}".strip(), slow, why, since)


def find_causes(tick: Tick, troubles: list[Trouble]) -> Excuses:
    """Open, widen and end incidents. Return who is not to blame for its trouble."""
    open_ones = {incident.cause for incident in tick.standing.incidents.values()}
    # What is too weak to tell of is too weak to act on, too.
    causes = [cause for cause in _causes(tick, troubles) if cause.weight >= OPEN_NATS or cause.key in open_ones]
    for cause in causes:
        _see(tick, cause)
    _end_what_is_over(tick)
    pointed_at: defaultdict[str, dict[str, datetime | None]] = defaultdict(dict)
    """By cause: plugins that it explains now, with since when. Several objectives may show one cause."""
    for cause in causes:
        for plugin in cause.plugins:
            pointed_at[cause.key][plugin] = cause.since
    excuses = Excuses()
    for incident in tick.standing.incidents.values():
        # While something points at it, it speaks for those it explains now, and for all of its plugins while they recover.
        for plugin, since in pointed_at.get(incident.cause, dict.fromkeys(incident.plugins)).items():
            excuses.by_plugin[plugin].append(_excuse(incident, since))
    return excuses


def _causes(tick: Tick, troubles: Sequence[Trouble]) -> Iterator[_Cause]:
    slowed = list(_slowed(tick, troubles))
    named = {plugin for cause in slowed for plugin in cause.plugins}
    for trouble in troubles:
        slow = indicator_of(trouble.objective).waits_explain
        for shared in trouble.explanation.shared:
            # What plugins have in common without a name has one now.
            if not (_is_unnamed(trouble, shared) and named.issuperset(shared.plugins)):
                onsets = dict.fromkeys(shared.plugins, shared.since)
                if not slow and not shared.name:
                    onsets = isolated_for_it(tick, shared.since, dict(shared.errors)) | onsets
                since = min(onsets.values())
                yield _Cause(shared.kind, shared.name, tuple(sorted(onsets)), shared.why, slow, since, shared.weight)
        for onsets in () if slow else outages(tick, trouble):
            since = min(onsets.values())
            span = duration((max(onsets.values()) - since).total_seconds())
            why = f"{len(onsets)} plugins began to fail within {span} of each other, by errors that point at what they share"
            yield _Cause("simultaneous", "", tuple(sorted(onsets)), why, slow, since)
    yield from slowed


def _is_unnamed(trouble: Trouble, shared: SharedCause) -> bool:
    return not shared.name and indicator_of(trouble.objective).waits_explain


def _slowed(tick: Tick, troubles: Sequence[Trouble]) -> Iterator[_Cause]:
    """What makes plugins slow that is not theirs: a downstream that keeps them waiting, or a host that is slow with everything.

    Only slowness needs this excuse, that of deadlines that passed among it, for waits that fail are no failures of the plugin. Each
    trouble is compared with what came before it: another one may be hours old.
    """
    began: defaultdict[datetime, dict[str, tuple[str, ...]]] = defaultdict(dict)
    """Minute -> the plugins whose slowness began in it, each with the processes that saw it."""
    onsets: defaultdict[datetime, list[datetime]] = defaultdict(list)
    for trouble in troubles:
        for fault in trouble.explanation.faults:
            if is_slowness(trouble.objective, dict(fault.errors)):
                mine = began[_minute(fault.since)]
                mine[fault.scope.plugin] = (*mine.get(fault.scope.plugin, ()), *fault.instances)
                onsets[_minute(fault.since)].append(fault.since)
        for shared in trouble.explanation.shared:
            if _is_unnamed(trouble, shared):
                for plugin in shared.plugins:
                    began[_minute(shared.since)].setdefault(plugin, ())
                onsets[_minute(shared.since)].append(shared.since)
    downstreams: defaultdict[str, dict[str, str]] = defaultdict(dict)
    hosts: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for minute, slow in began.items():
        since = min(onsets[minute])
        for downstream, reasons in troubled_downstreams(tick.evidence.waits(since, tick.at)).items():
            downstreams[downstream] |= {plugin: why for plugin, why in reasons.items() if plugin in slow}
        asked: set[str] = set()
        placed = {plugin: places for plugin, places in slow.items() if 0 < len(places) <= MAX_PLACES}
        # Who is slow in few processes is not crowded out by who is slow in many.
        for places in sorted(placed.values(), key=len):
            if len(asked) < MAX_ASKED:
                asked.update(places)
        paces = tick.evidence.paces(sorted(asked), since, tick.at) if asked else ()
        for plugin, places in placed.items():
            for instance, slowdown in slow_hosts(plugin, places, paces, (tick.at - since).total_seconds()).items():
                hosts[instance][plugin] = slowdown
    for downstream, plugins in sorted(downstreams.items()):
        if plugins:
            hit = tuple(sorted(plugins))
            yield _Cause("downstream", downstream, hit, "; ".join(plugins[name] for name in hit), slow=True)
    for instance, slowdowns in sorted(hosts.items()):
        why = f"everything there takes {min(slowdowns.values()):.1f} times as long as before"
        yield _Cause("host", instance, tuple(sorted(slowdowns)), why, slow=True)


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


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
        identity = new_id("i", cause.key, tick.at)
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
