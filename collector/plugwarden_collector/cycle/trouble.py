"""Looking: what arrived is brought into the watch, and whatever is suspected is explained by as few causes as will do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from plugwarden.contract import Scope

from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.judge.arrivals import Cell
from plugwarden_collector.judge.causes import Explanation, Fault, Sample, explain
from plugwarden_collector.judge.evidence import LEAST_TOLERATED
from plugwarden_collector.judge.watch import (
    BEFORE,
    REFUSING_COUNTS,
    Suspect,
    Watch,
    bad_of,
    look,
    thresholds_of,
    tolerated_of,
    usual_of,
)
from plugwarden_collector.rules.objective import Objective

from .tick import Tick

__all__ = ["BEFORE_SECONDS", "Trouble", "find_trouble", "judged_beside", "part_of", "within"]

SPEAKS_NATS = 20.0
"""What was found against the whole of a plugin with this much evidence is about to be acted on."""
SHUT_FOR_EACH = 3
"""Seconds behind an open breaker that count for each call that failed: it may have been opened for something else."""
BEFORE_SECONDS = BEFORE.total_seconds()
TOLD_SECONDS = 1.0
"""From a failed call until it is counted here: half a second in the sidecar, and as much on the way."""
PRESUMED_CALLS = 2
"""A silent process that would have made fewer calls than this by now says nothing."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong by one objective."""

    objective: Objective
    explanation: Explanation
    samples: Sequence[Sample]
    """What it was found in."""
    unheard: Sequence[Sample]
    """Parts that ran before it began, and have not told since: they may fail as well."""
    before: Sequence[Cell] = ()
    """What was called in the `BEFORE_SECONDS` before it began."""

    @property
    def blamed(self) -> set[str]:
        """Plugins of which something was found that is about to be acted on, or that somebody else speaks for."""
        faults = {item.scope.plugin for item in self.explanation.faults if item.weight >= SPEAKS_NATS}
        return faults.union(*(shared.plugins for shared in self.explanation.shared))


def find_trouble(tick: Tick) -> list[Trouble]:
    """Bring the watch forward, and explain what is suspected: nothing is asked where nothing is."""
    objectives = tick.rules.isolating
    tick.watch = _with_clean_slates(tick)
    open_ones = [item for item in tick.standing.quarantines.values() if item.in_force]
    tick.watch, suspects = look(
        tick.watch, tick.seen.arrivals, objectives, tick.seen.usual, tick.at, judged_beside(open_ones)
    )
    if not suspects:
        return []
    found = []
    for objective in objectives:
        ways: dict[str, list[Suspect]] = {}
        for item in suspects:
            if item.objective == objective.name:
                ways.setdefault(item.plugin, []).append(item)
        trouble = _looked_at(tick, objective, ways, open_ones)
        if trouble is not None:
            found.append(trouble)
    return found


def _looked_at(
    tick: Tick, objective: Objective, ways: Mapping[str, Sequence[Suspect]], open_ones: Sequence[Quarantine]
) -> Trouble | None:
    """Return what explains the trouble of the suspects, each looked at from the beginning that tells most of it.

    Where the whole of a plugin says nothing yet, its parts may, from when the first of their own calls were bad.
    """
    chosen = {plugin: suspects[0] for plugin, suspects in ways.items()}
    best = _explained(tick, objective, chosen, open_ones)
    for place in range(1, max(map(len, ways.values()), default=0)):
        silent = {plugin for plugin, suspects in ways.items() if place < len(suspects)} - _blamed(best)
        if not silent:
            continue
        closer = {**chosen, **{plugin: ways[plugin][place] for plugin in silent}}
        other = _explained(tick, objective, closer, open_ones)
        clearer = {plugin for plugin in silent if _weight(other, plugin) > _weight(best, plugin)}
        if clearer:
            chosen |= {plugin: closer[plugin] for plugin in clearer}
            best = other if clearer == silent else _explained(tick, objective, chosen, open_ones)
    return best


def _blamed(trouble: Trouble | None) -> set[str]:
    return set() if trouble is None else trouble.blamed


def _weight(trouble: Trouble | None, plugin: str) -> float:
    """Return the nats of what was found of a plugin; 0 where nothing was."""
    if trouble is None:
        return 0.0
    alone = [item.weight for item in trouble.explanation.faults if item.scope.plugin == plugin]
    shared = [item.weight for item in trouble.explanation.shared if plugin in item.plugins]
    return max((*alone, *shared), default=0.0)


def _explained(
    tick: Tick, objective: Objective, chosen: Mapping[str, Suspect], open_ones: Sequence[Quarantine]
) -> Trouble | None:
    """Return what explains the trouble of some suspects, by plugin; None where nothing does, or nobody is one."""
    if not chosen:
        return None
    suspects = list(chosen.values())
    samples = _samples(tick, objective, suspects, tick.evidence.cells(suspects, tick.at), open_ones)
    before = tick.evidence.before(suspects, BEFORE_SECONDS)
    silent, unheard = _silent(tick, suspects, samples, before, open_ones)
    samples += silent
    explanation = explain(samples, running=tick.seen.running, slow=objective.threshold_index is not None)
    if not explanation.faults and not explanation.shared:
        return None
    return Trouble(objective, explanation, samples, unheard, before)


def within(scope: Scope, cell: Cell) -> bool:
    """Whether a cell's calls are in a scope."""
    return (
        scope.plugin == cell.plugin
        and scope.version in {None, cell.version}
        and scope.operation in {None, cell.operation}
        and scope.instance in {None, cell.instance}
        and scope.tenant in {None, cell.tenant}
    )


