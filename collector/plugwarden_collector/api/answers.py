"""What the API says about plugins, rules and alerts, made from stored rows and the standing state."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from plugwarden_collector.announce.owners import owners_of
from plugwarden_collector.control.live import Warden
from plugwarden_collector.control.watching import Watching
from plugwarden_collector.decide.alert import AlertRecord, AlertState
from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.decide.standing import Incident
from plugwarden_collector.figures import percent
from plugwarden_collector.ratios import Calls
from plugwarden_collector.rules.objective import Objective

__all__ = ["alert_rules_answer", "covering_objectives", "rules_answer", "with_state"]


def with_state(
    rows: list[dict[str, Any]], budgets: list[dict[str, Any]], by_version: list[dict[str, Any]], warden: Warden
) -> list[dict[str, Any]]:
    """Plugins with the worst of what is known about each, and why."""
    standing = warden.standing
    # Grouped once: to look through everything for each of a thousand plugins would take longer than to read them.
    of_budgets = _grouped((item["plugin_id"], item) for item in budgets if item["budget_remaining_ratio"] is not None)
    of_spent = _grouped(((item["plugin_id"], item["slo"]), item) for item in by_version if item["bad"])
    of_held = _grouped((item.scope.plugin, item) for item in standing.quarantines.values() if item.in_force)
    of_firing = _grouped((item.plugin, item) for item in standing.alerts.values() if item.alert.state.value == "firing")
    of_incidents = _grouped((name, item) for item in standing.incidents.values() for name in item.plugins)
    return [
        _with_state(
            row,
            of_budgets[name],
            of_spent,
            of_held[name],
            of_firing[name],
            of_incidents[name],
            owners_of(name, warden.rules),
        )
        for row in rows
        for name in (row["plugin_id"],)
    ]


def _grouped(pairs: Iterable[tuple[Any, Any]]) -> defaultdict[Any, list[Any]]:
    groups: defaultdict[Any, list[Any]] = defaultdict(list)
    for key, item in pairs:
        groups[key].append(item)
    return groups


def _with_state(
    row: dict[str, Any],
    own: list[dict[str, Any]],
    of_spent: Mapping[tuple[str, str], list[dict[str, Any]]],
    held: list[Quarantine],
    firing: list[AlertRecord],
    incidents: list[Incident],
    owners: list[str],
) -> dict[str, Any]:
    worst = min(own, key=lambda item: item["budget_remaining_ratio"], default=None)
    spent = [] if worst is None else of_spent.get((worst["plugin_id"], worst["slo"]), [])
    most = max(spent, key=lambda item: item["bad"], default=None)
    state, why = "healthy", ""
    open_alerts = [item for item in firing if item.inhibited_by is None and not item.exhausted]
    probing = [item for item in held if item.state.word == "probation"]
    isolated = [item for item in held if item.state.word == "quarantined" and item.superseded_by is None]
    if open_alerts or (firing and incidents):
        state = "degraded"
        why = incidents[0].summary if incidents else open_alerts[0].summary
    if probing:
        state, why = (
            "probation",
            f"{probing[0].scope} at {percent(probing[0].share_ratio)} of calls: {probing[0].reason}",
        )
    elif isolated:
        state, why = "quarantined", f"{isolated[0].scope} is isolated by {isolated[0].actor}: {isolated[0].reason}"
    counts = Calls.of([row])
    return {
        **row,
        "ran": counts.ran,
        "failed_ratio": counts.failed_ratio,
        "cpu_seconds_per_call": row["cpu_seconds"] / counts.ran if counts.ran and row.get("cpu_seconds") else None,
        "state": state,
        "why": why,
        "versions": row.get("versions") or [],
        "owners": owners,
        "budget_remaining_ratio": None if worst is None else worst["budget_remaining_ratio"],
        "budget_slo": None if worst is None else worst["slo"],
        "budget_version": None if most is None else most["plugin_version"],
        "fast_burn_rate": max((item["fast_burn_rate"] or 0.0 for item in own), default=None),
        "firing": len(firing),
    }


def rules_answer(warden: Warden) -> dict[str, Any]:
    """Objectives with their tiers, and the policy, as they are in force."""
    rules = warden.rules
    return {
        "source": rules.source,
        "warnings": rules.warnings,
        "policy": asdict(rules.policy),
        "objectives": [_objective(item, warden) for item in rules.objectives],
        "alerts": [asdict(item) for item in rules.alerts],
        "pushed": [item.as_dict() for item in rules.pushed],
        "maintenance": [item.as_dict() for item in rules.maintenance],
    }


def alert_rules_answer(warden: Warden, watching: Watching) -> list[dict[str, Any]]:
    """Return the rules' alerts that rest on no objective, each with its last look and how many of its alerts stand."""
    open_alerts = Counter(
        (record.name, record.alert.state) for record in list(warden.standing.alerts.values()) if record.watched
    )
    found = []
    for rule in warden.rules.alerts:
        look = watching.looks.get(rule.name)
        found.append(
            {
                **asdict(rule),
                "looked_at": None if look is None else look.at,
                "look_seconds": None if look is None else look.seconds,
                "found": 0 if look is None else look.found,
                "error": None if look is None else look.error,
                "pending": open_alerts[rule.name, AlertState.PENDING],
                "firing": open_alerts[rule.name, AlertState.FIRING],
            }
        )
    return found


def covering_objectives(warden: Warden, plugin: str) -> list[dict[str, Any]]:
    """Return the objectives in force that are about one plugin, as `rules_answer` has them."""
    return [_objective(item, warden) for item in warden.rules.objectives if item.covers(plugin)]


def _objective(item: Objective, warden: Warden) -> dict[str, Any]:
    """Return an objective with its tiers; of each, the failed share at which it is met and how long the budget then lasts."""
    return {
        **asdict(item),
        "no_limit": warden.without_limit.get(item.name, ()),
        "tiers": [
            {
                **asdict(tier),
                "bad_ratio": tier.factor * (1 - item.target_ratio),
                "spent_in_seconds": item.period_seconds / tier.factor,
            }
            for tier in item.tiers
        ],
    }
