"""Objectives and windows as the tables of a rules file: what each format writes, and what none but TOML has a place for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from plugwarden_collector.rules.duration import written
from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.pattern import EVERY, alternatives
from plugwarden_collector.rules.slices import MIN_BAD_SLICES, MIN_SLICES, EmptySlices, Slices
from plugwarden_collector.rules.tiers import BUILT_IN, BurnWindows, Tier, tier_of

__all__ = ["slo_table", "texts_of", "value_of", "windows_table"]

_NUMBERS = frozenset({"min_events", "min_failures", "slice_min_calls"})
_AMOUNTS = frozenset({"for", "keep_firing_for", "objective", "period", "threshold"})


def slo_table(objective: Objective) -> dict[str, Any]:
    """Return the `[[slo]]` table of an objective; what is as it is without a key is left out."""
    plain = Objective(objective.name, objective.sli, objective.target_ratio, objective.period_seconds)
    calendar = objective.calendar
    table = {
        "name": objective.name,
        "display_name": objective.display_name,
        "description": objective.description,
        "owner": objective.owner,
        "runbook": objective.runbook,
        "labels": dict(objective.labels),
        "plugins": _patterns(objective.plugins),
        "versions": _changed(_patterns(objective.versions), EVERY),
        "operations": _changed(_patterns(objective.operations), EVERY),
        "sli": objective.sli.value,
        "objective": objective.target_ratio,
        **_threshold_keys(objective),
        "period": written(objective.period_seconds) if calendar is None else calendar.unit.value,
        "time_zone": "" if calendar is None else calendar.time_zone,
        "windows": "" if objective.burn_windows is plain.burn_windows else objective.burn_windows.name,
        **_slice_keys(objective.slices),
        "min_events": _changed(objective.min_events, plain.min_events if objective.cut is None else MIN_SLICES),
        "min_failures": _changed(
            objective.min_failures, plain.min_failures if objective.cut is None else MIN_BAD_SLICES
        ),
        "for": None if objective.for_seconds == plain.for_seconds else written(objective.for_seconds),
        "keep_firing_for": None
        if objective.keep_firing_seconds == plain.keep_firing_seconds
        else written(objective.keep_firing_seconds),
    }
    return {key: value for key, value in table.items() if value not in (None, "", {})}


def _patterns(pattern: str) -> str | list[str]:
    several = alternatives(pattern)
    return pattern if len(several) == 1 else list(several)


def _threshold_keys(objective: Objective) -> dict[str, Any]:
    if objective.saturation is not None:
        return {"resource": objective.saturation.resource.value, "threshold": objective.saturation.threshold_ratio}
    return {} if objective.threshold_seconds is None else {"threshold": written(objective.threshold_seconds)}


def _slice_keys(slices: Slices | None) -> dict[str, Any]:
    if slices is None:
        return {}
    return {
        "slice": f"{slices.seconds // 60}m",
        "slice_objective": slices.good_ratio,
        "slice_min_calls": _changed(slices.min_calls, 1),
        "empty_slices": _changed(slices.empty.value, EmptySlices.NONE.value),
    }


def _changed(value: Any, usual: object) -> Any:
    return None if value == usual else value


def windows_table(table: BurnWindows) -> dict[str, Any]:
    """Return the `[[windows]]` table of a table of windows."""
    tiers = [_tier_table(tier, table.period_seconds) for tier in table.tiers]
    return {"name": table.name, "period": written(table.period_seconds), "tier": tiers}


def _tier_table(tier: Tier, period: float) -> dict[str, Any]:
    """Return a tier by its factor, or by its share of the budget where the one does not follow from the other to the last digit."""
    row = {"severity": tier.severity, "long": written(tier.long_seconds), "short": written(tier.short_seconds)}
    same = tier_of(tier.severity, tier.long_seconds, tier.short_seconds, period, factor=tier.factor) == tier
    return row | ({"factor": tier.factor} if same else {"budget_ratio": tier.budget_ratio})


def texts_of(objective: Objective, kept: Mapping[str, Any], prefix: str) -> dict[str, str]:
    """Return annotations with what an objective says beside `kept`, the keys and values that a format has a place for."""
    table = slo_table(objective)
    if objective.burn_windows.name not in BUILT_IN:
        table["windows"] = json.dumps(windows_table(objective.burn_windows))
    carried = {key: value for key, value in table.items() if kept.get(key) != value}
    return {f"{prefix}{key}": str(value) for key, value in carried.items()}


def value_of(key: str, text: str) -> Any:
    """Return the value of a key from its annotation."""
    try:
        return int(text) if key in _NUMBERS else float(text) if key in _AMOUNTS else text
    except ValueError:
        return text
