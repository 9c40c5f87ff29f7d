"""Who is to blame: one plugin version, a part of it, or a cause that several plugins share.

A shared cause is one incident for people, and no plugin is taken down for it. Pure functions of counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from plugwarden.contract import OVERFLOW, Scope, name_fault

from plugwarden_collector.durations import duration
from plugwarden_collector.figures import percent

from .sli import CallCounts, Indicator

__all__ = ["Burning", "Cell", "CommonCause", "Waits", "common_causes", "failing_cell_scope", "troubled_downstreams"]

SLOWDOWN = 2.0
"""Factor by which waits for a downstream in trouble take longer than they used to."""
TIME_SHARE = 0.5
"""Share of the plugin's time that slow waits must make up before their downstream is in trouble."""
FAILURE_SHARE = 0.1
"""Share of failing waits at which a downstream is in trouble, however long they take."""
MIN_WAITS = 5
TOGETHER = timedelta(seconds=60)
"""Plugins that start to burn within this time of each other may share a cause."""
TOGETHER_COUNT = 3
"""Plugins that make it one incident, if they are enough of those that run."""
TOGETHER_SHARE = 0.3
"""Share of the running plugins that makes it one incident (Envoy's panic threshold, the other way round)."""


@dataclass(frozen=True, slots=True)
class Burning:
    """A plugin version whose page-severity alert burns."""

    plugin: str
    version: str
    waits_explain: bool
    """A downstream that keeps it waiting would explain why it burns."""
    since: datetime


@dataclass(frozen=True, slots=True)
class Cell:
    """What one version did in one operation and one process."""

    version: str
    operation: str
    instance: str
    counts: CallCounts


@dataclass(frozen=True, slots=True)
class Waits:
    """A plugin's waits for one downstream, lately and before."""

    plugin: str
    downstream: str
    recent_waits: int
    recent_seconds: float
    recent_failures: int
    baseline_waits: int
    baseline_seconds: float
    plugin_seconds: float
    """All the time lately spent in the plugin, waits included."""


@dataclass(frozen=True, slots=True)
class CommonCause:
    """What several burning plugins share, or a downstream that excuses even one."""

    kind: str
    """`downstream` or `simultaneous`."""
    name: str
    """The downstream; empty for `simultaneous`."""
    plugins: tuple[str, ...]
    explanation: str
    """In a sentence, with numbers."""


def troubled_downstreams(waits: Sequence[Waits]) -> dict[str, dict[str, str]]:
    """Downstream -> plugin -> why the downstream, and not the plugin, explains the plugin's trouble."""
    troubled: dict[str, dict[str, str]] = defaultdict(dict)
    for item in waits:
        if item.recent_waits < MIN_WAITS:
            continue
        failing = item.recent_failures / item.recent_waits
        mean = item.recent_seconds / item.recent_waits
        share = item.recent_seconds / item.plugin_seconds if item.plugin_seconds > 0 else 0.0
        if failing >= FAILURE_SHARE:
            why = f"{percent(failing)} of {item.plugin}'s waits for {item.downstream} fail"
            troubled[item.downstream][item.plugin] = why
        elif item.baseline_waits >= MIN_WAITS and share >= TIME_SHARE:
            before = item.baseline_seconds / item.baseline_waits
            if mean >= SLOWDOWN * before:
                why = (
                    f"{item.plugin} waits {duration(mean)} for {item.downstream}, {mean / before:.1f} times as long "
                    f"as before, {percent(share)} of its time"
                )
                troubled[item.downstream][item.plugin] = why
    return dict(troubled)


def common_causes(
    burning: Sequence[Burning], waits: Sequence[Waits], running: int, quarantined: Collection[Scope] = ()
) -> list[CommonCause]:
    """The shared causes behind what burns; plugins named in one must not be quarantined for it.

    `running` is how many plugins have traffic. Versions already quarantined are left out: their cause is known.
    """
    known = {(scope.plugin, scope.version) for scope in quarantined}
    burning = [item for item in burning if (item.plugin, item.version) not in known]
    causes: list[CommonCause] = []
    explained: set[str] = set()
    slow = {item.plugin for item in burning if item.waits_explain}
    for downstream, plugins in sorted(troubled_downstreams(waits).items()):
        # Waits that fail never count against a plugin's availability, so only slowness needs this excuse.
        hit = sorted(slow & set(plugins))
        if hit:
            explained.update(hit)
            causes.append(CommonCause("downstream", downstream, tuple(hit), "; ".join(plugins[name] for name in hit)))
    rest = sorted((item for item in burning if item.plugin not in explained), key=lambda item: item.since)
    for start, first in enumerate(rest):
        group = sorted({item.plugin for item in rest[start:] if item.since - first.since <= TOGETHER})
        if len(group) >= TOGETHER_COUNT and len(group) >= TOGETHER_SHARE * running:
            why = f"{len(group)} of {running} running plugins began to fail within {duration(TOGETHER.total_seconds())} of each other"
            causes.append(CommonCause("simultaneous", "", tuple(group), why))
            break
    return causes


def failing_cell_scope(
    plugin: str,
    version: str,
    cells: Sequence[Cell],
    lately: Sequence[Cell],
    indicator: Indicator,
    *,
    tolerated_ratio: float,
    min_events: int,
) -> tuple[Scope, str]:
    """The smallest scope that holds a version's failures while its complement is healthy, and why.

    `cells` are of the time that is looked through for calls that went well, `lately` of the short window; `indicator` tells good
    calls from bad ones. What fails is what fails lately: a release that was rolled back hours ago
    makes nothing wider, and releases that begin to fail together are not healthy for having been so. The complement must
    have at least `min_events` calls and fail in no more than `tolerated_ratio` of them to count as healthy; other versions
    must have as many calls lately to count as failing.
    """
    total, bad = _sum(indicator, [cell for cell in lately if cell.version != version])
    if total >= min_events and bad / total > tolerated_ratio:
        return Scope(plugin), f"other versions fail as well ({bad} of {total} calls)"
    reason = f"other versions are healthy ({bad} bad of {total} calls)" if total else "no other version is being called"
    mine = [cell for cell in cells if cell.version == version]
    failing = [cell for cell in lately if cell.version == version and _sum(indicator, [cell])[1]]
    narrowed: dict[str, str] = {}
    for part in ("operation", "instance"):
        values = {str(getattr(cell, part)) for cell in failing}
        if len(values) != 1:
            continue
        value = values.pop()
        if value in {"", OVERFLOW} or name_fault(part, value) is not None:
            continue  # no host can be told to refuse these alone
        total, bad = _sum(indicator, [cell for cell in mine if getattr(cell, part) != value])
        if total >= min_events and bad / total <= tolerated_ratio:
            narrowed[part] = value
            reason += f"; outside {part} {value} it is healthy ({bad} bad of {total} calls)"
    return Scope(plugin, version, narrowed.get("operation"), narrowed.get("instance")), reason


def _sum(indicator: Indicator, cells: Iterable[Cell]) -> tuple[int, int]:
    """Return (all calls, bad calls)."""
    total = bad = 0
    for cell in cells:
        total += cell.counts.total
        bad += cell.counts.total - indicator.good(cell.counts)
    return total, bad
