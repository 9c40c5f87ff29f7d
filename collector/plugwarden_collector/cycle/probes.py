"""What the calls say that a scope on probation was let through: by a sequential test on every SLI that it is judged by."""

from __future__ import annotations

from collections import Counter

from plugwarden.contract import QuarantineState

from plugwarden_collector.decide.quarantine import Probes, Quarantine
from plugwarden_collector.judge.evidence import verdict
from plugwarden_collector.judge.watch import bad_of, thresholds_of, tolerated_of, usual_of
from plugwarden_collector.rules.objective import Objective

from .tick import Tick

__all__ = ["probed"]

DOUBT = 0.01
"""How often a step of probation may be judged wrongly, either way."""
OTHERS_DOUBT = 0.3
"""Where several processes tell, each of them may be left out, and the others say the same with this doubt: none of them alone can
make a scope look well, or keep it isolated."""
HALF_A_FIX = 4.0
"""What still fails a quarter as often as it did, or more than is tolerated, is not well."""
WELL_PART = 1 / 3
"""A scope is well at this part of the share at which it is not: with less between them no number of calls could tell."""


def probed(tick: Tick, item: Quarantine) -> Probes:
    """Return the probes of a quarantine, judged; none where it is not on probation."""
    if item.state is not QuarantineState.PROBATION:
        return Probes(0, 0)
    cells = tick.evidence.probes(item.scope, item.changed_at, int(item.evidence.get("mark", 0)), tick.at)
    objectives = [objective for objective in tick.rules.objectives if objective.covers(item.scope.plugin)]
    thresholds = thresholds_of(tick.rules.objectives)
    total = sum(cell.counts.total for cell in cells)
    worst, well, unwell = 0, bool(objectives), False
    for objective in objectives:
        good_ratio, bad_ratio = _ratios(tick, item, objective)
        told: Counter[str] = Counter()
        bad_told: Counter[str] = Counter()
        for cell in cells:
            told[cell.instance] += cell.counts.total
            bad_told[cell.instance] += bad_of(objective, thresholds, cell)
        bad = bad_told.total()
        found = verdict(total, bad, good_ratio, bad_ratio)
        worst = max(worst, bad)
        others = [
            verdict(total - told[instance], bad - bad_told[instance], good_ratio, bad_ratio)
            for instance in (told if len(told) > 1 else ())
        ]
        well = well and found.well(DOUBT) and all(rest.well(OTHERS_DOUBT) for rest in others)
        unwell = unwell or (found.unwell(DOUBT) and all(rest.unwell(OTHERS_DOUBT) for rest in others))
    return Probes(total, worst, well, unwell)


def _ratios(tick: Tick, item: Quarantine, objective: Objective) -> tuple[float, float]:
    """Return the shares of bad calls of a scope that is well, and of one that is not."""
    scope = item.scope
    past = usual_of(tick.seen.usual, scope.plugin, scope.version or "", scope.operation or "")
    unwell = tolerated_of(objective, thresholds_of(tick.rules.objectives), past)
    if item.evidence.get("objective") == objective.name:
        unwell = max(unwell, min(0.5, float(item.evidence.get("failed_ratio", 0.0)) / HALF_A_FIX))
    return min(1.0 - objective.target_ratio, unwell * WELL_PART), unwell
