"""Guard rails: what keeps the automation from doing harm. Pure; what it prevents is recorded by whoever asks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from plugwarden.contract import Scope

from plugwarden_collector.rules.policy import Policy

from .override import stands_until
from .quarantine import AUTOMATION, Quarantine

__all__ = ["Fleet", "vetoes"]


@dataclass(frozen=True, slots=True)
class Fleet:
    """What the guard rails look at."""

    running: int
    """Plugins with traffic."""
    quarantines: Sequence[Quarantine]
    """All known ones, ended ones included."""
    actions: Sequence[datetime]
    """When the automation quarantined something."""
    frozen: str | None = None
    """Why the automation is switched off; None when it is not."""
    excused: str | None = None
    """The shared cause that the plugin is excused by, if any."""


def vetoes(scope: Scope, policy: Policy, fleet: Fleet, at: datetime) -> list[str]:
    """Everything that forbids quarantining `scope` automatically now; empty when nothing does."""
    found = []
    if fleet.frozen is not None:
        found.append(f"the automation is frozen: {fleet.frozen}")
    if policy.protects(scope.plugin):
        found.append(f"{scope.plugin} is protected: only people may quarantine it")
    if fleet.excused is not None:
        found.append(f"shared cause: {fleet.excused}")
    held = {item.scope.plugin for item in fleet.quarantines if item.in_force and item.actor == AUTOMATION}
    allowed = max(1, math.floor(policy.max_quarantined_ratio * fleet.running))
    if scope.plugin not in held and len(held) >= allowed:
        found.append(f"{len(held)} of {fleet.running} plugins are quarantined already; the limit is {allowed}")
    lately = sum(1 for moment in fleet.actions if at - moment < timedelta(hours=1))
    if lately >= policy.max_actions_per_hour:
        found.append(f"{lately} automatic quarantines within the last hour; the limit is {policy.max_actions_per_hour}")
    for item in fleet.quarantines:
        stands = stands_until(item, policy.human_override_seconds)
        versions = {item.scope.version, scope.version}
        overlaps = item.scope.plugin == scope.plugin and (len(versions) == 1 or None in versions)
        if overlaps and stands is not None and at < stands[0]:
            found.append(f"{stands[1]}: a person's decision stands until {stands[0]:%Y-%m-%d %H:%M:%S}")
            break
    return found
