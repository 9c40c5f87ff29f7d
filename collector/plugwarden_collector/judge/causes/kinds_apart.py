"""Faults of one plugin at one moment, told apart by their types of errors.

Two faults that overlap look like one wider fault as long as few calls tell otherwise: what fails for a tenant, and beside it on a
machine, leaves little between the two that is known to be healthy. Their errors tell them apart sooner. Each group of types is
a table of its own, in which the calls that failed with other types went well; groups that lie in one place gain nothing by that, for
each of them pays for its own description.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from math import log, sqrt

from .cells import only_errors, other_errors
from .factors import UNEVEN, Factor
from .suspect import Suspect, suspect

__all__ = ["told_apart"]

LEAST_CALLS = 3
"""Bad calls that a group of types must have: two stray failures are no fault."""
MOST_TYPES = 4
"""Types that are tried as a group of their own, those with most calls first."""
SEVERAL_NATS = 3.0
"""Nats by which faults of their own must describe the errors better than the factors of them all: one chance in twenty (e^-3); down to
`ONE_FAULT_NATS` in favour of one fault that is in doubt."""


def told_apart(whole: Suspect) -> list[Suspect]:
    """Return a plugin once for each group of error types that has faults of its own; the plugin itself where there is but one, with
    how near two come to it."""
    errors = whole.cells.errors(chain.from_iterable(item.factor.cells for item in whole.blamed))
    best: tuple[float, Suspect, Suspect] | None = None
    for name, calls in errors.most_common(MOST_TYPES):
        if calls < LEAST_CALLS or errors.total() - calls < LEAST_CALLS or not _lies_apart(whole, name):
            continue
        one = replace(suspect(whole.plugin, only_errors(whole.cells.samples, {name})), without=whole.without)
        other = replace(suspect(whole.plugin, other_errors(whole.cells.samples, {name})), without=whole.without)
        if not one.blamed or not other.blamed:
            continue
        saved = _score(one) + _score(other) - _together(whole, (one, other))
        if best is None or saved > best[0]:
            best = saved, one, other
    if best is None or best[0] <= SEVERAL_NATS:
        return [whole if best is None else replace(whole, apart=best[0])]
    _, one, other = best
    return [one, *told_apart(other)]


def _lies_apart(whole: Suspect, name: str) -> bool:
    """Whether errors of a type lie elsewhere than the others, by one attribute at least: more unevenly than chance has it.

    Twice the nats that a share of its own for each value gains is chi-squared with one degree of freedom a value (Wilks).
    """
    cells = whole.cells
    told = [(at, sample.errors) for at, sample in enumerate(cells.samples) if sample.errors]
    for column in cells.table.columns:
        mine, all_of = defaultdict[str, int](int), defaultdict[str, int](int)
        for at, errors in told:
            calls = errors.get(name, 0)
            mine[column[at]] += calls
            all_of[column[at]] += sum(errors.values())
        spare = len(all_of) - 1
        if spare < 1:
            continue
        gain = sum(_share_nats(calls, all_of[value]) for value, calls in mine.items())
        if gain - _share_nats(sum(mine.values()), sum(all_of.values())) > SEVERAL_NATS + spare / 2 + UNEVEN * sqrt(
            spare / 2
        ):
            return True
    return False


def _share_nats(calls: int, of: int) -> float:
    """Return the log-likelihood of a share at its own rate."""
    return sum(part * log(part / of) for part in (calls, of - calls) if part)


def _score(part: Suspect) -> float:
    return sum(item.factor.score for item in part.blamed)


def _together(whole: Suspect, parts: Sequence[Suspect]) -> float:
    """Return what the factors of all errors gain above their costs, where each group may fail at a rate of its own in them."""
    return sum(_gain(item.factor, parts) - item.factor.cost for item in whole.blamed)


def _gain(factor: Factor, parts: Sequence[Suspect]) -> float:
    return sum(part.cells.table.gain(factor.cells) for part in parts)
