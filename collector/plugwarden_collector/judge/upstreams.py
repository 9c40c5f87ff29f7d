"""How plugins' calls of upstreams went, by window, and which of them an objective is about. Pure functions of counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from plugwarden_collector.rules.upstream import Upstream

from .sli import CallCounts, Windows, summed, summed_windows

__all__ = ["UpstreamCounts", "by_plugin", "by_upstream", "period_seconds", "together"]


@dataclass(frozen=True, slots=True)
class UpstreamCounts:
    """One plugin's calls of one upstream, from the hosts of one service."""

    upstream: str
    """Its name, as the plugin gave it."""
    plugin: str
    service: str
    """Empty of calls that an earlier version counted."""
    windows: Windows
    """Seconds -> counts; what its caller cancelled is in none."""


def by_upstream(rule: Upstream, counts: Iterable[UpstreamCounts]) -> dict[str, list[UpstreamCounts]]:
    """Return the counts that an objective is about, by upstream."""
    found: defaultdict[str, list[UpstreamCounts]] = defaultdict(list)
    for item in counts:
        if rule.covers(item.upstream, item.service):
            found[item.upstream].append(item)
    return dict(found)


def by_plugin(counts: Iterable[UpstreamCounts], seconds: float) -> Mapping[str, CallCounts]:
    """Return the counts of one window, by plugin."""
    found: defaultdict[str, list[CallCounts]] = defaultdict(list)
    for item in counts:
        if seconds in item.windows:
            found[item.plugin].append(item.windows[seconds])
    return {plugin: summed(parts) for plugin, parts in found.items()}


def period_seconds(rule: Upstream, at: datetime) -> float:
    """Return how long the period of an objective has lasted: all of it where it rolls."""
    objective = rule.objective
    return (
        objective.period_seconds
        if objective.calendar is None
        else (at - objective.period_at(at).started_at).total_seconds()
    )


def together(counts: Iterable[UpstreamCounts], sizes: Iterable[float]) -> Windows:
    """Return the windows of several plugins' calls of one upstream as one."""
    return summed_windows([item.windows for item in counts], sizes)
