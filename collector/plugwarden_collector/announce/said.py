"""What there is to tell of decisions that changed no quarantine: what would have been done, and that nothing will be. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from plugwarden_collector.decide.labels import labels_of
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.wording import one_line

from .evidence import first_trace, sureness, worst_error
from .signs import in_address
from .subject import Subject

__all__ = ["FROZEN", "KINDS", "Said", "SaidKey", "holding", "subjects_said"]

FROZEN = "frozen"
"""Kind of the decision that switches the automation off, and key of the subject that tells of it."""
WOULD = "would_quarantine"
KINDS = (WOULD, FROZEN)
"""Kinds of decisions that are told for as long as they hold."""
SaidKey = tuple[str, str]
"""Kind of a decision, and its scope in words."""


@dataclass(frozen=True, slots=True)
class Said:
    """The last decision of its kind on a scope."""

    at: datetime
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


def subjects_said(standing: Standing, said: Mapping[SaidKey, Said]) -> list[Subject]:
    """Return what the automation would have done and still would, and that it is switched off while it is."""
    suspected = [scope for scope in sorted(_suspected(standing)) if (WOULD, scope) in said]
    plugins = {plugin for plugin, _ in standing.versions} if suspected else set()
    found = [
        _would(scope, said[WOULD, scope], *_named(scope, standing.versions.keys(), plugins)) for scope in suspected
    ]
    switch = said.get((FROZEN, "automation"))
    if standing.frozen is not None and switch is not None:
        found.append(_frozen(standing.frozen, switch.at))
    return found


def holding(standing: Standing, said: Mapping[SaidKey, Said]) -> dict[SaidKey, Said]:
    """Return the decisions that may still be told; one on a scope that is suspected anew is made anew."""
    suspected = _suspected(standing)
    return {key: item for key, item in said.items() if key[0] == FROZEN or key[1] in suspected}


def _suspected(standing: Standing) -> set[str]:
    return {scope for scope, _, what in standing.noted if what == WOULD}


def _would(scope: str, item: Said, plugin: str | None, version: str | None) -> Subject:
    labels = labels_of("would be quarantined", "ticket", plugin=plugin, version=version)
    key = f"w-{hashlib.sha256(scope.encode('utf-8', 'replace')).hexdigest()[:10]}"
    return Subject(
        key, labels, one_line(f"{scope} would be quarantined: {item.reason}"),
        "The policy only observes: nothing was done, and its calls go on.", item.at, one_line(scope), sureness(item.evidence),
        worst_error(item.evidence), first_trace(item.evidence), "Nothing: the policy only observes.",
        "nothing speaks against it for ten minutes",
        "plugwarden quarantine, by hand; or enforcement = \"suggest\" or \"enforce\" in the rules",
        path=f"plugin?plugin={in_address(plugin)}" if plugin else "",
    )  # fmt: skip


def _frozen(reason: str, at: datetime) -> Subject:
    labels = labels_of("automation frozen", "ticket", component="automation")
    return Subject(
        FROZEN, labels, one_line(f"The automation is switched off: {reason}"), "What it would do is told.",
        at, "automation", done="It judges and records, isolates nothing and ends nothing.", until="a person switches it on",
        todo="plugwarden unfreeze --reason …", path="quarantine",
    )  # fmt: skip


def _named(
    scope: str, versions: Collection[tuple[str, str]], plugins: Collection[str]
) -> tuple[str | None, str | None]:
    """Return the plugin and the version that a scope in words begins with; None where no known one is its beginning.

    A name may hold spaces and signs of its own: the longest beginning that is known is meant.
    """
    ends = [place for place, sign in enumerate(scope) if sign == " "]
    for end in [len(scope), *reversed(ends)]:
        name = scope[:end]
        for place in (place for place, sign in enumerate(name) if sign == "@"):
            if (name[:place], name[place + 1 :]) in versions:
                return name[:place], name[place + 1 :]
        if name in plugins:
            return name, None
    return None, None
