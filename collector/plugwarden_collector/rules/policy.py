"""What the automation may do, and when: read from the rules file, never changed by it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from .pattern import matches

__all__ = ["Enforcement", "Policy"]


class Enforcement(StrEnum):
    """How far the automation goes by itself."""

    OBSERVE = "observe"
    """Record what it would do. The default of a new policy."""
    SUGGEST = "suggest"
    """Ask a person."""
    ENFORCE = "enforce"
    """Act."""


FAULT_CHANCE = 3e-8
"""How likely a fault begins in one operation between two looks: one in a hundred days at four looks a second."""
CRITICAL_FACTOR = 100.0
"""How much worse it is to isolate a critical plugin by mistake: two more failures in a row at most objectives."""


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
    cost_of_wrong_isolation: float = 1000.0
    """To isolate a healthy scope by mistake is as bad as so many failed calls. What is waited for before anything is isolated
    follows from it: a thousandfold cost takes two or three more failures in a row."""
    critical: tuple[str, ...] = ()
    """Shell patterns of plugins that hosts cannot do without: a mistake costs a hundred times as much, and people are warned first."""
    warning_seconds: float = 60.0
    """How long before a critical plugin is isolated people are warned; a release or a freeze within that time prevents it."""
    newcomer_grace_seconds: float = 6.0
    """A version this young is left alone: many stumble while they start."""
    hold_seconds: float = 60.0
    """How long a quarantine first lasts before probation; doubles with each repeat."""
    hold_max_seconds: float = 86_400.0
    hold_jitter_ratio: float = 0.1
    max_repeats: int = 3
    """Re-quarantines after which a person must decide."""
    probation_steps: tuple[float, ...] = (0.01, 0.05, 0.25, 1.0)
    """Shares of calls let through, one step after the other."""
    step_seconds: float = 15.0
    """The shortest time on a step."""
    step_min_calls: int = 5
    """Calls without which no step is passed, however good they are. How many it takes follows from how badly the scope failed."""
    step_timeout_seconds: float = 3600.0
    """With fewer calls than needed after this long, a person decides."""
    human_override_seconds: float = 3600.0
    """After a person released something, the automation leaves it alone this long."""

    def protects(self, plugin: str) -> bool:
        """Whether only people may quarantine a plugin."""
        return any(matches(pattern, plugin) for pattern in self.protected)

    def is_critical(self, plugin: str) -> bool:
        """Whether hosts cannot do without a plugin."""
        return any(matches(pattern, plugin) for pattern in self.critical)

    def enough_nats(self, plugin: str) -> float:
        """Return the evidence, in nats, from which on isolating costs less than waiting.

        Bayes' rule: a fault must be likelier than none by as much as a mistake costs more than one more failed call.
        """
        cost = self.cost_of_wrong_isolation * (CRITICAL_FACTOR if self.is_critical(plugin) else 1.0)
        return math.log(max(cost, 1.0) / FAULT_CHANCE)
