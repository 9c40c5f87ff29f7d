"""The pace of a process: whether it is slow with everything that runs in it, and not with one plugin. Pure functions of counts.

A busy host makes all of its plugins slow, and those that are slow already cross their thresholds first. A plugin that makes its host
slow has the CPU time to show for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

__all__ = ["LATELY", "Pace", "slow_hosts"]

LATELY = timedelta(seconds=30)
"""So far back is now, where it is asked what takes longer than before its trouble."""
SLOWDOWN = 1.5
"""Factor by which the calls of the median plugin take longer before its process is slow."""
MIN_OTHERS = 3
"""Other plugins that there must be: of two, one may have slowed the other."""
MIN_CALLS = 3
MIN_USUAL_CALLS = 5
MORE_CPU = 2.0
"""Factor by which a plugin's calls use more CPU than before when it is not the host: contention alone costs less than that."""
SLOWING_CORES = 0.1
"""Cores that a plugin uses beyond what it used before, at least, when it is what slows the others. CPU is measured of one call in 64, so a
plugin of few milliseconds seems to use several times more by chance alone: at half a core for ten plugins, the one that was isolated as
the cause had come to 0.02."""
ALIKE = 40.0
"""A plugin whose calls slowed down so many times more than the others' has a trouble of its own, though its host is slow as well."""
ALIKE_UNTOLD = 10.0
"""Fewer times are enough where nobody told how much CPU it uses."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long calls of a plugin take in one process, lately and before its trouble began."""

    plugin: str
    service: str
    instance: str
    recent_calls: int
    recent_seconds: float
    """What one call takes, in the median of ten-second slots."""
    recent_cpu_seconds: float
    """What one call uses, of those that were measured; 0 where none was."""
    usual_calls: int
    usual_seconds: float
    usual_cpu_seconds: float

    @property
    def slowdown(self) -> float | None:
        """How many times longer calls take; None where there are too few to say."""
        if self.recent_calls < MIN_CALLS or self.usual_calls < MIN_USUAL_CALLS or self.usual_seconds <= 0:
            return None
        return self.recent_seconds / self.usual_seconds

    def works_more(self, lasted_seconds: float) -> bool | None:
        """Whether calls use so much more CPU than before a trouble began, so long ago, that they slow what runs beside them; None where
        nobody told."""
        if self.usual_cpu_seconds <= 0 or self.recent_cpu_seconds <= 0:
            return None
        more_seconds = (self.recent_cpu_seconds - self.usual_cpu_seconds) * self.recent_calls
        much = more_seconds >= SLOWING_CORES * min(lasted_seconds, LATELY.total_seconds())
        return much and self.recent_cpu_seconds > MORE_CPU * self.usual_cpu_seconds


def slow_hosts(
    plugin: str, instances: Collection[str], paces: Sequence[Pace], lasted_seconds: float
) -> dict[str, float]:
    """Return how many times longer everything else takes, by process, if that explains a plugin that is slow in all of these
    processes; empty where in one of them it does not. What is recent is what came since the trouble began, `lasted_seconds` ago,
    and no more than `LATELY`."""
    by_instance: defaultdict[str, dict[str, Pace]] = defaultdict(dict)
    services: defaultdict[str, set[str]] = defaultdict(set)
    for pace in paces:
        by_instance[pace.instance][pace.plugin] = pace
        services[pace.instance].add(pace.service)
    found = {}
    for instance in instances:
        # A name that two services use is not one process, and what has no name may be many.
        one = bool(instance) and len(services[instance]) == 1
        slowdown = _slowdown_of_others(plugin, by_instance[instance], lasted_seconds) if one else None
        if slowdown is None:
            return {}
        found[instance] = slowdown
    return found


def _slowdown_of_others(plugin: str, paces: dict[str, Pace], lasted_seconds: float) -> float | None:
    mine = paces.get(plugin)
    others = [pace.slowdown for name, pace in paces.items() if name != plugin and pace.slowdown is not None]
    if mine is None or len(others) < MIN_OTHERS:
        return None
    works_more = mine.works_more(lasted_seconds)
    if works_more:
        return None
    usual = median(others)
    if usual < SLOWDOWN:
        return None
    slowdown, most = mine.slowdown, ALIKE_UNTOLD if works_more is None else ALIKE
    return None if slowdown is None or slowdown > most * usual else usual
