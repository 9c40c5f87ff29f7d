"""Objectives of upstreams: what others answer for that plugins call, with its own budget, owner and runbook."""

from __future__ import annotations

from dataclasses import dataclass

from .objective import Objective
from .pattern import EVERY, matches

__all__ = ["Upstream"]


@dataclass(frozen=True, slots=True)
class Upstream:
    """One `[[upstream]]`: an objective for every upstream that its pattern matches, over all plugins and hosts that call it."""

    objective: Objective
    """Name, target, period and who answers for it; its calls are those that plugins make of the upstream."""
    upstreams: str
    """A pattern for the names that plugins give what they wait for, or several as `{db-*,cache}`."""
    services: str = EVERY
    """A pattern for the services of the hosts whose calls count."""

    @property
    def name(self) -> str:
        """Its name in the rules."""
        return self.objective.name

    def covers(self, upstream: str, service: str) -> bool:
        """Whether calls of an upstream from the hosts of a service count."""
        return matches(self.upstreams, upstream) and matches(self.services, service)
