"""What the API says about error budgets: each with how it stands, and one with how it got there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from plugwarden_collector.control.budget_history import BudgetHistory
from plugwarden_collector.decide.alert import AlertRecord, AlertState
from plugwarden_collector.judge.budget_state import BudgetState, budget_state
from plugwarden_collector.judge.burn import Budget, Burn
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.promise import promise_of
from plugwarden_collector.store.ledger_rows import BudgetRow

from .corrections import correction_answer
from .plain import columns

__all__ = ["budgets_answer", "history_answer"]


def budgets_answer(rows: Sequence[BudgetRow], rules: Rules, alerts: Iterable[AlertRecord]) -> list[dict[str, Any]]:
    """Return stored budgets, each with how it stands and the alerts that fire on it."""
    objectives, firing = {item.name: item for item in rules.objectives}, _firing(alerts)
    found = []
    for row in rows:
        on = firing.get((row.slo, row.plugin_id), [])
        ratio = row.budget_remaining_ratio
        left = Budget(row.total, row.bad, row.sli_value, ratio, 0.0)
        found.append({**columns(row), **_standing(objectives.get(row.slo), left, on)})
    return found


def history_answer(
    objective: Objective, plugin: str, version: str | None, found: BudgetHistory, alerts: Iterable[AlertRecord]
) -> dict[str, Any]:
    """Return a budget with how it was spent."""
    on = [
        item
        for item in _firing(alerts).get((objective.name, plugin), [])
        if version is None or item.version in (None, version)
    ]
    left = found.left
    calendar = objective.calendar is not None
    return {
        "time": found.at, "slo": objective.name, "plugin_id": plugin, "plugin_version": version,
        "sli": objective.measured,
        "promise": promise_of(objective), "objective": objective.target_ratio, "total": left.total, "bad": left.bad,
        "allowed": left.allowed, "sli_value": left.sli_ratio, "budget_remaining_ratio": left.remaining_ratio,
        "fast_burn_rate": found.burn_rate, "exhausted_in_seconds": found.exhausted_seconds,
        "period_seconds": found.period.seconds if calendar else objective.period_seconds,
        "period_started_at": found.period.started_at, "period_ends_at": found.period.ends_at if calendar else None,
        "excluded_seconds": found.excluded_seconds, **_standing(objective, left, on),
        "points": found.points, "foreseen": found.foreseen,
        "tiers": [_tier(objective, burn) for burn in found.burns], "burn_rates": found.burn_rates,
        "spenders": found.spenders, "spenders_left_out": found.spenders_left_out,
        "corrections": [correction_answer(item, found.at) for item in found.corrections],
    }  # fmt: skip


def _tier(objective: Objective, burn: Burn) -> dict[str, Any]:
    """Return a tier with its burn rates now."""
    tier = burn.tier
    return {
        "severity": tier.severity, "factor": tier.factor, "long_seconds": tier.long_seconds, "short_seconds": tier.short_seconds,
        "long_rate": burn.long_rate if burn.long.total else None, "short_rate": burn.short_rate if burn.short.total else None,
        "met": burn.met, "spent_in_seconds": objective.period_seconds / tier.factor,
    }  # fmt: skip


def _standing(objective: Objective | None, left: Budget, firing: Sequence[AlertRecord]) -> dict[str, Any]:
    state: BudgetState = budget_state(objective, left, burning=any(not item.exhausted for item in firing))
    return {"state": state, "alerts": [item.alert.fingerprint for item in firing]}


def _firing(alerts: Iterable[AlertRecord]) -> dict[tuple[str, str], list[AlertRecord]]:
    """Return alerts that fire on an objective of a plugin, pages before tickets."""
    found: dict[tuple[str, str], list[AlertRecord]] = {}
    for item in sorted(alerts, key=lambda item: (item.severity, item.alert.fingerprint)):
        if item.alert.state is AlertState.FIRING and item.slo and item.plugin:
            found.setdefault((item.slo, item.plugin), []).append(item)
    return found
