"""Drains: which calls of a scope that is isolated still run. Pure.

An isolated scope takes no new calls, and those that run are let end: to isolate is to cordon, and to wait for none to run is to drain.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from plugwarden.contract import QuarantineState, Scope

__all__ = ["Drain", "Running", "drain"]


@dataclass(frozen=True, slots=True)
class Running:
    """What one host process told last of one operation."""

    plugin_id: str
    plugin_version: str
    plugin_operation: str
    instance_id: str
    running: int
    """Calls under way, those past their deadline included."""
    state: int | None
    """Number of the `QuarantineState` that it obeys; None where it never told one."""


@dataclass(frozen=True, slots=True)
class Drain:
    """How far a scope has drained."""

    running: int | None
    """Calls that still run; None where nobody can tell, for hosts do not count them by tenant."""
    hosts: int
    """Host processes that the scope was heard of from."""
    not_obeying: int
    """Host processes, of those, whose last word was not that they isolate it: calls may still begin there."""

    @property
    def done(self) -> bool:
        """Whether no call runs, and none can begin."""
        return self.running == 0 and self.not_obeying == 0


def drain(scope: Scope, told: Iterable[Running]) -> Drain:
    """Return how far a scope has drained, by what hosts told last."""
    within = [
        item
        for item in told
        if item.plugin_id == scope.plugin
        and scope.version in (None, item.plugin_version)
        and scope.operation in (None, item.plugin_operation)
        and scope.instance in (None, item.instance_id)
    ]
    hosts = {item.instance_id for item in within}
    if scope.tenant is not None:
        return Drain(None, len(hosts), 0)
    free = {item.instance_id for item in within if item.state != QuarantineState.QUARANTINED.number}
    return Drain(sum(item.running for item in within), len(hosts), len(free))
