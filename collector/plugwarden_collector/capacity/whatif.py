"""What would be, if load, plugins, costs or hosts were others: what is full first, and how sure that is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from plugwarden_collector.errors import CapacityError

from .ceiling import Bend, Ceiling
from .demand import Demand
from .forecast import Confidence
from .held import Machine
from .limit import LimitKind, Utilisation
from .resource import Resource

__all__ = ["FORMS", "MAX_CHANGES", "Change", "ChangeKind", "WhatIf", "change_of", "what_if"]

MAX_CHANGES = 20
"""Changes of one question: a plan, not a simulation."""
MOST_TIMES = 1000.0
"""Most that traffic or cost may be taken times; beyond, nothing of what was seen says anything."""
SEEN_TIMES = 1.2
"""Load, of the most that was seen, up to which a sum is as good as a measurement."""
FAR_TIMES = 2.0
"""Load, of the most that was seen, beyond which a sum is a guess, for latency bends somewhere."""
FORMS = "traffic=1.5, traffic:PLUGIN=2, cost=-20%, cost:PLUGIN=0.8, hosts=-1, hosts=+2, remove=PLUGIN, add=PLUGIN (another like it)"
_KIND = re.compile(r"[a-z]*")


class ChangeKind(StrEnum):
    """What is changed."""

    TRAFFIC = "traffic"
    """Calls, times a factor."""
    COST = "cost"
    """CPU seconds of a call, times a factor."""
    HOSTS = "hosts"
    """Machines, more or fewer."""
    ADD = "add"
    """Another plugin like one that is there."""
    REMOVE = "remove"
    """A plugin is gone."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change."""

    kind: ChangeKind
    plugin: str | None
    """None: all of them."""
    amount: float
    """Factor; of hosts how many more; of plugins 1."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One limit before and after."""

    before: Utilisation
    after: Utilisation


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What would be."""

    outcomes: list[Outcome]
    """The fullest afterwards first."""
    bottleneck: Utilisation | None
    """What is full first, as it is afterwards; null where nothing has a limit that is known."""
    times_left: float | None
    """What load can be taken times after the changes, until the first limit that grows with it is full; below 1 it is over it. Memory of
    workers does not grow with load."""
    confidence: Confidence
    reasons: list[str]
    """Why no surer, in a few words each; empty where nothing is to be said."""


def change_of(text: str) -> Change:
    """Return the change that a text such as `traffic:csv=1.5` or `hosts=-1` asks for. Raises `CapacityError` that says what to write."""
    name = _KIND.match(text)[0]  # type: ignore[index]
    if name not in [kind.value for kind in ChangeKind] or "=" not in text:
        raise CapacityError("what_if", f"{text!r:.80} is no change; write {FORMS}")
    kind, rest = ChangeKind(name), text[len(name) :]
    if kind in (ChangeKind.ADD, ChangeKind.REMOVE):
        if not rest.startswith("="):
            raise CapacityError("what_if", f"{text!r:.80}: write {kind}=PLUGIN")
        return Change(kind, rest[1:], 1.0)
    place, _, value = rest.rpartition("=")  # a name may hold what stands between
    if place and (not place.startswith(":") or place == ":"):
        raise CapacityError("what_if", f"{text!r:.80} is no change; write {FORMS}")
    plugin, value = place[1:] or None, value.strip()
    if kind is ChangeKind.HOSTS:
        if place or re.fullmatch(r"[+-]?[0-9]{1,6}", value) is None:
            raise CapacityError("what_if", f"{text!r:.80}: hosts take a whole number, such as hosts=-1 or hosts=+2")
        return Change(kind, None, float(int(value)))
    return Change(kind, plugin, _factor(text, value))


def _factor(text: str, value: str) -> float:
    share = value.endswith("%")
    try:
        number = float(value.removesuffix("%"))
    except ValueError:
        number = math.nan
    factor = 1 + number / 100 if share else number
    if not 0 <= factor <= MOST_TIMES:  # not a number, too
        raise CapacityError(
            "what_if",
            f"{text!r:.80}: take a factor from 0 to {MOST_TIMES:g} such as 1.5, or a change in per cent such as -20%",
        )
    return factor


def what_if(
    changes: Sequence[Change],
    limits: Iterable[Utilisation],
    rows: Sequence[Demand],
    machines: Sequence[Machine],
    ceilings: Mapping[str, Ceiling] | None = None,
) -> WhatIf:
    """Return what would be. `limits` is how it is, `rows` the demand by plugin. Raises `CapacityError` for a plugin that has no calls, and
    where no machine would be left.

    Load is taken to spread over machines as it does, limits of each process and its workers to come and go with machines, and a call to
    take as long as it takes now, but for the CPU time that it is spared.
    """
    plugins = {row.plugin_id: row for row in rows}
    for change in changes:
        if change.plugin is not None and change.plugin not in plugins:
            raise CapacityError("what_if", f"no plugin {change.plugin!r:.80} has made a call in this time")
    before_machines = len(machines)
    after_machines = before_machines + int(sum(item.amount for item in changes if item.kind is ChangeKind.HOSTS))
    if after_machines != before_machines and after_machines < 1:
        raise CapacityError("what_if", f"hosts: {before_machines} run plugins, and one at least must be left")
    traffic = {name: _times(changes, name, ChangeKind.TRAFFIC) for name in plugins}
    cost = {name: _times(changes, name, ChangeKind.COST) for name in plugins}
    removed = {item.plugin for item in changes if item.kind is ChangeKind.REMOVE}
    added = [item.plugin for item in changes if item.kind is ChangeKind.ADD]
    gone = removed.difference(added)
    size = after_machines / before_machines if before_machines else 1.0
    all_cpu = sum(row.cpu_cores or 0.0 for row in rows)
    asked = sum(
        (row.cpu_cores or 0.0) * traffic[name] * cost[name] * ((0 if name in removed else 1) + added.count(name))
        for name, row in plugins.items()
    )
    cpu_times = asked / all_cpu if all_cpu else 1.0

    def after(item: Utilisation) -> Utilisation:
        if item.plugin_id is None:
            used = item.used * cpu_times / size
            return replace(item, used=used, ratio=used / item.limit)
        name = item.plugin_id
        if name in gone:
            return replace(item, used=0.0, ratio=0.0)
        used = item.used * traffic[name]
        if item.resource is Resource.CPU:
            used *= cost[name]
        elif item.resource is Resource.CONCURRENCY:
            used = max(0.0, used - (1 - cost[name]) * _cpu_within(item, plugins[name]) * traffic[name])
        elif item.resource is Resource.MEMORY:
            used = item.used * size  # of workers, of which each process has as many as it has
        limit = item.limit * size
        return replace(item, used=used, limit=limit, ratio=used / limit if limit else math.inf)

    outcomes = [Outcome(item, after(item)) for item in limits]
    outcomes.sort(key=lambda item: -item.after.ratio)
    firm = [item for item in outcomes if item.after.kind is not LimitKind.DECLARED] or outcomes
    bottleneck = firm[0].after if firm else None
    loads = {name: 0.0 if name in gone else times / size for name, times in traffic.items()}
    confidence, reasons = _sure(changes, bottleneck, loads, _farthest(firm, bottleneck), rows, machines, ceilings or {})
    fullest = max((item.after.ratio for item in firm if item.after.resource is not Resource.MEMORY), default=0.0)
    return WhatIf(outcomes, bottleneck, 1 / fullest if fullest else None, confidence, reasons)


def _times(changes: Iterable[Change], plugin: str, kind: ChangeKind) -> float:
    return math.prod(item.amount for item in changes if item.kind is kind and item.plugin in (None, plugin))


def _cpu_within(item: Utilisation, row: Demand) -> float:
    """Return the part of the concurrency of a limit that is on a processor."""
    if not row.cpu_cores or not row.concurrency:
        return 0.0
    return item.used * min(1.0, row.cpu_cores / row.concurrency)


def _farthest(outcomes: Iterable[Outcome], bottleneck: Utilisation | None) -> float:
    """Return how many times as full the limits become that decide: the bottleneck, and those that would be fuller than it if they were
    wrong by as much again. Whoever is far from every limit makes no answer less sure."""
    if bottleneck is None:
        return 1.0
    return max(
        (
            times
            for item in outcomes
            if item.before.ratio
            for times in [item.after.ratio / item.before.ratio]
            if item.after is bottleneck or item.after.ratio * times >= bottleneck.ratio
        ),
        default=1.0,
    )


def _sure(
    changes: Sequence[Change],
    bottleneck: Utilisation | None,
    loads: Mapping[str, float],
    times: float,
    rows: Sequence[Demand],
    machines: Sequence[Machine],
    ceilings: Mapping[str, Ceiling],
) -> tuple[Confidence, list[str]]:
    """Return how sure an answer is, and why no surer. `loads` is what calls of each plugin are taken times on a host, `times` what the
    limits are that decide."""
    if bottleneck is None:
        return Confidence.NONE, [
            "nothing is known to have a limit: hosts tell of no bulkhead, rate, quota or processors"
        ]
    reasons, level = [], Confidence.HIGH
    if times > SEEN_TIMES:
        level = Confidence.MEDIUM if times <= FAR_TIMES else Confidence.LOW
        reasons.append(f"load on a host is {times:.3g} times what was seen; calls are taken to last as long as now")
    unmeasured = [row.plugin_id for row in rows if row.cpu_cores is None]
    if unmeasured:
        level = Confidence.LOW if len(unmeasured) > len(rows) / 2 else min(level, Confidence.MEDIUM, key=_ORDER.index)
        reasons.append(f"CPU of {len(unmeasured)} of {len(rows)} plugins was not measured")
    silent = sum(item.processors is None for item in machines)
    if silent:
        level = min(level, Confidence.MEDIUM, key=_ORDER.index)
        reasons.append(f"{silent} of {len(machines)} hosts tell of no processors")
    for name, ceiling in ceilings.items():
        load = loads[name]
        if load <= 1:
            continue  # no more than was seen
        if ceiling.low is not None and ceiling.most_seen is not None and ceiling.most_seen * load > ceiling.low:
            level = Confidence.LOW
            reasons.append(f"{name!r:.80} would be beyond where its latency doubles")
        elif ceiling.bend is Bend.NOT_SEEN and load > SEEN_TIMES:
            level = min(level, Confidence.MEDIUM, key=_ORDER.index)
            reasons.append(f"where latency of {name!r:.80} bends was never seen")
    if any(change.kind is ChangeKind.HOSTS for change in changes) and bottleneck.kind is LimitKind.OBSERVED:
        level = min(level, Confidence.MEDIUM, key=_ORDER.index)
        reasons.append("what a plugin can do is taken to grow with hosts; a downstream that they share does not")
    return level, reasons


_ORDER = (Confidence.NONE, Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH)
