"""What a rules file may not ask for because it cannot work: each check answers what is wrong, with the value and the fix."""

from __future__ import annotations

import math
from collections.abc import Iterator
from urllib.parse import urlsplit

from plugwarden.contract.histogram import MAX_INDEX, MIN_INDEX, lower_bound_seconds, upper_bound_seconds

from .objective import Objective
from .period import DAY
from .policy import Policy
from .tiers import MIN_WINDOW_SECONDS, PAGE, TICKET, BurnWindows, max_burn_rate

__all__ = [
    "DAY",
    "MAX_COUNT",
    "MAX_DURATION_SECONDS",
    "MAX_NAME",
    "MAX_TARGET",
    "name_problem",
    "objective_problems",
    "policy_problems",
    "shown",
    "url_problem",
    "windows_problems",
]

MAX_PERIOD_SECONDS = 400 * DAY
"""Calls by the hour are kept for this long (`store.retention.Keep.hours`): of a longer period the beginning is always missing."""
MIN_PERIOD_SECONDS = 7_200.0
"""Calls are counted by the second, and no window is shorter than ten: the window of the fastest page is 1/720 of the period, so below
this period it would be one of more of the budget than is meant (of 24 % instead of 2 % at ten minutes)."""
MAX_DURATION_SECONDS = 400 * DAY
"""Seconds of any time in a policy: what is meant to last for longer than anything is kept is meant to be done by people."""
MAX_TARGET = 0.999_999
"""Six nines: above it a single failure in a million calls is a page, and nobody can tell that from chance."""
MAX_COUNT = 1_000_000
"""Largest `min_events` and `min_failures`: the plugin that never has as many calls in a window never makes an alert."""
MAX_NAME = 200


def objective_problems(objective: Objective) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) of an objective whose values have the right types."""
    target, period = objective.target_ratio, objective.period_seconds
    if target > MAX_TARGET:
        yield "objective", f"{target!r} must be {MAX_TARGET} or less"
    fastest = max(tier.factor for tier in objective.burn_windows.tiers if tier.severity == PAGE)
    if max_burn_rate(target) <= fastest * (1 + 1e-9):
        least = math.ceil(1000 * (1 - 1 / fastest)) / 1000
        yield (
            "objective",
            f"{target!r} has a page that can never fire: the burn rate cannot exceed {max_burn_rate(target):.3g}, and must for the page at "
            f"{fastest:.3g} that wakes people of a hard failure; write at least {least} ({100 * least:.4g} %)",
        )
    shortest = _shortest_period(objective.burn_windows)
    if not shortest <= period <= MAX_PERIOD_SECONDS:
        yield (
            "period",
            f"{_length(period)} must be from {_length(shortest)} to {_length(MAX_PERIOD_SECONDS)}: below it the window of the "
            f"fastest page is shorter than 10 s and means more of the budget than it says, and calls are kept for 400 days; write for "
            'instance "6h" where windows of seconds are wanted, and "30d" for people',
        )
        return
    if objective.threshold_seconds is not None:
        low, high = upper_bound_seconds(MIN_INDEX), lower_bound_seconds(MAX_INDEX)
        if not low <= objective.threshold_seconds <= high:
            yield (
                "threshold",
                f"{objective.threshold_seconds:g} s must be from 1 ns to {high / 3600:.0f} h, as calls are measured",
            )
    longest = max(tier.long_seconds for tier in objective.tiers if tier.severity == PAGE)
    if objective.for_seconds > longest:
        yield "for", f"{_length(objective.for_seconds)} is longer than the longest window of a page, {_length(longest)}"
    if objective.keep_firing_seconds > period:
        yield (
            "keep_firing_for",
            f"{_length(objective.keep_firing_seconds)} is longer than the period, {_length(period)}",
        )


def _shortest_period(table: BurnWindows) -> float:
    """Return the shortest period, in seconds, for which no window that matters is lengthened."""
    fastest = min(tier.long_seconds for tier in table.tiers)
    return max(MIN_PERIOD_SECONDS, 2 * MIN_WINDOW_SECONDS * table.period_seconds / fastest)


def windows_problems(table: BurnWindows) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) of a table of windows whose values have the right types; keys of a tier are `tier[0].long`."""
    if not MIN_PERIOD_SECONDS <= table.period_seconds <= MAX_PERIOD_SECONDS:
        yield (
            "period",
            f"{_length(table.period_seconds)} must be from {_length(MIN_PERIOD_SECONDS)} to {_length(MAX_PERIOD_SECONDS)}",
        )
        return
    for index, tier in enumerate(table.tiers):
        if tier.short_seconds >= tier.long_seconds:
            text = f"{_length(tier.short_seconds)} must be shorter than long, {_length(tier.long_seconds)}: it says that it still burns"
            yield f"tier[{index}].short", text
        if tier.long_seconds >= table.period_seconds:
            text = f"{_length(tier.long_seconds)} must be shorter than the period, {_length(table.period_seconds)}"
            yield f"tier[{index}].long", text
        elif tier.budget_ratio > 1:
            yield (
                f"tier[{index}].factor",
                f"{tier.factor:.3g} over {_length(tier.long_seconds)} means {tier.budget_ratio:.3g} times the whole budget; write at most "
                f"{table.period_seconds / tier.long_seconds:.3g}",
            )
    for severity in (PAGE, TICKET):
        if not any(tier.severity == severity for tier in table.tiers):
            yield "tier", f'has no {severity}; write at least one [[windows.tier]] with severity = "{severity}"'


def policy_problems(policy: Policy) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) of a policy whose values have the right types."""
    if policy.hold_seconds > policy.hold_max_seconds:
        yield (
            "hold",
            f"{_length(policy.hold_seconds)} is longer than hold_max, {_length(policy.hold_max_seconds)}; shorten it, or raise "
            "hold_max",
        )
    if policy.step_timeout_seconds < policy.step_seconds:
        yield (
            "step_timeout",
            f"{_length(policy.step_timeout_seconds)} is shorter than step, {_length(policy.step_seconds)}: every step would be "
            "given up before it can be judged",
        )


def name_problem(name: object) -> str | None:
    """What is wrong with a name or a pattern that people read and labels carry."""
    if not isinstance(name, str) or not name.strip():
        return f"{shown(name)} must be a non-empty string"
    if len(name) > MAX_NAME or not name.isprintable():
        return f"{shown(name)} must have at most {MAX_NAME} characters, and none that cannot be seen"
    return None


def url_problem(url: object) -> str | None:
    """What is wrong with the address of a receiver. Such an address is a secret as often as not: no answer holds any of it."""
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        return "must be a text that starts with http:// or https:// (it is not shown, for it may be a secret)"
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return "is not an address: its host cannot be read"
    try:
        port = parts.port
    except ValueError:
        return "is not an address: its port must be a number from 1 to 65535"
    if not host or port == 0:
        return "names no host; write for instance https://hooks.example.net/plugwarden"
    if not url.isprintable() or " " in url:
        return "holds a space, or characters that cannot be seen"
    return None


def shown(value: object) -> str:
    """A value in a message: one line, and not longer than one reads. Without one, what follows is said of what is missing."""
    if value is None:
        return "is missing; it"
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _length(seconds: float) -> str:
    for size, unit in ((DAY, "d"), (3_600.0, "h"), (60.0, "m")):
        if seconds >= size:
            return f"{seconds / size:.3g}{unit}"
    return f"{seconds:g}s"
