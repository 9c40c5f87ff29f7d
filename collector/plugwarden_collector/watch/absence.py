"""Calls that do not come, though a host of theirs lives: of which plugins that is unusual."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from plugwarden_collector.durations import duration
from plugwarden_collector.rules.alert_rule import AlertRule
from plugwarden_collector.rules.pattern import alternatives, literal

from .sample import Sample
from .statement import MAX_ROWS

__all__ = ["DAYS", "Hosts", "LastCall", "absent"]

DAYS = 7
"""Days whose same hours say what is usual: with a week of them, each day of the week is among them once."""
DAY_SECONDS = 86_400.0
LEARNING = timedelta(minutes=2)
"""Time after a start within which a host that lives is heard of: sidecars send every five seconds, others once a minute."""
NAMED = 5
"""Plugins that are named where more than `MAX_ROWS` of them are not called."""


@dataclass(frozen=True, slots=True)
class LastCall:
    """When a plugin, or an operation of one, was called last, and what is usual for it."""

    plugin: str
    operation: str
    """Empty where any call of the plugin counts."""
    services: tuple[str, ...]
    """Services that called it."""
    first_at: datetime
    """Its first call within the days that are looked at."""
    last_at: datetime
    longest_seconds: float
    """Longest pause between two calls of it before."""
    days: frozenset[int]
    """Days ago on which it was called within the same hours as those since its last call."""


@dataclass(frozen=True, slots=True)
class Hosts:
    """Who could call."""

    living: frozenset[str]
    """Services of which a process is heard of, and has not said that it ends."""
    since: datetime
    """Since when it is listened for them."""

    def are_known(self, at: datetime) -> bool:
        """Whether who is not heard of does not live."""
        return at - self.since >= LEARNING


def absent(
    rule: AlertRule,
    calls: Iterable[LastCall],
    called: Collection[str],
    hosts: Hosts,
    isolated: Collection[tuple[str, str]],
    at: datetime,
) -> list[Sample]:
    """Return a sample for everything that the rule is about.

    `called` are plugins that are known at all; `isolated` are (plugin, operation) pairs whose calls are refused, an empty operation
    standing for all. Where more than `MAX_ROWS` are not called they are one sample, and the rest is not told.
    """
    found = [_looked_at(rule, item, hosts, isolated, at) for item in calls if rule.covers(item.plugin, item.operation)]
    found += _never(rule, called, hosts, at)
    missed = [sample for sample in found if sample.met]
    if len(missed) <= MAX_ROWS:
        return found
    names = ", ".join(sample.labels["plugin"] for sample in missed[:NAMED])
    said = f"{len(missed)} plugins or operations are not called, {names} and others"
    held = [Sample(sample.labels, None, None, said) for sample in missed]
    return [*held, Sample({}, True, False, said, {"value": len(missed), "limit": MAX_ROWS})]


def _looked_at(
    rule: AlertRule, item: LastCall, hosts: Hosts, isolated: Collection[tuple[str, str]], at: datetime
) -> Sample:
    labels = {"plugin": item.plugin, **({"operation": item.operation} if rule.operations is not None else {})}
    silence = (at - item.last_at).total_seconds()
    detail = {"value": silence, "limit": rule.silence_seconds, "last_at": item.last_at.isoformat()}
    said = f"no call for {duration(silence)}"
    if silence < rule.silence_seconds:
        return Sample(labels, False, True, f"called {duration(max(0.0, silence))} ago", detail)
    if (item.plugin, "") in isolated or (item.plugin, item.operation) in isolated:
        return Sample(labels, False, True, f"{said}, but it is isolated", detail)
    if not hosts.living.intersection(item.services):
        known = hosts.are_known(at)
        return Sample(
            labels, False if known else None, True if known else None, f"{said}, but no host of it lives", detail
        )
    if usual := _usual(item, silence):
        return Sample(labels, False, True, f"{said}, but {usual}", detail)
    return Sample(labels, True, False, f"{said} (limit {duration(rule.silence_seconds)})", detail)


def _usual(item: LastCall, silence_seconds: float) -> str:
    """Return why a silence is nothing unusual; empty where it is."""
    days = int((item.last_at - item.first_at).total_seconds() // DAY_SECONDS)
    if days < 1:
        longest = f"it was silent for {duration(item.longest_seconds)} before"
        return longest if silence_seconds <= item.longest_seconds else ""
    known = range(1, min(days, DAYS) + 1)
    silent = [day for day in known if day not in item.days]
    if DAYS in silent:
        return "it was silent at this time a week ago"
    if 2 * len(silent) >= len(known):
        return f"it was silent at this time on {len(silent)} of {len(known)} days"
    return ""


def _never(rule: AlertRule, called: Collection[str], hosts: Hosts, at: datetime) -> list[Sample]:
    """Return a sample for each plugin that the rule names by its id and that nobody ever called."""
    waited = (at - hosts.since).total_seconds()
    if not hosts.living or waited < rule.silence_seconds or rule.operations is not None:
        return []
    names = (literal(pattern) for pattern in alternatives(rule.plugins))
    said = f"never called, while hosts live (limit {duration(rule.silence_seconds)})"
    return [
        Sample({"plugin": name}, True, False, said, {"value": waited, "limit": rule.silence_seconds})
        for name in names
        if name is not None and name not in called
    ]
