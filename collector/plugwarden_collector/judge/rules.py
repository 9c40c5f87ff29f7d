"""The rules file (TOML): objectives, policy, receivers. Read as a whole or not at all; every problem names its place."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plugwarden_collector.decide.policy import Enforcement, Policy
from plugwarden_collector.errors import RulesError

from .burn import max_burn_rate, tiers_for
from .objective import Objective, Sli

__all__ = ["DEFAULT_RULES", "Receiver", "Rules", "load_rules", "parse_rules", "seconds"]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where notifications go: Alertmanager's webhook payload, version 4."""

    name: str
    url: str
    severities: tuple[str, ...] = ("page", "ticket")


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything a rules file says."""

    objectives: tuple[Objective, ...]
    policy: Policy
    receivers: tuple[Receiver, ...] = ()
    source: str = "built in"
    """The file they come from."""
    warnings: tuple[str, ...] = ()
    """What is allowed but surely not meant."""


DEFAULT_RULES = Rules(
    (Objective("availability", Sli.AVAILABILITY, 0.99, 30 * 86_400.0),),
    Policy(),
)
"""Without a file: 99 % of every plugin version's calls over 30 days, and a policy that only observes."""


def load_rules(path: Path) -> Rules:
    """The rules in a file; raises `RulesError` with every problem found."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise RulesError(str(path), [f"cannot be read: {error.strerror}"]) from error
    return parse_rules(text, str(path))


def parse_rules(text: str, source: str) -> Rules:
    """The rules in a text; raises `RulesError` with every problem found."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RulesError(source, [f"not valid TOML: {error}"]) from error
    problems: list[str] = []
    warnings: list[str] = []
    _known(document, {"slo", "policy", "receiver"}, "", problems)
    objectives = [
        _objective(item, f"slo[{index}]", problems, warnings) for index, item in _tables(document, "slo", problems)
    ]
    receivers = [
        _receiver(item, f"receiver[{index}]", problems) for index, item in _tables(document, "receiver", problems)
    ]
    policy = _policy(document.get("policy", {}), problems)
    names = [item.name for item in objectives if item is not None]
    problems += [
        f"slo.name: {name!r} is given twice" for name in sorted({name for name in names if names.count(name) > 1})
    ]
    if not names and not problems:
        problems.append("slo: there is none; add at least one [[slo]] table")
    if problems:
        raise RulesError(source, problems)
    return Rules(
        tuple(item for item in objectives if item is not None),
        policy,
        tuple(item for item in receivers if item is not None),
        source,
        tuple(warnings),
    )


def seconds(value: object) -> float:
    """A duration: `"90s"`, `"5m"`, `"1h30m"`, `"250ms"`, or a number of seconds; raises `ValueError`."""
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a duration")
    if isinstance(value, int | float):
        amount = float(value)
    elif isinstance(value, str) and value and _DURATION.sub("", value) == "":
        amount = sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(value))
    else:
        raise ValueError(f'{value!r} is not a duration; write for instance "250ms", "90s", "1h30m" or "30d"')
    if not math.isfinite(amount) or amount < 0:
        raise ValueError(f"{value!r} must be 0 or more")
    return amount


def _tables(document: Mapping[str, Any], name: str, problems: list[str]) -> list[tuple[int, Mapping[str, Any]]]:
    value = document.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        problems.append(f"{name}: write each one as a table headed [[{name}]]")
        return []
    return list(enumerate(value))


def _known(table: Mapping[str, Any], known: set[str], place: str, problems: list[str]) -> None:
    for key in table:
        if key not in known:
            nearest = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {nearest[0]}?" if nearest else f"; known are {', '.join(sorted(known))}"
            problems.append(f"{place}{'.' if place else ''}{key}: unknown{hint}")


