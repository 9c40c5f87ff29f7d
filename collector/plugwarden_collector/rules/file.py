"""The rules file (TOML): objectives, policy, receivers. Read as a whole or not at all; every problem names its place."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from plugwarden_collector.errors import RulesError

from .lines import line_of
from .objective import SLI_KEYS, Objective, Sli
from .policy import Enforcement, Policy
from .text import decoded
from .workable import (
    MAX_COUNT,
    MAX_DURATION_SECONDS,
    name_problem,
    objective_problems,
    policy_problems,
    shown,
    url_problem,
)

__all__ = ["DEFAULT_RULES", "Receiver", "ReceiverKind", "Rules", "load_rules", "parse_rules", "seconds"]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")


class ReceiverKind(StrEnum):
    """What a receiver is sent, and in which form."""

    WEBHOOK = "webhook"
    """What people must know of, from its beginning to its end: Alertmanager's webhook payload, version 4."""
    CLOUDEVENTS = "cloudevents"
    """Every transition, once: CloudEvents 1.0 in structured JSON."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where notifications go."""

    name: str
    url: str
    severities: tuple[str, ...] = ("page", "ticket")
    """Severities that a webhook is told of; events have none."""
    kind: ReceiverKind = ReceiverKind.WEBHOOK


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything a rules file says."""

    objectives: tuple[Objective, ...]
    policy: Policy
    receivers: tuple[Receiver, ...] = ()
    source: str = "built in"
    """The file they come from."""
    warnings: tuple[str, ...] = ()
    """What is allowed but surely not meant; nothing is at present, for what cannot work is refused."""


DEFAULT_RULES = Rules(
    (Objective("availability", Sli.AVAILABILITY, 0.99, 30 * 86_400.0),),
    Policy(),
)
"""Without a file: 99 % of every plugin version's calls over 30 days, and a policy that only observes."""


def load_rules(path: Path) -> Rules:
    """The rules in a file; raises `RulesError` with every problem found."""
    try:
        text = decoded(path.read_bytes())
    except OSError as error:
        raise RulesError(str(path), [f"cannot be read: {error.strerror}"]) from error
    except ValueError as error:
        raise RulesError(str(path), [str(error)]) from error
    return parse_rules(text, str(path))


