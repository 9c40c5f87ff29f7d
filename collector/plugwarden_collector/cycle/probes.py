"""What the calls say that a scope on probation was let through: by a sequential test on every SLI that it is judged by."""

from __future__ import annotations

from datetime import timedelta

from plugwarden.contract import QuarantineState

from plugwarden_collector.decide.quarantine import Probes, Quarantine
from plugwarden_collector.judge.evidence import agree
from plugwarden_collector.judge.watch import bad_by_process, thresholds_of, tolerated_of, usual_of
from plugwarden_collector.rules.file import DEFAULT_RULES
from plugwarden_collector.rules.objective import Objective

from .tick import Tick

__all__ = ["probed"]

UNPROMISED = list(DEFAULT_RULES.objectives)
"""What a scope is judged by that no objective covers which isolates: a person or a pushed alert isolated it, and whether its calls fail is
known all the same. Without any, probation could neither be passed nor failed."""
DOUBT = 0.02
"""How often probation may be judged wrongly, either way. Its steps ask for as much more evidence each, of all calls since it began:
little is at stake while few calls are let through. That a scope is not well is told by the calls of the step alone."""
LOOKBACK = timedelta(hours=6)
"""Calls dated further back are no probes, whenever they came: longer than the steps of a probation take."""
HALF_A_FIX = 3.0
"""What still fails a third as often as it did, or more than is tolerated, is not well."""
WELL_PART = 1 / 3
"""A scope is well at this part of the share at which it is not: with less between them no number of calls could tell."""


def probed(tick: Tick, item: Quarantine) -> Probes:
    """Return the probes of a quarantine, judged; none where it is not on probation."""
    if item.state is not QuarantineState.PROBATION:
        return Probes(0, 0)
    mark = int(item.evidence.get("mark", 0))
    began = int(item.evidence.get("probation_mark", mark))
    cells = tick.evidence.probes(item.scope, tick.at - LOOKBACK, mark, tick.at)
    all_cells = cells if began == mark else tick.evidence.probes(item.scope, tick.at - LOOKBACK, began, tick.at)
    objectives = [objective for objective in tick.rules.isolating if objective.covers(item.scope.plugin)] or UNPROMISED
    steps = len(tick.rules.policy.probation_steps)
    doubt = DOUBT ** ((min(item.step, steps - 1) + 1) / steps)
    thresholds = thresholds_of(tick.rules.isolating)
    known = {objective.name for objective in objectives}
    failed_by = known & {item.evidence.get("objective")} or known  # rules may have named it otherwise since
    worst, well, unwell = 0, True, False
    for objective in objectives:
        told = bad_by_process(objective, thresholds, cells)
        over_all = bad_by_process(objective, thresholds, all_cells)
        ratios = _ratios(tick, item, objective)
        worst = max(worst, sum(bad for _, bad in told.values()))
        # What it never failed by must only not look bad: to show that it is well by that would take hundreds of calls.
        well = well and (objective.name not in failed_by or agree(over_all, ratios, doubt, well=True))
        unwell = unwell or agree(told, ratios, DOUBT, well=False)
    return Probes(sum(cell.counts.total for cell in cells), worst, well and not unwell, unwell)


def _ratios(tick: Tick, item: Quarantine, objective: Objective) -> tuple[float, float]:
    """Return the shares of bad calls of a scope that is well, and of one that is not."""
    scope = item.scope
    past = usual_of(tick.seen.usual, scope.plugin, scope.version or "", scope.operation or "")
    unwell = tolerated_of(objective, thresholds_of(tick.rules.isolating), past)
    if item.evidence.get("objective") == objective.name:
        unwell = max(unwell, min(0.5, float(item.evidence.get("failed_ratio", 0.0)) / HALF_A_FIX))
    return min(1.0 - objective.target_ratio, unwell * WELL_PART), unwell
