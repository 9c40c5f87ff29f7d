"""The keys of the `[policy]` table: a policy, or what is wrong with each of them."""

from __future__ import annotations

import dataclasses
from typing import Any

from .policy import Enforcement, Policy
from .table import choice_at, duration_at, unknown_keys
from .workable import MAX_DURATION_SECONDS, name_problem, policy_problems, shown

__all__ = ["policy_in"]

_DURATIONS = {
    "hold": "hold_seconds",
    "hold_max": "hold_max_seconds",
    "step": "step_seconds",
    "step_timeout": "step_timeout_seconds",
    "human_override": "human_override_seconds",
    "warning": "warning_seconds",
    "newcomer_grace": "newcomer_grace_seconds",
}
_NUMBERS = {
    "max_quarantined_ratio": (0.0, 1.0),
    "max_actions_per_hour": (0, 1000),
    "max_repeats": (1, 1000),
    "step_min_calls": (1, 1_000_000),
    "hold_jitter_ratio": (0.0, 1.0),
    "cost_of_wrong_isolation": (1, 1e12),
}
_PATTERNS = ("protected", "critical")


def policy_in(table: Any, problems: list[str]) -> Policy:
    if not isinstance(table, dict):
        problems.append("policy: must be a table headed [policy]")
        return Policy()
    known = {"enforcement", *_PATTERNS, "probation_steps", "pushed", *_DURATIONS, *_NUMBERS}
    unknown_keys(table, known, "policy", problems)
    values: dict[str, Any] = {}
    enforcement = choice_at(table, "enforcement", Enforcement.OBSERVE, "policy", problems)
    if enforcement is not None:
        values["enforcement"] = enforcement
    for key, field in _DURATIONS.items():
        amount = duration_at(table, key, None, "policy", problems)
        if amount is not None and amount > MAX_DURATION_SECONDS:
            problems.append(f"policy.{key}: {shown(table[key])} is longer than 400d, as long as anything is kept")
        elif amount is not None:
            values[field] = amount
    kinds = {field.name: type(field.default) for field in dataclasses.fields(Policy)}
    for key, (low, high) in _NUMBERS.items():
        value = table.get(key)
        if value is None:
            continue
        whole = kinds[key] is int
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not low <= value <= high:
            text = f"must be a {'whole ' if whole else ''}number from {low} to {high}"
            problems.append(f"policy.{key}: {shown(value)} {text}")
        else:
            values[key] = value
    for key in _PATTERNS:
        patterns = table.get(key, [])
        if not isinstance(patterns, list) or any(name_problem(item) for item in patterns):
            problems.append(f'policy.{key}: {shown(patterns)} must be a list of patterns, such as ["auth-*"]')
        else:
            values[key] = tuple(patterns)
    if "probation_steps" in table:
        steps = table["probation_steps"]
        numbers = isinstance(steps, list) and all(
            isinstance(item, int | float) and not isinstance(item, bool) and 0 < item <= 1 for item in steps
        )
        if not numbers or not steps or sorted(set(steps)) != steps:
            text = "must be growing ratios up to 1, such as [0.01, 0.05, 0.25, 1.0]"
            problems.append(f"policy.probation_steps: {shown(steps)} {text}")
        else:
            values["probation_steps"] = tuple(float(step) for step in steps)
    policy = Policy(**values)
    if not problems:
        problems += [f"policy.{key}: {wrong}" for key, wrong in policy_problems(policy)]
    return policy