def _objective(table: Mapping[str, Any], place: str, problems: list[str], warnings: list[str]) -> Objective | None:
    keys = {
        "name", "sli", "objective", "period", "plugins", "threshold", "min_events", "min_failures", "for", "keep_firing_for",
    }  # fmt: skip
    _known(table, keys, place, problems)
    before = len(problems)
    name = table.get("name")
    if not isinstance(name, str) or not name:
        problems.append(f"{place}.name: must be a non-empty string")
    try:
        sli = Sli(table.get("sli", "availability"))
    except ValueError:
        problems.append(f"{place}.sli: {table['sli']!r} must be availability or latency")
        sli = Sli.AVAILABILITY
    target = table.get("objective")
    if isinstance(target, bool) or not isinstance(target, int | float) or not 0 < target < 1:
        problems.append(f"{place}.objective: {target!r} must be a ratio between 0 and 1, such as 0.99 for 99 %")
        target = 0.5
    period = _duration(table, "period", "30d", place, problems)
    threshold = _duration(table, "threshold", None, place, problems)
    if sli is Sli.LATENCY and threshold is None:
        problems.append(f'{place}.threshold: a latency objective needs one, such as "250ms"')
    if sli is Sli.AVAILABILITY and threshold is not None:
        problems.append(f"{place}.threshold: only a latency objective has one")
    plugins = table.get("plugins", "*")
    if not isinstance(plugins, str):
        problems.append(f'{place}.plugins: must be a pattern such as "*" or "image-*"')
    for key in ("min_events", "min_failures"):
        value = table.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            problems.append(f"{place}.{key}: {value!r} must be a whole number, 1 or more")
    hold = _duration(table, "for", 0, place, problems)
    keep = _duration(table, "keep_firing_for", 30, place, problems)
    if len(problems) > before or period is None:
        return None
    unreachable = [tier.factor for tier in tiers_for(period) if tier.factor > max_burn_rate(target)]
    if unreachable:
        warnings.append(
            f"{place}: at an objective of {target:.4g} the burn rate cannot exceed {max_burn_rate(target):.3g}, "
            f"so the tier at {max(unreachable):.3g} can never be met; raise the objective"
        )
    return Objective(
        str(name),
        sli,
        float(target),
        period,
        str(plugins),
        threshold,
        int(table.get("min_events", 20)),
        int(table.get("min_failures", 5)),
        hold or 0.0,
        keep or 0.0,
    )


_POLICY_DURATIONS = {
    "hold": "hold_seconds",
    "hold_max": "hold_max_seconds",
    "step": "step_seconds",
    "step_timeout": "step_timeout_seconds",
    "human_override": "human_override_seconds",
}
_POLICY_NUMBERS = {
    "max_quarantined_ratio": (0.0, 1.0),
    "max_actions_per_hour": (0, 1000),
    "max_repeats": (1, 1000),
    "step_min_calls": (1, 1_000_000),
    "hold_jitter_ratio": (0.0, 1.0),
}


def _policy(table: Any, problems: list[str]) -> Policy:
    if not isinstance(table, dict):
        problems.append("policy: must be a table headed [policy]")
        return Policy()
    known = {"enforcement", "protected", "probation_steps", *_POLICY_DURATIONS, *_POLICY_NUMBERS}
    _known(table, known, "policy", problems)
    values: dict[str, Any] = {}
    if "enforcement" in table:
        try:
            values["enforcement"] = Enforcement(table["enforcement"])
        except ValueError:
            problems.append(f"policy.enforcement: {table['enforcement']!r} must be observe, suggest or enforce")
    for key, field in _POLICY_DURATIONS.items():
        if key in table:
            values[field] = _duration(table, key, None, "policy", problems) or 0.0
    kinds = {field.name: type(field.default) for field in dataclasses.fields(Policy)}
    for key, (low, high) in _POLICY_NUMBERS.items():
        value = table.get(key)
        if value is None:
            continue
        whole = kinds[key] is int
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not low <= value <= high:
            problems.append(f"policy.{key}: {value!r} must be a {'whole ' if whole else ''}number from {low} to {high}")
        else:
            values[key] = value
    if "protected" in table:
        patterns = table["protected"]
        if not isinstance(patterns, list) or not all(isinstance(item, str) for item in patterns):
            problems.append('policy.protected: must be a list of patterns, such as ["auth-*"]')
        else:
            values["protected"] = tuple(patterns)
    if "probation_steps" in table:
        steps = table["probation_steps"]
        numbers = isinstance(steps, list) and all(isinstance(item, int | float) for item in steps)
        if not numbers or not steps or sorted(set(steps)) != steps or not steps[0] > 0 or steps[-1] > 1:
            problems.append("policy.probation_steps: must be growing ratios up to 1, such as [0.01, 0.05, 0.25, 1.0]")
        else:
            values["probation_steps"] = tuple(float(step) for step in steps)
    return Policy(**values)


def _receiver(table: Mapping[str, Any], place: str, problems: list[str]) -> Receiver | None:
    _known(table, {"name", "url", "severities"}, place, problems)
    name, url = table.get("name"), table.get("url")
    severities = table.get("severities", ["page", "ticket"])
    if not isinstance(name, str) or not name:
        problems.append(f"{place}.name: must be a non-empty string")
    elif not isinstance(url, str) or not url.startswith(("http://", "https://")):
        problems.append(f"{place}.url: {url!r} must start with http:// or https://")
    elif not isinstance(severities, list) or not set(severities) <= {"page", "ticket"}:
        problems.append(f"{place}.severities: must be a list of page and ticket")
    else:
        return Receiver(name, url, tuple(severities))
    return None


def _duration(table: Mapping[str, Any], key: str, default: object, place: str, problems: list[str]) -> float | None:
    value = table.get(key, default)
    if value is None:
        return None
    try:
        return seconds(value)
    except ValueError as error:
        problems.append(f"{place}.{key}: {error}")
        return None
