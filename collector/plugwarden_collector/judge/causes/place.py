"""The place that several plugins fail in while they are well elsewhere: a machine, a process, a tenant, a caller."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from .cells import INSTANCE
from .member import Member, count_plugins
from .moment import without_own_kind
from .onset import TOGETHER
from .sample import ATTRIBUTES, PLACES
from .table import Condition

__all__ = ["PLACE_ATTRIBUTES", "shared_place"]

PLACE_ATTRIBUTES = tuple(ATTRIBUTES.index(name) for name in PLACES)
"""Positions of the attributes that plugins have in common, the one that is named first where two are equal."""
FILLED_RATIO = 0.8
"""Share of a plugin's calls in a place that must be of the factor before the place explains it."""


def shared_place(left: Sequence[Member]) -> tuple[Condition, list[Member]] | None:
    """Return the place that most plugins fail in, and their factors; None where no two have one in common.

    Two faults that happen to lie in the same one of many places are far less likely than one reason that lies there.
    """
    found: defaultdict[Condition, list[Member]] = defaultdict(list)
    for member in left:
        if member.suspect.known and (member.blamed.has(PLACE_ATTRIBUTES) or member.blamed.sender):
            for attribute in PLACE_ATTRIBUTES:
                value = _filled(member, attribute)
                if value is not None:
                    found[attribute, value].append(member)
    if not found:
        return None
    place, members = min(
        found.items(),
        key=lambda item: (-count_plugins(item[1]), PLACE_ATTRIBUTES.index(item[0][0]), item[0][1]),
    )
    if count_plugins(members) < 2:
        return None
    others = [member for member in left if member not in members and member.suspect.known]
    joined = members + [member for member in others if _lies_in(member, place, members) or _told_of(member, place)]
    fitting = without_own_kind(joined)
    # Of two plugins in one place neither is the rule that the other departs from.
    return place, fitting if count_plugins(fitting) >= 2 else joined


def _filled(member: Member, attribute: int) -> str | None:
    """Return the one value of a place that holds a factor, if the factor fills it and the plugin is called elsewhere as well."""
    cells, blamed = member.suspect.cells, member.blamed
    column = cells.table.columns[attribute]
    if blamed.sender:
        values = {column[at] for at in cells.table.meeting([(INSTANCE, blamed.sender)])}
    else:
        values = {column[at] for at in blamed.factor.cells if cells.table.bad[at]}
    if len(values) != 1:
        return None
    (value,) = values
    if not value or len({column[at] for at, total in enumerate(cells.table.total) if total}) < 2:
        return None
    rest = [condition for condition in blamed.factor.conditions if condition[0] not in PLACE_ATTRIBUTES]
    place, inside = cells.table.meeting([*rest, (attribute, value)]), set(cells.table.meeting(blamed.conditions))
    filled = cells.called(at for at in place if at in inside)
    return value if filled >= FILLED_RATIO * cells.called(place) else None


def _told_of(member: Member, place: Condition) -> bool:
    """Whether a plugin fails in a place by the word of one process: too little to say that others fail there, enough to be one of them."""
    return bool(member.blamed.sender) and place in member.blamed.factor.conditions


def _lies_in(member: Member, place: Condition, members: Sequence[Member]) -> bool:
    """Whether a plugin that is called nowhere else fails in a place, and began to when the others did."""
    attribute, value = place
    cells = member.suspect.cells
    if any(total and cells.table.columns[attribute][at] != value for at, total in enumerate(cells.table.total)):
        return False
    return any(abs(member.since - other.since) <= TOGETHER for other in members)
