"""Error budgets: what is left of each over its period, of a plugin over all of its versions and of each version; and whose is spent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from plugwarden_collector.decide.alert import EXHAUSTED, Reading
from plugwarden_collector.decide.changes import BudgetStatus
from plugwarden_collector.durations import duration
from plugwarden_collector.figures import percent
from plugwarden_collector.judge.burn import Budget, bad_by_version, budget, fastest_window, rate_of
from plugwarden_collector.judge.sli import NO_CALLS, CallCounts, indicator_of, summed
from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.tiers import TICKET

from .alerts import Described, bring_forward, spenders
from .tick import Tick

__all__ = ["LEFT_AGAIN_RATIO", "keep_budgets", "spent"]

LEFT_AGAIN_RATIO = 0.02
"""Share of a budget that must be left before it is one again: what a page is about (the workbook's table 5-8). Between it and
nothing a spent one stays spent, so that each good call does not end what the next bad one begins."""


def keep_budgets(tick: Tick) -> None:
    """Note what is left, of each plugin over all of its versions that were called within the period, and of each version that runs.

    A release goes on with what the versions before it left. What is spent is told as a ticket; nobody is isolated for it.
    """
    if tick.seen.periods is None:
        return
    told = {(record.slo, record.plugin) for record in tick.standing.alerts.values() if record.exhausted}
    first_calls = _first_calls(tick.standing.versions)
    for objective in tick.rules.objectives:
        # Of a plugin that is younger than the longest window few calls are the whole budget, and burn rates tell.
        young_from = tick.at - timedelta(seconds=max(tier.long_seconds for tier in objective.tiers))
        fastest, running = fastest_window(objective), dict[str, list[CallCounts]]()
        periods = tick.seen.periods.get(objective.name, {})
        for (plugin, version), windows in tick.seen.windows.get(objective.name, {}).items():
            burning = windows.get(fastest, NO_CALLS)
            running.setdefault(plugin, []).append(burning)
            left = budget(objective, periods.get((plugin, version), NO_CALLS))
            _keep(tick, objective, plugin, version, left, burning)
        called: dict[str, dict[str, CallCounts]] = {}
        for (plugin, version), counts in periods.items():
            called.setdefault(plugin, {})[version] = counts
        for plugin, versions in called.items():
            left = budget(objective, summed(versions.values()))
            _keep(tick, objective, plugin, None, left, summed(running.get(plugin, ())), len(versions))
            if plugin in running and (
                (objective.name, plugin) in told
                or (spent(objective, left) and first_calls.get(plugin, tick.at) < young_from)
            ):
                _tell(tick, objective, plugin, left, versions)


def _keep(
    tick: Tick,
    objective: Objective,
    plugin: str,
    version: str | None,
    left: Budget,
    burning: CallCounts,
    versions: int = 1,
) -> None:
    burn_rate = rate_of(objective, burning)
    exhausted = None
    if left.remaining_ratio is not None and left.remaining_ratio > 0 and burn_rate > 0:
        exhausted = left.remaining_ratio * objective.period_seconds / burn_rate
    tick.changes.slo_status.append(
        BudgetStatus(
            objective.name, plugin, version, tick.at, objective.sli.value, objective.target_ratio, objective.period_seconds,
            left.total, left.bad, left.sli_ratio, left.remaining_ratio, burn_rate, exhausted, versions,
        )
    )  # fmt: skip


def spent(objective: Objective, left: Budget) -> bool | None:
    """Return whether nothing is left of a budget; None: too few calls, or too little is left to say that it is one again."""
    if left.remaining_ratio is None:
        return None
    if left.remaining_ratio <= 0:
        enough = left.total >= objective.min_events and left.bad >= objective.min_failures
        return True if enough else None
    return None if left.remaining_ratio < LEFT_AGAIN_RATIO else False


def _tell(tick: Tick, objective: Objective, plugin: str, left: Budget, versions: Mapping[str, CallCounts]) -> None:
    period = duration(objective.period_seconds)

    def described() -> Described:
        summary = (
            f"{plugin} has spent its error budget: {left.bad} of {left.total} {indicator_of(objective).why()} "
            f"({percent(left.bad / left.total)}) within {period}, over all of its versions, against an objective of "
            f"{percent(objective.target_ratio)}"
        )
        description = (
            f"{spenders(bad_by_version(objective, versions))} A release begins with what those before it left."
        )
        detail = {
            "total": left.total, "bad": left.bad, "allowed": left.allowed, "remaining_ratio": left.remaining_ratio,
            "versions": len(versions),
        }  # fmt: skip
        return Described(f"{objective.name} {EXHAUSTED}", summary, description, detail)

    share = "nothing" if left.remaining_ratio is None else percent(max(0.0, left.remaining_ratio))
    reading = Reading(spent(objective, left), f"{share} is left of the budget of {period}")
    bring_forward(tick, objective, TICKET, plugin, None, reading, described, EXHAUSTED)


def _first_calls(versions: Mapping[tuple[str, str], datetime]) -> dict[str, datetime]:
    """Return when each plugin was first called, in any of its versions."""
    found: dict[str, datetime] = {}
    for (plugin, _), first_at in versions.items():
        found[plugin] = min(first_at, found.get(plugin, first_at))
    return found
