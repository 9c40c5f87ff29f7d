"""What the automation does about alerts that others push: the tables `[[policy.pushed]]`, or what is wrong with each of their keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plugwarden_collector.matcher import Matcher

from .matcher_keys import matchers_at
from .policy import Enforcement
from .table import choice_at, duration_at, given_twice, unknown_keys
from .workable import MAX_DURATION_SECONDS, name_problem, shown

__all__ = ["PushedPolicy", "pushed_in"]


@dataclass(frozen=True, slots=True)
class PushedPolicy:
    """What is done about some pushed alerts: their labels say which plugin, version and operation they are about."""

    name: str
    matchers: tuple[Matcher, ...]
    """All of them must be true of an alert's labels."""
    enforcement: Enforcement = Enforcement.OBSERVE
    for_seconds: float = 0.0
    """How long an alert fires before anything is done."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "name": self.name, "matchers": [*map(str, self.matchers)], "enforcement": self.enforcement.value,
            "for_seconds": self.for_seconds,
        }  # fmt: skip


def pushed_in(policy: Any, problems: list[str]) -> tuple[PushedPolicy, ...]:
    """Return what a `[policy]` says of pushed alerts, in its order: the first that matches an alert is meant."""
    tables = policy.get("pushed", []) if isinstance(policy, dict) else []
    if not isinstance(tables, list) or not all(isinstance(item, dict) for item in tables):
        problems.append("policy.pushed: write each one as a table headed [[policy.pushed]]")
        return ()
    places = [f"policy.pushed[{index}]" for index in range(len(tables))]
    found = [_one(table, place, problems) for place, table in zip(places, tables, strict=True)]
    problems += given_twice((place, table.get("name")) for place, table in zip(places, tables, strict=True))
    return tuple(item for item in found if item is not None)


def _one(table: Mapping[str, Any], place: str, problems: list[str]) -> PushedPolicy | None:
    before = len(problems)
    unknown_keys(table, {"name", "matchers", "enforcement", "for"}, place, problems)
    if wrong := name_problem(table.get("name")):
        problems.append(f"{place}.name: {wrong}")
    matchers = matchers_at(table, place, problems)
    enforcement = choice_at(table, "enforcement", Enforcement.OBSERVE, place, problems)
    length = duration_at(table, "for", "0s", place, problems)
    if length is not None and length > MAX_DURATION_SECONDS:
        problems.append(f"{place}.for: {shown(table['for'])} is longer than 400d, as long as anything is kept")
    if len(problems) > before or enforcement is None or length is None:
        return None
    return PushedPolicy(str(table["name"]), matchers, enforcement, length)
