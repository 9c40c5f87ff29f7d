"""Error budgets: what is left of each over its period, of a plugin over all of its versions and of each version; and whose is spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from plugwarden_collector.decide.alert import EXHAUSTED, Reading
from plugwarden_collector.decide.changes import BudgetStatus
from plugwarden_collector.decide.correction import Stretch, excluded_seconds, stretches, widened
from plugwarden_collector.durations import duration
from plugwarden_collector.figures import percent
from plugwarden_collector.judge.budget_state import spent
from plugwarden_collector.judge.burn import Budget, bad_by_version, budget, fastest_window, rate_of
from plugwarden_collector.judge.sli import NO_CALLS, CallCounts, indicator_of, summed
from plugwarden_collector.judge.spending import exhausted_seconds
from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.period import Period
from plugwarden_collector.rules.tiers import TICKET

from .alerts import Described, bring_forward, limit_of, spenders
from .tick import Observation, Tick

__all__ = ["keep_budgets", "of_period", "without_limit"]


def keep_budgets(tick: Tick) -> None:
    """Note what is left, of each plugin over all of its versions that were called within the period, and of each version that runs.

    A release goes on with what the versions before it left. What is spent is told as a ticket; nobody is isolated for it.
    """
    if tick.seen.periods is None:
        return
    told = {(record.slo, record.plugin) for record in tick.standing.alerts.values() if record.exhausted}
    first_calls = _first_calls(tick.standing.versions)
    for objective in tick.rules.objectives:
        period = objective.period_at(tick.at)
        left_out = tuple(
            stretches(widened(tick.standing.corrections, objective.cut), period.started_at, period.ends_at)
        )
        # Of a plugin, or a period, that is younger than the longest window few calls are the whole budget, and burn rates tell.
        young_from = tick.at - timedelta(seconds=max(tier.long_seconds for tier in objective.tiers))
        fastest, running = fastest_window(objective), dict[str, list[CallCounts]]()
        periods = tick.seen.periods.get(objective.name, {})
        for (plugin, version), windows in tick.seen.windows.get(objective.name, {}).items():
            burning = windows.get(fastest, NO_CALLS)
            running.setdefault(plugin, []).append(burning)
            if objective.cut is not None:
                continue
            left = budget(objective, periods.get((plugin, version), NO_CALLS))
            _keep(tick, objective, period, left_out, plugin, version, left, burning)
        called: dict[str, dict[str, CallCounts]] = {}
        for (plugin, version), counts in periods.items():
            called.setdefault(plugin, {})[version] = counts
        for plugin, versions in called.items():
            left = budget(objective, summed(versions.values()))
            burning = summed(running.get(plugin, ()))
            _keep(tick, objective, period, left_out, plugin, None, left, burning, len(versions))
            began = max(first_calls.get(plugin, tick.at), period.started_at)
            if plugin in running and (
                (objective.name, plugin) in told or (spent(objective, left) and began < young_from)
            ):
                _tell(tick, objective, plugin, left, versions)


def _keep(
    tick: Tick,
    objective: Objective,
    period: Period,
    left_out: Sequence[Stretch],
    plugin: str,
    version: str | None,
    left: Budget,
    burning: CallCounts,
    versions: int = 1,
) -> None:
    burn_rate = rate_of(objective, burning)
    anew = objective.calendar is not None
    tick.changes.slo_status.append(
        BudgetStatus(
            objective.name, plugin, version, tick.at, objective.measured, objective.target_ratio,
            period.seconds if anew else objective.period_seconds, left.total, left.bad, left.sli_ratio, left.remaining_ratio,
            burn_rate, exhausted_seconds(objective, left, burn_rate, tick.at), versions,
            period.started_at if anew else None, period.ends_at if anew else None,
            excluded_seconds(left_out, objective, plugin),
        )
    )  # fmt: skip


def of_period(objective: Objective) -> str:
    """Return what the period of a budget is called in a sentence, such as `this month`."""
    return f"this {objective.calendar.unit}" if objective.calendar is not None else duration(objective.period_seconds)


def without_limit(objectives: Sequence[Objective], seen: Observation) -> dict[str, tuple[str, ...]]:
    """Return the plugins that objectives of saturation say nothing of, by objective: they were called lately, and told of no limit."""
    called = sorted({plugin for plugin, _ in seen.called_at})
    return {
        item.name: tuple(
            plugin
            for plugin in called
            if item.covers(plugin) and (plugin, item.saturation.resource.value) not in seen.limits
        )
        for item in objectives
        if item.saturation is not None
    }


def _tell(tick: Tick, objective: Objective, plugin: str, left: Budget, versions: Mapping[str, CallCounts]) -> None:
    period = of_period(objective)

    def described() -> Described:
        why = indicator_of(objective).why(limit_of(tick, objective, plugin))
        summary = (
            f"{plugin} has spent its error budget: {left.bad} of {left.total} {why} "
            f"({percent(left.bad / left.total)}) within {period}, over {objective.over_versions}, against an objective of "
            f"{percent(objective.target_ratio)}"
        )
        spent_by = f"{spenders(bad_by_version(objective, versions))} " if objective.cut is None else ""
        description = f"{spent_by}A release begins with what those before it left."
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
