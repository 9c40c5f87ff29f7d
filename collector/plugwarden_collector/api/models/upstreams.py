"""Upstreams: what plugins call that others answer for, and how it is."""

from __future__ import annotations

from datetime import datetime

from plugwarden.contract.value import value

from plugwarden_collector.judge.budget_state import BudgetState
from plugwarden_collector.rules.objective import Sli

from .answer import Answer

__all__ = ["Upstream", "UpstreamBudget", "UpstreamPlugin", "Upstreams"]


@value
class UpstreamPlugin(Answer):
    """One plugin's calls of an upstream, from the hosts of one service."""

    plugin_id: str
    service_name: str
    """Empty of calls that an earlier version counted."""
    calls: int
    failed: int
    failed_ratio: float | None
    """Share of its calls that failed, 0 to 1; null without any."""
    mean_seconds: float | None
    p99_seconds: float | None
    """Null where no host told a histogram that can be read."""
    last_failed_at: datetime | None
    """Second or minute of the last failure, UTC."""


@value
class UpstreamBudget(Answer):
    """What is left of an error budget of an upstream, over all plugins and hosts that its objective covers."""

    slo: str
    """Name of the `[[upstream]]`."""
    sli: Sli
    objective: float
    """Share of good calls that is promised, 0 to 1."""
    owner: str
    """Who answers for it; empty where the rules name nobody."""
    period_seconds: float
    """Over how long, seconds."""
    total: int
    bad: int
    sli_value: float | None
    """Share of good calls, 0 to 1; null without any."""
    budget_remaining_ratio: float | None
    """Share of the budget that is left; below 0 when overspent; null without calls."""
    fast_burn_rate: float
    """How many times too fast it burns in the shortest pair of windows."""
    state: BudgetState
    """How it stands, as of the budgets of plugins."""


@value
class Upstream(Answer):
    """What plugins call that others answer for, over a span of time, as they saw it."""

    upstream: str
    """Its name, as plugins give it: `sidecar.downstream(NAME)`."""
    calls: int
    failed: int
    """Errors and timeouts. What its caller cancelled is in no count."""
    failed_ratio: float | None
    """Share of calls that failed, 0 to 1; null without any."""
    mean_seconds: float | None
    p99_seconds: float | None
    """Null where no host told a histogram that can be read."""
    last_at: datetime
    """Second or minute of the last call, UTC."""
    plugins: list[UpstreamPlugin]
    """Who calls it, the most failures first."""
    degraded_since: datetime | None
    """Since when an alert on its budget, or an incident of its name, says that it is not well, UTC; null: neither does."""
    alert: str | None
    """Fingerprint of that alert; null: there is none."""
    incident: str | None
    """Id of the shared cause that it is; null: there is none."""
    owners: list[str]
    """Who answers for it."""
    budgets: list[UpstreamBudget]
    """What is left now, by objective."""


@value
class Upstreams(Answer):
    """All upstreams with calls in a span of time."""

    upstreams: list[Upstream]
    """The most failures first."""
    unnamed: dict[str, int]
    """Plugin -> calls that failed by something it depends on, of plugins that named nothing: of which upstream is not known."""
