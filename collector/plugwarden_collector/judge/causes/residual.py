"""What a shared cause leaves to explain of a plugin: errors of its own, and more failures than the others have."""

from __future__ import annotations

from collections.abc import Sequence
from math import log, sqrt

from .cells import only_errors, other_errors
from .error_kinds import ErrorKind, kind_of
from .factors import Factor
from .member import Member, pooled_errors
from .suspect import blamed_for, suspect

__all__ = ["beside"]

UNUSUAL = 2.5
"""Standard deviations, in log-odds, by which a plugin fails more than the others before the shared cause is not all of it."""
LEAST_OTHERS = 3
"""Others that there must be before one is unusual beside them: a fault of its own at the same moment, with the same errors, is far
rarer than a plugin that calls what fails more often than two others do."""
USUAL_SPREAD = 1.5
"""Standard deviation, in log-odds, by which plugins differ that one cause hits, for some of their calls do not come near it: between
20 % and 80 % of calls lie two of them."""
USUAL_WEIGHT = 2
"""So many of the plugins that were hit this counts for (an assumption)."""
MOST_LOG_ODDS = 2.2
"""Log-odds beyond which rates are alike: of what always calls a dead downstream, all calls fail or nine of ten do."""
OWN_RATIO = 0.05
"""Share of the others' errors below which an error is a plugin's own."""


def beside(member: Member, others: Sequence[Member]) -> tuple[list[Member], bool]:
    """Return what of a plugin the cause that it shares with others does not explain, and whether it explains anything of it."""
    own, shares = _by_own_errors(member, others)
    if own:
        return own, shares
    more = _by_rate(member, others)
    return more, member not in more


def _by_own_errors(member: Member, others: Sequence[Member]) -> tuple[list[Member], bool]:
    """Return the faults that a plugin's own errors make by themselves, and whether it fails without them as well."""
    theirs = pooled_errors(others)
    limit = OWN_RATIO * sum(theirs.values())
    own = {name for name in member.blamed.errors if kind_of(name) is not ErrorKind.OUTWARD and theirs[name] <= limit}
    if not own or not theirs:
        return [], True
    samples = member.suspect.cells.samples
    found = suspect(member.plugin, only_errors(samples, own))
    blamed = [Member(found, item) for item in found.blamed]
    return blamed, not blamed or bool(suspect(member.plugin, other_errors(samples, own)).blamed)


def _by_rate(member: Member, others: Sequence[Member]) -> list[Member]:
    """Return the parts of a factor that fail so much more than the others that what they share is not all of it."""
    if len(others) < LEAST_OTHERS:
        return []
    rates = [_log_odds(item, item.blamed.factor) for item in others]
    mean = sum(rates) / len(rates)
    apart = USUAL_WEIGHT * USUAL_SPREAD**2 + sum((rate - mean) ** 2 for rate in rates)
    spread = sqrt(apart / (USUAL_WEIGHT + len(rates)) * (1 + 1 / len(rates)))
    limit = mean + UNUSUAL * spread
    factor = member.blamed.factor
    parts = factor.parts or (factor,)
    more = [part for part in parts if _log_odds(member, part, errors=2.0) > limit]
    if len(more) == len(parts):
        return [member]
    cells = member.suspect.cells
    return [Member(member.suspect, blamed_for(cells, part, member.since)) for part in more]


def _log_odds(member: Member, part: Factor, *, errors: float = 0.0) -> float:
    """Return the log-odds of the rate at which calls that ran were bad, so many standard errors below what was counted.

    An open breaker says that a plugin fails, not how often: its rate would be above that of all whose breakers are closed.
    """
    total, bad = member.suspect.cells.ran(part.cells, part.total, part.bad)
    good = max(total - bad, 0.0)
    odds = log((bad + 0.5) / (good + 0.5)) - errors * sqrt(1 / (bad + 0.5) + 1 / (good + 0.5))
    return max(-MOST_LOG_ODDS, min(MOST_LOG_ODDS, odds))
