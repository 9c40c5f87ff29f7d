"""A plugin that fails in all of its processes but one: whose word is that one's?

One process that is well among many that are not may be just that, or a sender that makes up good calls. Either way it must not
split what the others say together into as many faults as there are processes, each with too little evidence of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set
from dataclasses import replace

from plugwarden.contract import OVERFLOW

from .cells import INSTANCE, MACHINE, SERVICE, Cells
from .factors import Factor
from .suspect import Suspect, suspect

__all__ = ["all_but_one"]

LEAST_FAILING = 3
"""Processes that must fail: of fewer, each is a fault of its own."""
TOGETHER_NATS = 3.0
"""Nats by which the others say more together than all do: one chance in twenty (e^-3)."""
_PROCESSES = (INSTANCE, MACHINE, SERVICE)


def all_but_one(whole: Suspect) -> Suspect:
    """Return a plugin without the one process that is well, where all others fail for one reason; else the plugin itself."""
    if any(not item.has(_PROCESSES) and not item.sender for item in whole.blamed):
        return whole
    total, bad, expected = (
        defaultdict[str, float](float),
        defaultdict[str, float](float),
        defaultdict[str, float](float),
    )
    table = whole.cells.table
    for at, name in enumerate(table.columns[INSTANCE]):
        total[name] += table.total[at]
        bad[name] += table.bad[at]
        expected[name] += whole.cells.expected[at]
    well = [name for name in total if bad[name] <= expected[name]]
    if not well or sum(bad[name] > expected[name] for name in total) < LEAST_FAILING:
        return whole
    left_out = max(well, key=lambda name: (total[name], name))
    if left_out in {"", OVERFLOW}:  # it may be many
        return whole
    kept = [at for at, name in enumerate(table.columns[INSTANCE]) if name != left_out]
    samples = [whole.cells.samples[at] for at in kept]
    if not any(sample.since is not None for sample in samples):
        return whole
    others = suspect(whole.plugin, samples)
    if not others.blamed or any(item.has(_PROCESSES) or item.sender for item in others.blamed):
        return whole
    if _score(others) <= _score(whole) + TOGETHER_NATS:
        return whole
    told = {at for item in whole.blamed for at in item.factor.cells}
    explained = {at for at, place in enumerate(kept) if place in told}
    if any(_takes_healthy(others.cells, item.factor, explained) for item in others.blamed):
        return whole
    return replace(others, without=left_out)


def _takes_healthy(cells: Cells, factor: Factor, explained: Set[int]) -> bool:
    """Whether a factor covers more than is explained without it, and that is known to be healthy."""
    total, bad = cells.table.counts(at for at in factor.cells if at in explained)
    more = [at for at in factor.cells if at not in explained]
    return total > 0 and cells.search.beside(total, bad, more) is None


def _score(part: Suspect) -> float:
    return sum(item.factor.score for item in part.blamed)
