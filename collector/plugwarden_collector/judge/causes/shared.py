"""Causes that several plugins share, which plugins they excuse, and what they leave to explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from plugwarden_collector.durations import duration
from plugwarden_collector.figures import percent

from .explanation import Excused, SharedCause
from .member import Member, count_plugins, pooled_errors
from .moment import shared_moment
from .onset import chance_together
from .place import shared_place
from .residual import beside
from .sample import ATTRIBUTES
from .suspect import Suspect
from .telling import errors_by_calls, scope_of

__all__ = ["Accounts", "Beside", "shared_causes"]

EVERYTHING_RATIO = 0.5
"""Share of the running plugins from which it is everything that fails (Envoy's panic threshold)."""


@dataclass(frozen=True, slots=True)
class Beside:
    """A factor that stands although a shared cause is near."""

    member: Member
    cause: str
    """The shared cause, in words."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """All factors of all plugins, each with what accounts for it."""

    causes: Sequence[SharedCause]
    alone: Sequence[Member]
    """Factors that no shared cause touches."""
    beside: Sequence[Beside]


def shared_causes(suspects: Sequence[Suspect], running: int, *, slow: bool = False) -> Accounts:
    """Return the causes that plugins share, places before moments, and what they do not account for."""
    left = [Member(item, blamed) for item in suspects for blamed in item.blamed]
    causes: list[SharedCause] = []
    unexplained: list[Beside] = []
    while (found := _next(left, running, slow=slow)) is not None:
        kind, name, members = found
        excused, rest = _excused(members)
        causes.append(_cause(kind, name, excused, running))
        unexplained.extend(Beside(member, f"{kind} {name}".strip()) for member in rest)
        left = [member for member in left if member not in members]
    return Accounts(causes, left, unexplained)


def _next(left: Sequence[Member], running: int, *, slow: bool) -> tuple[str, str, list[Member]] | None:
    """Return the kind and name of a cause that factors share, with these."""
    place, together = shared_place(left), shared_moment(left, running, slow=slow)
    if place is not None:
        (attribute, value), members = place
        if together is None or not _by_chance(members, together):
            return ATTRIBUTES[attribute], value, members
    if together is None:
        return None
    hit = count_plugins(together)
    return "everything" if hit >= 3 and hit >= EVERYTHING_RATIO * running else "simultaneous", "", together


def _by_chance(members: Sequence[Member], together: Sequence[Member]) -> bool:
    """Whether plugins are in one place only because one of them, which fails with many others, was seen to fail there first."""
    others = [member for member in members if member not in together]
    return count_plugins(others) < 2 and count_plugins(together) > count_plugins(members)


def _excused(members: Sequence[Member]) -> tuple[list[Member], list[Member]]:
    """Return the factors that a cause explains, and what it leaves to explain of the plugins that share it."""
    excused: list[Member] = []
    rest: list[Member] = []
    for member in members:
        unexplained, shares = beside(member, [item for item in members if item.plugin != member.plugin])
        rest.extend(unexplained)
        if shares:
            excused.append(member)
    return (excused, rest) if count_plugins(excused) > 1 else (list(members), [])


def _cause(kind: str, name: str, excused: Sequence[Member], running: int) -> SharedCause:
    """Return a shared cause with the plugins that it excuses."""
    plugins = sorted({item.plugin for item in excused})
    onsets = [min(item.since for item in excused if item.plugin == plugin) for plugin in plugins]
    chance = chance_together(onsets, running)
    if name:  # by accident each of the others would lie in any of its places
        column = ATTRIBUTES.index(kind)
        places = max(len(set(item.suspect.cells.table.columns[column])) for item in excused)
        chance /= places ** (len(onsets) - 1)
    return SharedCause(
        kind=kind,
        name=name,
        since=min(onsets),
        excused=tuple(
            Excused(
                scope_of(member.plugin, member.blamed.conditions),
                member.since,
                round(member.blamed.factor.total),
                round(member.blamed.factor.bad),
            )
            for member in sorted(excused, key=lambda item: (item.plugin, item.blamed.conditions))
        ),
        errors=errors_by_calls(pooled_errors(excused)),
        chance=chance,
        why=_why(kind, name, onsets, running, chance),
        weight=sum(member.blamed.factor.score for member in excused),
    )


def _why(kind: str, name: str, onsets: Sequence[datetime], running: int, chance: float) -> str:
    """Return in a sentence what the plugins have in common."""
    if name:
        return f"{len(onsets)} plugins fail in {kind} {name} and are well elsewhere"
    running = max(running, len(onsets))
    span = duration((max(onsets) - min(onsets)).total_seconds())
    return (
        f"{len(onsets)} of {running} running plugins ({percent(len(onsets) / running)}) began to fail within {span} of each other; "
        f"by accident that happens once in {1 / max(chance, 1e-12):,.0f} times"
    )
