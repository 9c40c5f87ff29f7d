"""Guard rails: what keeps the automation from doing harm. Pure; what it prevents is recorded by whoever asks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from plugwarden.contract import Scope

from plugwarden_collector.figures import counted
from plugwarden_collector.rules.policy import Enforcement, Policy

from .override import stands_until
from .quarantine import AUTOMATION, Quarantine
from .word import MANY, Word, word_in

__all__ = ["SAME_ACTION", "Fleet", "goes_on", "overruled", "vetoes"]

ONE_FAULT = timedelta(seconds=60)
"""Isolations of one plugin within so long are one action: a machine or a version is several processes to a host."""
SAME_ACTION = "same_action"
"""Key of the evidence of an isolation that is part of an action that was counted already."""
ROOMS_OF_ALL_ALONE = 2
"""Rooms that all together have whose isolations rest on one process each: one such sender fills half of it at most."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """What the guard rails look at."""

    running: int
    """Plugins with traffic."""
    quarantines: Sequence[Quarantine]
    """All known ones, ended ones included."""
    actions: Sequence[datetime]
    """When the automation quarantined something that several processes bore out."""
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


@dataclass(frozen=True, slots=True)
class _Room:
    """Isolations that share the limits of the policy."""

    quarantines: Sequence[Quarantine]
    actions: Sequence[datetime]
    whose: str = ""
    """What they are, in words; empty for those that several processes bear out."""
    rooms: int = 1
    """How many times the limits they have."""


def vetoes(scope: Scope, policy: Policy, fleet: Fleet, at: datetime, *, word: Word = MANY) -> list[str]:
    """Everything that forbids quarantining `scope` automatically now; empty when nothing does.

    What rests on one process alone takes the room of nobody else: each has the limits of the policy for itself, and all of those together
    have them twice, so that one who makes things up neither uses up the room of what many bear out nor that of another process.
    Plugins that nobody named until just now have limits of their own as well, whoever names them.
    """
    found = []
    if fleet.frozen is not None:
        found.append(f"the automation is frozen: {fleet.frozen}")
    if policy.protects(scope.plugin):
        found.append(f"{scope.plugin} is protected: only people may quarantine it")
    for room in _rooms(word, fleet):
        held = {item.scope.plugin for item in room.quarantines if fleet.holds_place(item)}
        allowed = room.rooms * max(1, math.floor(policy.max_quarantined_ratio * fleet.running))
        if scope.plugin not in held and len(held) >= allowed:
            are = "is" if len(held) == 1 else "are"
            found.append(
                f"{len(held)} of {counted(fleet.running, 'plugin')} {are} quarantined{room.whose} already; the limit is {allowed}"
            )
        lately = sum(1 for moment in room.actions if at - moment < timedelta(hours=1))
        if lately >= room.rooms * policy.max_actions_per_hour and not (
            word == MANY and goes_on(scope, fleet.quarantines, at)
        ):
            limit = room.rooms * policy.max_actions_per_hour
            found.append(
                f"{counted(lately, 'automatic quarantine')}{room.whose} within the last hour; the limit is {limit}"
            )
    return found


def _rooms(word: Word, fleet: Fleet) -> Iterator[_Room]:
    """Return the rooms that a place and an action must be free in."""
    mine = [(item, word_in(item.evidence)) for item in fleet.quarantines if item.actor == AUTOMATION]
    if word.process is not None:
        own = [item for item, other in mine if other.process == word.process]
        yield _Room(own, _acted(own), " on the word of that process alone")
        alone = [item for item, other in mine if other.process is not None]
        yield _Room(alone, _acted(alone), " on the word of one process each", ROOMS_OF_ALL_ALONE)
        return
    alike = [item for item, other in mine if other.process is None and other.young is word.young]
    yield _Room(alike, _acted(alike), " of those that are new") if word.young else _Room(alike, fleet.actions)


def _acted(items: Sequence[Quarantine]) -> list[datetime]:
    """Return when the automation isolated something by itself: no suggestion, and no newcomer that starts on probation."""
    return [
        item.started_at
        for item in items
        if item.enforcement is Enforcement.ENFORCE and item.successor_of is None and "approved_by" not in item.evidence
    ]


def goes_on(scope: Scope, quarantines: Iterable[Quarantine], at: datetime) -> bool:
    """Whether to isolate a scope on the word of several is part of an action that the automation has just counted for the plugin.

    What is part of one begins no other, so that a fault that spreads is counted once a minute.
    """
    return any(
        item.scope.plugin == scope.plugin
        and item.actor == AUTOMATION
        and item.in_force
        and item.successor_of is None
        and SAME_ACTION not in item.evidence
        and word_in(item.evidence) == MANY
        and at - item.started_at < ONE_FAULT
        for item in quarantines
    )


def overruled(scope: Scope, policy: Policy, fleet: Fleet, at: datetime) -> str | None:
    """Return which decision of a person keeps the automation away from a scope; None where none does."""
    for item in fleet.quarantines:
        stands = stands_until(item, policy.human_override_seconds)
        versions = {item.scope.version, scope.version}
        overlaps = item.scope.plugin == scope.plugin and (len(versions) == 1 or None in versions)
        if overlaps and stands is not None and at < stands[0]:
            return f"{stands[1]}: a person's decision stands until {stands[0]:%Y-%m-%d %H:%M:%S}"
    return None
