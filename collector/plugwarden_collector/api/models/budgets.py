"""Error budgets: what is left of each, and how one was spent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from plugwarden.contract.value import value

from plugwarden_collector.judge.budget_state import BudgetState
from plugwarden_collector.judge.burn_down import BurnPoint, Left
from plugwarden_collector.judge.spending import Foreseen
from plugwarden_collector.store.calls import Spender
from plugwarden_collector.store.ledger_rows import BudgetRow

from .answer import Answer
from .corrections import Correction

__all__ = ["Budget", "BudgetHistory", "BudgetTier", "BurnPoint", "Foreseen", "Left", "Spender"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget(Answer, BudgetRow):
    """An error budget of a plugin over all of its versions, as last judged, and how it stands."""

    state: BudgetState
    """`spent`, `burning` (an alert on how fast it goes fires), `unsure` (nothing is left, of too few calls to say so), `kept`, or `unknown`
    (there were no calls)."""
    alerts: list[str]
    """Fingerprints of alerts that fire on it, pages first."""


@value
class BudgetTier(Answer):
    """A pair of windows, and how fast the budget burns in both."""

    severity: str
    factor: float
    """Burn rate from which on it is met, in both windows."""
    long_seconds: float
    short_seconds: float
    long_rate: float | None
    """Null without calls."""
    short_rate: float | None
    met: bool
    """Whether both burn too fast, of enough calls and bad ones."""
    spent_in_seconds: float
    """When the whole budget is gone at that rate, seconds."""


@value
class BudgetHistory(Answer):
    """An error budget as it is counted now, and how it was spent."""

    time: datetime
    """When it was counted, UTC."""
    slo: str
    plugin_id: str
    plugin_version: str | None
    """Version whose calls alone are counted; null: all of them, and the budget is the plugin's."""
    sli: str
    """`availability`, `latency`, or of slices of time `availability_slices` or `latency_slices`."""
    promise: str
    """What the objective promises, in plain language."""
    objective: float
    """Share of good calls, or slices, that is promised, 0 to 1."""
    total: int
    """Calls, or slices, of the period so far."""
    bad: int
    """Those of them that count against it."""
    allowed: float
    """So many bad ones of these the objective allows."""
    sli_value: float | None
    """Share of good ones, 0 to 1; null without any."""
    budget_remaining_ratio: float | None
    """Share of the budget that is left; below 0 when overspent; null without calls."""
    fast_burn_rate: float
    """How many times too fast the budget burns in the long window of the fastest pair."""
    exhausted_in_seconds: float | None
    """When nothing is left at this rate, seconds from now; null where it does not burn, or lasts until it begins anew."""
    period_seconds: float
    period_started_at: datetime
    """UTC."""
    period_ends_at: datetime | None
    """When the budget begins anew, UTC; null of a period that rolls."""
    excluded_seconds: float
    """How much of the period corrections leave out."""
    state: BudgetState
    """As of `GET /api/v1/budgets`."""
    alerts: list[str]
    """Fingerprints of alerts that fire on it, pages first."""
    points: list[Left]
    """What was left over the period: the first is its beginning, the last is now and says what the budget says."""
    foreseen: list[Foreseen]
    """What will be left, from now to the end of the period of a calendar, or for a quarter of one that rolls; empty without calls."""
    tiers: list[BudgetTier]
    burn_rates: list[BurnPoint]
    """Burn rates in the long windows of all tiers, over the time that was asked for, and now; in the order of time."""
    spenders: list[Spender]
    """Bad calls by version, operation and error, the most first, 50 at most; empty of slices, which are of all of them."""
    spenders_left_out: int
    """Bad calls of others than those."""
    corrections: list[Correction]
    """What is left out of the period."""
