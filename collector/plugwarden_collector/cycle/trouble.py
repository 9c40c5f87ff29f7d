"""Looking: what arrived is brought into the watch, and whatever is suspected is explained by as few causes as will do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from plugwarden.contract import Scope

from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.judge.arrivals import Cell
from plugwarden_collector.judge.causes import Explanation, Sample, explain
from plugwarden_collector.judge.watch import Suspect, Watch, bad_of, look, thresholds_of, tolerated_of, usual_of
from plugwarden_collector.rules.objective import Objective

from .tick import Tick

__all__ = ["Trouble", "find_trouble", "within"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong by one objective."""

    objective: Objective
    explanation: Explanation
    samples: Sequence[Sample]
    """What it was found in."""


def find_trouble(tick: Tick) -> list[Trouble]:
    """Bring the watch forward, and explain what is suspected: nothing is asked where nothing is."""
    objectives = tick.rules.objectives
    tick.watch = _with_clean_slates(tick)
    open_ones = [item for item in tick.standing.quarantines.values() if item.in_force]
    tick.watch, suspects = look(
        tick.watch, tick.seen.arrivals, objectives, tick.seen.usual, tick.at, _judged(open_ones)
    )
    if not suspects:
        return []
    found = []
    for objective in objectives:
        mine = [item for item in suspects if item.objective == objective.name]
        if mine:
            cells = tick.evidence.cells(mine, tick.at)
            samples = _samples(tick, objective, mine, cells, open_ones)
            explanation = explain(samples)
            if explanation.faults or explanation.shared:
                found.append(Trouble(objective, explanation, samples))
    return found


def within(scope: Scope, cell: Cell) -> bool:
    """Whether a cell's calls are in a scope."""
    return (
        scope.plugin == cell.plugin
        and scope.version in {None, cell.version}
        and scope.operation in {None, cell.operation}
        and scope.instance in {None, cell.instance}
        and scope.tenant in {None, cell.tenant}
    )


def _with_clean_slates(tick: Tick) -> Watch:
    """What was isolated, let in or released since the last tick is judged by what it does from now on."""
    watch, last = tick.watch, tick.watch.at
    if last is None:
        return watch
    for item in tick.standing.quarantines.values():
        if item.changed_at >= last or (item.ended_at is not None and item.ended_at >= last):
            scope = item.scope
            watch = watch.without(
                lambda plugin, version, operation, scope=scope: (
                    plugin == scope.plugin
                    and scope.version in {None, version}
                    and scope.operation in {None, operation}
                )
            )
    return watch


def _judged(open_ones: Sequence[Quarantine]) -> Callable[[str, str, str], bool]:
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
    tick: Tick, objective: Objective, suspects: Sequence[Suspect], cells: Sequence[Cell], open_ones: Sequence[Quarantine]
) -> list[Sample]:
    """Return what the suspects did, without what is isolated: of each finest part one value."""
    thresholds = thresholds_of(tick.rules.objectives)
    began = {(item.plugin, *stream): since for item in suspects for stream, (_, since) in item.streams.items()}
    taken = [item.scope for item in open_ones]
    gathered: dict[tuple[str, ...], Sample] = {}
    for cell in cells:
        if any(within(scope, cell) for scope in taken):
            continue
        key = (cell.plugin, cell.version, cell.operation, cell.instance, cell.machine, cell.tenant, cell.service)
        bad = bad_of(objective, thresholds, cell)
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
        gathered[key] = replace(sample, total=sample.total + cell.counts.total, bad=sample.bad + bad, errors=errors)
    return list(gathered.values())
