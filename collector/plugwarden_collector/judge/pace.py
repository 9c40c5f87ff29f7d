"""The pace of a process: whether it is slow with everything that runs in it, and not with one plugin. Pure functions of counts.

A busy host makes all of its plugins slow, and those that are slow already cross their thresholds first. A plugin that makes its host
slow has the CPU time to show for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["Pace", "slow_hosts"]

SLOWDOWN = 1.5
"""Factor by which the calls of the median plugin take longer before its process is slow."""
MIN_OTHERS = 3
"""Other plugins that there must be: of two, one may have slowed the other."""
MIN_CALLS = 3
MIN_USUAL_CALLS = 5
MORE_CPU = 2.0
"""Factor by which a plugin's calls use more CPU than before when it is not the host: contention alone costs less than that."""
ALIKE = 10.0
"""Where nobody told CPU times: a plugin whose calls slowed down so many times more than the others' has a trouble of its own."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long calls of a plugin take in one process, lately and before its trouble began."""

    plugin: str
    instance: str
    recent_calls: int
    recent_seconds: float
    """What all of them took."""
    recent_cpu_seconds: float
    """What all of them used; 0 where the process does not tell."""
    usual_calls: int
    usual_seconds: float
    """What one call took, in the median of ten-second slots."""
    usual_cpu_seconds: float
    """What one call used, on average."""

    @property
    def slowdown(self) -> float | None:
        """How many times longer calls take; None where there are too few to say."""
        if self.recent_calls < MIN_CALLS or self.usual_calls < MIN_USUAL_CALLS or self.usual_seconds <= 0:
            return None
        return self.recent_seconds / self.recent_calls / self.usual_seconds

    @property
    def works_more(self) -> bool | None:
        """Whether a call uses more CPU than before; None where nobody told."""
        if self.usual_cpu_seconds <= 0 or self.recent_cpu_seconds <= 0 or not self.recent_calls:
            return None
        return self.recent_cpu_seconds / self.recent_calls > MORE_CPU * self.usual_cpu_seconds


def slow_hosts(plugin: str, instances: Collection[str], paces: Sequence[Pace]) -> dict[str, float]:
    """Return how many times longer everything else takes, by process, if that explains a plugin that is slow in all of these
    processes; empty where in one of them it does not."""
    by_instance: defaultdict[str, dict[str, Pace]] = defaultdict(dict)
    for pace in paces:
        by_instance[pace.instance][pace.plugin] = pace
    found = {}
    for instance in instances:
        slowdown = _slowdown_of_others(plugin, by_instance[instance])
        if slowdown is None:
            return {}
        found[instance] = slowdown
    return found


def _slowdown_of_others(plugin: str, paces: dict[str, Pace]) -> float | None:
    mine = paces.get(plugin)
    others = [pace.slowdown for name, pace in paces.items() if name != plugin and pace.slowdown is not None]
    if mine is None or mine.works_more or len(others) < MIN_OTHERS:
        return None
    usual = median(others)
    if usual < SLOWDOWN:
        return None
    slowdown = mine.slowdown
    if mine.works_more is None and (slowdown is None or slowdown > ALIKE * usual):
        return None
    return usual