def parse_rules(text: str, source: str) -> Rules:
    """The rules in a text; raises `RulesError` with every problem found."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # beside what tomllib names, numbers of thousands of digits
        raise RulesError(source, [f"not valid TOML: {shown(str(error))[1:-1]}"]) from error
    problems: list[str] = []
    _known(document, {"slo", "policy", "receiver"}, "", problems)
    objectives = [_objective(item, f"slo[{index}]", problems) for index, item in _tables(document, "slo", problems)]
    receivers = [
        _receiver(item, f"receiver[{index}]", problems) for index, item in _tables(document, "receiver", problems)
    ]
    policy = _policy(document.get("policy", {}), problems)
    for table in ("slo", "receiver"):
        problems += _twice(document, table)
    if not document.get("slo") and not problems:
        problems.append("slo: there is none; add at least one [[slo]] table")
    if problems:
        raise RulesError(source, [_with_line(problem, text) for problem in problems])
    return Rules(
        tuple(item for item in objectives if item is not None),
        policy,
        tuple(item for item in receivers if item is not None),
        source,
    )


def _with_line(problem: str, text: str) -> str:
    """Return a problem with the line of the file where it is, as far as that can be told."""
    line = line_of(text, problem.partition(":")[0])
    return problem if line is None else f"{problem} (line {line})"


def seconds(value: object) -> float:
    """A duration: `"90s"`, `"5m"`, `"1h30m"`, `"250ms"`, or a number of seconds; raises `ValueError`."""
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a duration")
    if isinstance(value, int | float):
        try:
            amount = float(value)
        except OverflowError:
            amount = math.inf
    elif isinstance(value, str) and value and _DURATION.sub("", value) == "":
        amount = sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(value))
    else:
        raise ValueError(f'{shown(value)} is not a duration; write for instance "250ms", "90s", "1h30m" or "30d"')
    if not math.isfinite(amount) or amount < 0:
        raise ValueError(f"{shown(value)} must be 0 or more")
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
            name = key if re.fullmatch(r"[\w-]+", key) else shown(key)
            problems.append(f"{place}{'.' if place else ''}{name}: unknown{hint}")


def _twice(document: Mapping[str, Any], table: str) -> Iterable[str]:
    """Names that two tables of a kind have: what is said of the one would be done to the other."""
    items = document.get(table)
    names = [item.get("name") for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    texts = [name for name in names if isinstance(name, str)]
    return [
        f"{table}.name: {shown(name)} is given twice; each needs a name of its own"
        for name in sorted({name for name in texts if texts.count(name) > 1})
    ]


def _objective(table: Mapping[str, Any], place: str, problems: list[str]) -> Objective | None:
    keys = {
        "name", "sli", "objective", "period", "plugins", "threshold", "min_events", "min_failures", "for", "keep_firing_for",
    }  # fmt: skip
    _known(table, keys, place, problems)
    before = len(problems)
    name, plugins = table.get("name"), table.get("plugins", "*")
    if wrong := name_problem(name):
        problems.append(f"{place}.name: {wrong}")
    if wrong := name_problem(plugins):
        problems.append(f'{place}.plugins: {wrong}: a pattern such as "*" or "image-*"')
    try:
        sli = Sli(table.get("sli", "availability"))
    except ValueError:
        problems.append(f"{place}.sli: {shown(table['sli'])} must be {' or '.join(Sli)}")
        sli = Sli.AVAILABILITY
    target = table.get("objective")
    if isinstance(target, bool) or not isinstance(target, int | float) or not 0 < target < 1:
        problems.append(f"{place}.objective: {shown(target)} must be a ratio between 0 and 1, such as 0.99 for 99 %")
        target = 0.5
    period = _duration(table, "period", "30d", place, problems)
    threshold = _duration(table, "threshold", None, place, problems)
    for owner, needed in SLI_KEYS.items():
        for key, example in needed.items():
            if owner is sli and key not in table:
                problems.append(f"{place}.{key}: a {owner} objective needs one, such as {example}")
            elif owner is not sli and key in table:
                problems.append(f"{place}.{key}: only a {owner} objective has one")
    for key in ("min_events", "min_failures"):
        value = table.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_COUNT:
            problems.append(f"{place}.{key}: {shown(value)} must be a whole number from 1 to {MAX_COUNT}")
    hold = _duration(table, "for", 0, place, problems)
    keep = _duration(table, "keep_firing_for", 30, place, problems)
    if len(problems) > before or period is None:
        return None
    found = Objective(
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
    problems += [f"{place}.{key}: {wrong}" for key, wrong in objective_problems(found)]
    return found if len(problems) == before else None


_POLICY_DURATIONS = {
    "hold": "hold_seconds",
    "hold_max": "hold_max_seconds",
    "step": "step_seconds",
    "step_timeout": "step_timeout_seconds",
    "human_override": "human_override_seconds",
    "warning": "warning_seconds",
    "newcomer_grace": "newcomer_grace_seconds",
}
_POLICY_NUMBERS = {
    "max_quarantined_ratio": (0.0, 1.0),
    "max_actions_per_hour": (0, 1000),
    "max_repeats": (1, 1000),
    "step_min_calls": (1, 1_000_000),
    "hold_jitter_ratio": (0.0, 1.0),
    "cost_of_wrong_isolation": (1, 1e12),
}
_POLICY_PATTERNS = ("protected", "critical")


def _policy(table: Any, problems: list[str]) -> Policy:
    if not isinstance(table, dict):
        problems.append("policy: must be a table headed [policy]")
        return Policy()
    known = {"enforcement", *_POLICY_PATTERNS, "probation_steps", *_POLICY_DURATIONS, *_POLICY_NUMBERS}
    _known(table, known, "policy", problems)
    values: dict[str, Any] = {}
    if "enforcement" in table:
        try:
            values["enforcement"] = Enforcement(table["enforcement"])
        except ValueError:
            problems.append(f"policy.enforcement: {shown(table['enforcement'])} must be observe, suggest or enforce")
    for key, field in _POLICY_DURATIONS.items():
        amount = _duration(table, key, None, "policy", problems)
        if amount is not None and amount > MAX_DURATION_SECONDS:
            problems.append(f"policy.{key}: {shown(table[key])} is longer than 400d, as long as anything is kept")
        elif amount is not None:
            values[field] = amount
    kinds = {field.name: type(field.default) for field in dataclasses.fields(Policy)}
    for key, (low, high) in _POLICY_NUMBERS.items():
        value = table.get(key)
        if value is None:
            continue
        whole = kinds[key] is int
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not low <= value <= high:
            text = f"must be a {'whole ' if whole else ''}number from {low} to {high}"
            problems.append(f"policy.{key}: {shown(value)} {text}")
        else:
            values[key] = value
    for key in _POLICY_PATTERNS:
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


def _receiver(table: Mapping[str, Any], place: str, problems: list[str]) -> Receiver | None:
    _known(table, {"name", "kind", "url", "severities"}, place, problems)
    name, url = table.get("name"), table.get("url")
    severities = table.get("severities", ["page", "ticket"])
    before = len(problems)
    try:
        kind = ReceiverKind(table.get("kind", "webhook"))
    except ValueError:
        problems.append(f"{place}.kind: {shown(table['kind'])} must be {' or '.join(ReceiverKind)}")
        return None
    if kind is ReceiverKind.CLOUDEVENTS and "severities" in table:
        problems.append(f"{place}.severities: only a webhook has them; {kind} are sent for every transition")
    if wrong := name_problem(name):
        problems.append(f"{place}.name: {wrong}")
    if wrong := url_problem(url):
        problems.append(f"{place}.url: {wrong}")
    if not isinstance(severities, list) or not severities or any(item not in ("page", "ticket") for item in severities):
        problems.append(
            f"{place}.severities: {shown(severities)} must be a list of page and ticket; with none it would be told nothing"
        )
    if len(problems) > before:
        return None
    return Receiver(str(name), str(url), tuple(dict.fromkeys(severities)), kind)


def _duration(table: Mapping[str, Any], key: str, default: object, place: str, problems: list[str]) -> float | None:
    value = table.get(key, default)
    if value is None:
        return None
    try:
        return seconds(value)
    except ValueError as error:
        problems.append(f"{place}.{key}: {error}")
        return None