def part_of(fault: Fault, scope: Scope, cell: Cell) -> bool:
    """Whether a cell's calls are in the part of a fault that a scope is told for.

    Where a fault of several processes is told to each of them, that is all of them: what is found together goes on or is over together.
    """
    if scope.instance is None or fault.scope.instance is not None:
        return within(scope, cell)
    return cell.instance in fault.instances and within(replace(scope, instance=None), cell)


def _with_clean_slates(tick: Tick) -> Watch:
    """What was isolated, let in or released since the last tick is judged by what it does from now on.

    Where a part of an operation was isolated, what is known of its other parts stands.
    """
    watch, last = tick.watch, tick.watch.at
    if last is None:
        return watch
    for item in tick.standing.quarantines.values():
        whole = item.scope.instance is None and item.scope.tenant is None
        if (item.ended_at is not None and item.ended_at >= last) or (whole and item.changed_at >= last):
            watch = watch.without(partial(_touches, item.scope))
    return watch


def _touches(scope: Scope, plugin: str, version: str, operation: str) -> bool:
    return plugin == scope.plugin and scope.version in {None, version} and scope.operation in {None, operation}


def judged_beside(open_ones: Sequence[Quarantine]) -> Callable[[str, str, str], bool]:
    """Return whether a stream is judged here: what is isolated or on probation as a whole is judged by its probes."""
    whole = {
        (item.scope.plugin, item.scope.version, item.scope.operation)
        for item in open_ones
        if item.scope.instance is None and item.scope.tenant is None
    }

    def judged(plugin: str, version: str, operation: str) -> bool:
        return not whole or whole.isdisjoint(
            ((plugin, None, None), (plugin, version, None), (plugin, version, operation), (plugin, None, operation))
        )

    return judged


def _samples(
    tick: Tick,
    objective: Objective,
    suspects: Sequence[Suspect],
    cells: Sequence[Cell],
    open_ones: Sequence[Quarantine],
) -> list[Sample]:
    """Return what the suspects did, without what is isolated: of each finest part one value."""
    thresholds = thresholds_of(tick.rules.isolating)
    began = {(item.plugin, *stream): own.failed_at for item in suspects for stream, own in item.streams.items()}
    taken = [item.scope for item in open_ones]
    gathered: dict[tuple[str, ...], Sample] = {}
    senders: dict[str, set[str]] = {}
    shut: dict[tuple[str, ...], int] = {}
    for cell in cells:
        if any(within(scope, cell) for scope in taken):
            continue
        key = (cell.plugin, cell.version, cell.operation, cell.instance, cell.machine, cell.tenant, cell.service)
        bad = bad_of(objective, thresholds, cell)
        shut[key] = shut.get(key, 0) + _shut(tick, objective, cell, began.get(key[:3]))
        sample = gathered.get(key)
        if sample is None:
            past = usual_of(tick.seen.usual, cell.plugin, cell.version, cell.operation)
            sample = Sample(
                cell.plugin, cell.version, cell.operation, 0, 0, tolerated_of(objective, thresholds, past),
                cell.instance, cell.machine, cell.tenant, cell.service, {}, began.get(key[:3]), known=past is not None,
            )  # fmt: skip
        errors = sample.errors
        if bad and cell.error_type:
            errors = {**errors, cell.error_type: errors.get(cell.error_type, 0) + bad}
        senders.setdefault(cell.plugin, set()).add(cell.instance)
        gathered[key] = replace(sample, total=sample.total + cell.counts.total, bad=sample.bad + bad, errors=errors)
    for part, seconds in shut.items():
        opened = gathered[part]
        more = min(seconds, SHUT_FOR_EACH * opened.bad)
        gathered[part] = replace(opened, total=opened.total + more, bad=opened.bad + more, shut=more)
    # Whom one sender alone ever named, without a past, may be nobody.
    return [item if item.known else replace(item, known=len(senders[item.plugin]) > 1) for item in gathered.values()]


def _shut(tick: Tick, objective: Objective, cell: Cell, began: datetime | None) -> int:
    """Return how many bad calls an open breaker stands for: one for each second (`judge.watch.REFUSING_COUNTS`)."""
    if not cell.refused or objective.threshold_index is not None or began is None:
        return 0
    return min(cell.refused, int((tick.at - began) / REFUSING_COUNTS))


def _silent(
    tick: Tick,
    suspects: Sequence[Suspect],
    samples: Sequence[Sample],
    before: Sequence[Cell],
    open_ones: Sequence[Quarantine],
) -> tuple[list[Sample], list[Sample]]:
    """Return what is presumed of processes that ran before the trouble and have told nothing since, and those too quiet to presume of.

    A sidecar tells of a failure within half a second and of all else within five: who is silent for longer than that is well.
    """
    heard = {(sample.plugin, sample.instance) for sample in samples}
    since = {item.plugin: min(own.failed_at for own in item.streams.values()) for item in suspects}
    quiet = [
        cell
        for cell in before
        if (cell.plugin, cell.instance) not in heard and not any(within(item.scope, cell) for item in open_ones)
    ]
    silent: list[Sample] = []
    unheard: list[Sample] = []
    for cell in quiet:
        elapsed = (tick.at - since[cell.plugin]).total_seconds() - TOLD_SECONDS
        calls = int(cell.counts.total * max(0.0, elapsed) / BEFORE_SECONDS)
        sample = Sample(
            cell.plugin, cell.version, cell.operation, calls, 0, LEAST_TOLERATED,
            cell.instance, cell.machine, cell.tenant, cell.service,
        )  # fmt: skip
        if calls:
            silent.append(sample)
        if calls < PRESUMED_CALLS:
            unheard.append(sample)
    return silent, unheard
