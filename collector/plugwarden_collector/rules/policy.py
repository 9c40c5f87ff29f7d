"""What the automation may do, and when: read from the rules file, never changed by it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

__all__ = ["Enforcement", "Policy"]


class Enforcement(StrEnum):
    """How far the automation goes by itself."""

    OBSERVE = "observe"
    """Record what it would do. The default of a new policy."""
    SUGGEST = "suggest"
    """Ask a person."""
    ENFORCE = "enforce"
    """Act."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Starting values: Envoy's outlier detection (caps, growing hold), Argo Rollouts (steps, inconclusive), GitLab
    (three automatic actions on one thing, then a person)."""

    enforcement: Enforcement = Enforcement.OBSERVE
    max_quarantined_ratio: float = 0.10
    """At most this share of the running plugins is quarantined by the automation at a time, but always one."""
    max_actions_per_hour: int = 5
    protected: tuple[str, ...] = ()
    """Shell patterns of plugins that only people may quarantine."""
    hold_seconds: float = 300.0
    """How long a quarantine first lasts before probation; doubles with each repeat."""
    hold_max_seconds: float = 86_400.0
    hold_jitter_ratio: float = 0.1
    max_repeats: int = 3
    """Re-quarantines after which a person must decide."""
    probation_steps: tuple[float, ...] = (0.01, 0.05, 0.25, 1.0)
    """Shares of calls let through, one step after the other."""
    step_seconds: float = 60.0
    """The shortest time on a step."""
    step_min_calls: int = 20
    """Calls needed to judge a step."""
    step_timeout_seconds: float = 3600.0
    """With fewer calls than needed after this long, a person decides."""
    human_override_seconds: float = 3600.0
    """After a person released something, the automation leaves it alone this long."""

    def protects(self, plugin: str) -> bool:
        """Whether only people may quarantine a plugin."""
        return any(fnmatchcase(plugin, pattern) for pattern in self.protected)
