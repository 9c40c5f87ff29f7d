"""The moment at which several plugins began to fail everywhere: one reason that nobody named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from .cells import VERSION
from .error_kinds import ErrorKind, alike, leading_kind
from .member import Member, count_plugins, pooled_errors
from .onset import TOGETHER, shared_odds_nats
from .sample import ATTRIBUTES, PLACES

__all__ = ["shared_moment", "without_own_kind"]

LATE = 10 * TOGETHER
"""Time after which a seldom called plugin with the others' outward errors no longer joins them."""
_ELSEWHERE_WELL = (VERSION, *(ATTRIBUTES.index(name) for name in PLACES))
"""Attributes that narrow only where the other values are well, which a reason outside of the plugin does not spare."""


def shared_moment(left: Sequence[Member], running: int, *, slow: bool = False) -> list[Member] | None:
    """Return the factors that began at one moment, if one reason is likelier than one for each; the largest such group."""
    known = [member for member in left if member.suspect.known]
    everywhere = [member for member in known if not member.blamed.has(_ELSEWHERE_WELL) and not member.blamed.sender]
    everywhere.sort(key=lambda member: (member.since, member.plugin))
    best: list[Member] = []
    end = 0
    for start, first in enumerate(everywhere):
        while end < len(everywhere) and everywhere[end].since <= first.since + TOGETHER:
            end += 1
        if end - start <= len(best):
            continue
        group = without_own_kind(everywhere[start:end])
        if count_plugins(group) > count_plugins(best) and _likely(group, running, slow=slow):
            best = group
    if not best:
        return None
    errors = pooled_errors(best)
    return best + [member for member in known if member not in best and _joins(member, best[0], errors)]


def without_own_kind(members: Sequence[Member]) -> list[Member]:
    """Return the members without those that fail by errors of their own code which most of the others do not have."""
    leading = Counter(member.leading_error for member in members)
    return [
        member
        for member in members
        if leading_kind(member.blamed.errors) is not ErrorKind.INWARD
        or 2 * (leading[member.leading_error] - 1) >= len(members) - 1
    ]


def _likely(group: Sequence[Member], running: int, *, slow: bool) -> bool:
    """Whether plugins that began together are likelier to share a reason than to have one each."""
    hit = count_plugins(group)
    if hit == 2 and not slow:
        # Two at once are not rare enough: only errors that point at the same thing outside tell that it is one. Slowness has no errors,
        # but what slows one plugin slows its neighbours far more often than two slow down by themselves, so there the odds decide.
        plugins = sorted({member.plugin for member in group})
        one, other = (pooled_errors(item for item in group if item.plugin == plugin) for plugin in plugins)
        outward = all(leading_kind(errors) is ErrorKind.OUTWARD for errors in (one, other))
        if not outward or not alike(one, other):
            return False
    return shared_odds_nats(hit, running) > 0


def _joins(member: Member, first: Member, errors: Counter[str]) -> bool:
    """Whether a plugin that shows it later, or in fewer places, fails as the others do."""
    if member.blamed.has((VERSION,)) or not -TOGETHER <= member.since - first.since <= LATE:
        return False
    own = member.blamed.errors
    return bool(own) and leading_kind(own) is ErrorKind.OUTWARD and alike(own, errors)
