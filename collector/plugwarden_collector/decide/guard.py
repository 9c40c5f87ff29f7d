"""Guard rails: what keeps the automation from doing harm. Pure; what it prevents is recorded by whoever asks."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from plugwarden.contract import Scope

from plugwarden_collector.figures import counted
from plugwarden_collector.rules.policy import Policy

from .override import stands_until
from .quarantine import AUTOMATION, Quarantine

__all__ = ["Fleet", "overruled", "vetoes"]


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
    called: Set[tuple[str, str]] | None = None
    """Plugin versions that somebody asked for lately, refused or not; None: all of them were."""
    idle: Set[str] = frozenset()
    """Ids of quarantines of parts that nobody asks for any more, such as a process that has ended."""

    def holds_place(self, item: Quarantine) -> bool:
        """Whether a quarantine is the automation's and refuses calls: what nobody asks for any more is none too many."""
        if not item.in_force or item.actor != AUTOMATION or item.superseded_by is not None or item.id in self.idle:
            return False
        scope = item.scope
        return self.called is None or any(
            plugin == scope.plugin and scope.version in {None, version} for plugin, version in self.called
        )


def vetoes(scope: Scope, policy: Policy, fleet: Fleet, at: datetime, *, known: bool = True) -> list[str]:
    """Everything that forbids quarantining `scope` automatically now; empty when nothing does.

    Plugins that are not known, because one sender alone ever named them and they have no past, have limits of their own: a sender who
    makes some up leaves the room of all others as it is.
    """
    found = []
    if fleet.frozen is not None:
        found.append(f"the automation is frozen: {fleet.frozen}")
    if policy.protects(scope.plugin):
        found.append(f"{scope.plugin} is protected: only people may quarantine it")
    alike = [item for item in fleet.quarantines if bool(item.evidence.get("known", True)) is known]
    held = {item.scope.plugin for item in alike if fleet.holds_place(item)}
    allowed = max(1, math.floor(policy.max_quarantined_ratio * fleet.running))
    if scope.plugin not in held and len(held) >= allowed:
        held_already = (
            f"{len(held)} of {counted(fleet.running, 'plugin')} {'is' if len(held) == 1 else 'are'} quarantined already"
        )
        found.append(f"{held_already}; the limit is {allowed}")
    acted = fleet.actions if known else [item.started_at for item in alike if item.actor == AUTOMATION]
    lately = sum(1 for moment in acted if at - moment < timedelta(hours=1))
    if lately >= policy.max_actions_per_hour:
        found.append(
            f"{counted(lately, 'automatic quarantine')} within the last hour; the limit is {policy.max_actions_per_hour}"
        )
    return found


def overruled(scope: Scope, policy: Policy, fleet: Fleet, at: datetime) -> str | None:
    """Return which decision of a person keeps the automation away from a scope; None where none does."""
    for item in fleet.quarantines:
        stands = stands_until(item, policy.human_override_seconds)
        versions = {item.scope.version, scope.version}
        overlaps = item.scope.plugin == scope.plugin and (len(versions) == 1 or None in versions)
        if overlaps and stands is not None and at < stands[0]:
            return f"{stands[1]}: a person's decision stands until {stands[0]:%Y-%m-%d %H:%M:%S}"
    return None
