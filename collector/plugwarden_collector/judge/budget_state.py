"""How an error budget stands, in a word. Pure functions of counts."""

from __future__ import annotations

from enum import StrEnum

from plugwarden_collector.rules.objective import Objective

from .burn import Budget

__all__ = ["LEFT_AGAIN_RATIO", "BudgetState", "budget_state", "spent"]

LEFT_AGAIN_RATIO = 0.02
"""Share of a budget that must be left before it is one again: what a page is about (the workbook's table 5-8). Between it and
nothing a spent one stays spent, so that each good call does not end what the next bad one begins."""


class BudgetState(StrEnum):
    """How a budget stands; none of these is a state of a plugin, an alert or a quarantine."""

    SPENT = "spent"
    """Nothing is left."""
    BURNING = "burning"
    """Something is left, and an alert on how fast it goes fires."""
    UNSURE = "unsure"
    """Nothing is left, of fewer calls or bad ones than the objective asks for before it says anything."""
    KEPT = "kept"
    """Something is left, and no alert fires."""
    UNKNOWN = "unknown"
    """There were no calls."""


def budget_state(objective: Objective | None, left: Budget, *, burning: bool) -> BudgetState:
    """Return how a budget stands; `burning` is whether an alert on its burn rate fires. None: the rules have no such objective any more."""
    if left.remaining_ratio is None:
        return BudgetState.UNKNOWN
    if left.remaining_ratio <= 0:
        return BudgetState.SPENT if objective is None or _enough(objective, left) else BudgetState.UNSURE
    return BudgetState.BURNING if burning else BudgetState.KEPT


def spent(objective: Objective, left: Budget) -> bool | None:
    """Return whether nothing is left of a budget; None: too few calls, or too little is left to say that it is one again."""
    if left.remaining_ratio is None:
        return None
    if left.remaining_ratio <= 0:
        return True if _enough(objective, left) else None
    return None if left.remaining_ratio < LEFT_AGAIN_RATIO else False


def _enough(objective: Objective, left: Budget) -> bool:
    return left.total >= objective.min_events and left.bad >= objective.min_failures
