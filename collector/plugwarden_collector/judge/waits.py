"""Waits for downstreams: whether one that plugins wait for, and not the plugin, explains that it is slow. Pure functions of counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from plugwarden_collector.durations import duration
from plugwarden_collector.figures import percent

__all__ = ["Waits", "troubled_downstreams"]

SLOWDOWN = 2.0
"""Factor by which waits for a downstream in trouble take longer than they used to."""
TIME_SHARE = 0.5
"""Share of the plugin's time that slow waits must make up before their downstream is in trouble."""
FAILURE_SHARE = 0.1
"""Share of failing waits at which a downstream is in trouble, however long they take."""
MIN_WAITS = 5


@dataclass(frozen=True, slots=True)
class Waits:
    """A plugin's waits for one downstream, lately and before its trouble began."""

    plugin: str
    downstream: str
    recent_waits: int
    recent_seconds: float
    recent_failures: int
    usual_waits: int
    usual_seconds: float
    """What one of them took, in the median of ten-second slots: a bad minute makes nothing usual."""
    plugin_seconds: float
    """All the time lately spent in the plugin, waits included."""


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
        elif item.usual_waits >= MIN_WAITS and share >= TIME_SHARE and mean >= SLOWDOWN * item.usual_seconds:
            times = f", {mean / item.usual_seconds:.1f} times as long as before" if item.usual_seconds > 0 else ""
            why = f"{item.plugin} waits {duration(mean)} for {item.downstream}{times}, {percent(share)} of its time"
            troubled[item.downstream][item.plugin] = why
    return dict(troubled)
