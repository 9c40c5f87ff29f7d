"""What arrived in the last seconds, of plugins that are about to be acted on: is it over already?

Evidence that was enough stays so for a while after the trouble. A norm of a few failures in a hundred then looks like a sign that it
goes on, so that the last calls are weighed as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from plugwarden.contract import Scope

from plugwarden_collector.judge.arrivals import Cell
from plugwarden_collector.judge.causes import Fault
from plugwarden_collector.judge.evidence import agree, verdict
from plugwarden_collector.judge.watch import bad_by_process, thresholds_of
from plugwarden_collector.rules.objective import Objective

from .tick import Tick
from .trouble import part_of

__all__ = ["LOOKS", "NEWEST", "Lately"]

DOUBT = 0.05
"""Once in twenty times what still fails looks well for a moment, and is isolated at a later look."""
LOOKS = (timedelta(seconds=2), timedelta(seconds=4), timedelta(seconds=6), timedelta(seconds=15))
"""Sidecars tell of good calls every five seconds, once all is well again: so far back there are some. Of a scope that is seldom called
fifteen seconds say more: what stumbled half a minute ago is not isolated for a stray failure of now."""
NEWEST = LOOKS[:2]
"""Looks at what may have stumbled: further back lies the stumble itself."""
LIKE_RATIO = 0.5
"""Share of a fault's rate at which its last calls fail at least, if it is not over."""
LIKE_TOLERATED = 2.0
"""Times as often as is tolerated they do, too: what was over long ago has a rate that good calls since then have thinned."""
LEANS_NATS = 1.0
"""Nats that speak for well, though too few to be sure."""
MOST_RATIO = 0.99


class Lately:
    """The last seconds of some plugins; asked for once a tick and look, when somebody wants to know."""

    def __init__(self, tick: Tick, plugins: Iterable[str]) -> None:
        self._tick = tick
        self._plugins = sorted(set(plugins))
        self._thresholds = thresholds_of(tick.rules.isolating)
        self._known: dict[timedelta, Sequence[Cell] | None] = {}

    def fails(
        self, objective: Objective, fault: Fault, scope: Scope, looks: Sequence[timedelta] = LOOKS
    ) -> bool | None:
        """Whether the last calls say that a scope still fails, or is well again; None where they leave it open.

        Well again: failing half as often as it did explains them far worse. The newest are asked first, and those before them as long
        as they leave it open; where the newest lean to well, older ones do not say that it fails. No one process makes a scope
        look well that others run as well.
        """
        if objective.threshold_index is not None or not fault.total or not fault.expected:
            return None
        ratios = _ratios(fault)
        if ratios is None:
            return None
        leans_well = False
        for back in looks:
            cells = self._cells(back, fault)
            if cells is None:
                return None
            told = self._told(objective, fault, scope, cells)
            if agree(told, ratios, DOUBT, well=True):
                return False
            if agree(told, ratios, DOUBT, well=False):
                return None if leans_well else True
            leans_well = leans_well or verdict(*_summed(told), *ratios).nats >= LEANS_NATS
        return None

    def may_be_well(self, objective: Objective, fault: Fault, scope: Scope, looks: Sequence[timedelta]) -> bool:
        """Whether the last calls leave it open in any of the looks that a scope is well; without any, nothing says so.

        Two failures of a plugin that always has some lean to unwell for a moment; the good calls just before them say what they are.
        """
        ratios = _ratios(fault)
        if ratios is None:
            return False
        told = (_summed(self._told(objective, fault, scope, self._cells(back, fault) or ())) for back in looks)
        return any(total and verdict(total, bad, *ratios).nats > -LEANS_NATS for total, bad in told)

    def _told(
        self, objective: Objective, fault: Fault, scope: Scope, cells: Iterable[Cell]
    ) -> dict[str, tuple[int, int]]:
        """Return (all calls, bad calls) of a scope by process."""
        return bad_by_process(objective, self._thresholds, (cell for cell in cells if part_of(fault, scope, cell)))

    def _cells(self, back: timedelta, fault: Fault) -> Sequence[Cell] | None:
        """What arrived so far back; None where that is not known, or lies before the fault."""
        tick = self._tick
        begun = next((item for item in tick.watch.marks if tick.at - item[0] <= back), None)
        if begun is None or begun[0] <= fault.since:
            return None
        if back not in self._known:
            self._known[back] = tick.evidence.lately(self._plugins, *begun, tick.at)
        return self._known[back]


def _ratios(fault: Fault) -> tuple[float, float] | None:
    """Return the shares of bad calls of a scope that is well and of one that still fails; None where they cannot be told apart."""
    well = fault.expected / fault.total
    unwell = min(max(LIKE_RATIO * fault.bad / fault.total, LIKE_TOLERATED * well), MOST_RATIO)
    return (well, unwell) if unwell > well else None


def _summed(told: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """Return (all calls, bad calls) of all processes."""
    return sum(total for total, _ in told.values()), sum(bad for _, bad in told.values())
