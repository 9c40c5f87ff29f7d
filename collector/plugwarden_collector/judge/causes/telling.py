"""What is told of a factor: its scope, its counts, and what else was considered."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, log

from .cells import INSTANCE
from .explanation import CLEAR_NATS, ONE_FAULT_NATS, Alternative, Fault, Scope
from .factors import Factor, Search
from .sample import ATTRIBUTES
from .suspect import Blamed, Suspect, blamed_for
from .table import Condition

__all__ = ["errors_by_calls", "fault_of", "scope_of"]

MOST_ALTERNATIVES = 8
MOST_NAMED = 100
"""Processes that a fault of all but one names: each of them is a directive of its own."""


def fault_of(suspect: Suspect, blamed: Blamed, *, beside: str = "") -> Fault:
    """Return a factor as the fault of a plugin; `beside` names the shared cause that does not explain it.

    Where a narrower scope explains nearly as much it is that one: calls that are not known to fail are left alone. The doubt about the
    wider one is paid for with that: only another that is as narrow leaves it open how far the fault reaches.
    """
    cells, apart, told = suspect.cells, suspect.apart, _Weighed(blamed.factor, False, 0.0)
    others = rivals = _weighed(suspect, blamed)
    narrower = [item for item in others if item.narrower]
    near = [item for item in narrower if item.nats > told.nats - CLEAR_NATS]
    if near:
        wide, told = told, max(near, key=lambda item: (item.nats, item.factor.conditions))
        others = [wide, *(item for item in others if item.factor.cells != told.factor.cells)]
        rivals = [item for item in others if item.narrower]
        conditions = tuple(sorted({*told.factor.conditions, *blamed.conditions}))
        blamed = blamed_for(cells, replace(told.factor, conditions=conditions), blamed.since)
    else:
        apart = max(apart, _apart_nats(cells.search, told.factor, narrower))
    within = cells.table.meeting(blamed.conditions)
    return Fault(
        scope=scope_of(suspect.plugin, blamed.conditions),
        total=cells.called(within),
        bad=round(sum(map(cells.table.bad.__getitem__, within))),
        expected=sum(map(cells.expected.__getitem__, within)),
        weight=blamed.factor.score,
        since=blamed.since,
        errors=errors_by_calls(cells.errors(within)),
        instances=_called_in(suspect, within) if suspect.without else blamed.instances,
        known=suspect.known,
        sender=blamed.sender,
        without=suspect.without,
        beside=beside,
        alternatives=_alternatives(suspect.plugin, others),
        margin=told.nats - max((item.nats for item in rivals), default=0.0),
        apart=apart,
    )


def _apart_nats(search: Search, found: Factor, narrower: Sequence[_Weighed]) -> float:
    """Return the nats by which two faults describe what was found as one better: by their types of errors, or by where they lie.

    A narrower scope and the best in what it leaves over are priced for their conditions alone, for that there is trouble is known; with
    `ONE_FAULT_NATS` taken off, they are in doubt as soon as they describe it as well as the one. Two that leave no calls over are the one.
    """
    if not narrower:
        return -inf
    first = max((item.factor for item in narrower), key=lambda factor: (factor.score, factor.conditions))
    rest = sorted(set(found.cells) - set(first.cells))
    second, two = search.second(rest), -inf
    if second is not None and search.table.counts(set(rest) - set(second.cells))[0]:
        two = first.score + second.score - ONE_FAULT_NATS
    return max([two, *(item.nats for item in narrower if item.unlike)]) - found.score


def _called_in(suspect: Suspect, within: Iterable[int]) -> tuple[str, ...]:
    """Return the processes that some cells are called in, as far as hosts can be told one by one."""
    table = suspect.cells.table
    return tuple(sorted({table.columns[INSTANCE][at] for at in within if table.total[at]}))[:MOST_NAMED]


def scope_of(plugin: str, conditions: Iterable[Condition]) -> Scope:
    """Return conditions as the scope that they describe."""
    return Scope(plugin, **{ATTRIBUTES[attribute]: value for attribute, value in conditions})


def errors_by_calls(errors: Counter[str]) -> tuple[tuple[str, int], ...]:
    """Return types of errors with their calls, most first."""
    return tuple(sorted(errors.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True, slots=True)
class _Weighed:
    """Another scope, and what it would explain."""

    factor: Factor
    narrower: bool
    """All of its calls are in the scope that was found, which has others as well."""
    unlike: float
    """Nats that speak for another fault beside it, by the types of errors; 0 for one that is not narrower."""

    @property
    def nats(self) -> float:
        return self.factor.score + self.unlike


def _alternatives(plugin: str, weighed: Iterable[_Weighed]) -> tuple[Alternative, ...]:
    """Return what else was near, the best first."""
    found = sorted((item.factor for item in weighed), key=lambda factor: (-factor.score, factor.conditions))
    return tuple(
        Alternative(scope_of(plugin, item.conditions), round(item.total), round(item.bad), item.score)
        for item in found[:MOST_ALTERNATIVES]
    )


def _weighed(suspect: Suspect, blamed: Blamed) -> list[_Weighed]:
    """Return what else was near, if it means other calls: wider by a condition, narrower by one, or of one condition alone.

    Of what is narrower than the scope that was found only what other faults of the plugin leave over counts, as it does of that one.
    """
    cells, chosen = suspect.cells, set(blamed.conditions)
    called = {at for at in cells.table.meeting(blamed.conditions) if cells.table.total[at]}
    own = called.intersection(blamed.factor.cells)
    excess = {at: bad - cells.expected[at] for at, bad in enumerate(cells.table.bad) if bad > cells.expected[at]}
    inside = {at: more for at, more in excess.items() if at in own}
    nearby: set[tuple[Condition, ...]] = {(), *((condition,) for condition in chosen)}
    nearby.update(tuple(sorted(chosen - {condition})) for condition in chosen)
    named = {attribute for attribute, _ in chosen}
    for attribute, column in enumerate(cells.table.columns):
        if excess:
            nearby.add(((attribute, _worst(column, excess)),))
        if inside and attribute not in named:
            nearby.add(tuple(sorted((*chosen, (attribute, _worst(column, inside))))))
    weighed = []
    for conditions in nearby:
        meeting = cells.table.meeting(conditions)
        mine = {at for at in meeting if cells.table.total[at]}
        if mine < called and all(cells.tells(*condition) for condition in conditions):
            left = mine & own
            factor = cells.search.weigh(conditions, sorted(left))
            if factor.score > 0 and left < own:
                weighed.append(_Weighed(factor, True, _unlike_nats(suspect, left, own - left)))
        elif mine != called:
            weighed.append(_Weighed(cells.search.weigh(conditions, meeting), False, 0.0))
    return weighed


def _unlike_nats(suspect: Suspect, inside: Iterable[int], outside: Iterable[int]) -> float:
    """Return the nats by which two mixtures of error types describe what fails inside and outside better than one (a G-test's half).

    One fault fails alike wherever it fails; where types lie apart, what widens a scope may be another fault.
    """
    one, other = suspect.cells.errors(inside), suspect.cells.errors(outside)
    if not one or not other:
        return 0.0
    return _mixture_nats(one) + _mixture_nats(other) - _mixture_nats(one + other)


def _mixture_nats(errors: Counter[str]) -> float:
    total = errors.total()
    return sum(calls * log(calls / total) for calls in errors.values())


def _worst(column: Sequence[str], excess: Mapping[int, float]) -> str:
    """Return the value of an attribute that has most bad calls above what is expected."""
    sums: defaultdict[str, float] = defaultdict(float)
    for at, more in excess.items():
        sums[column[at]] += more
    return max(sums, key=lambda value: (sums[value], value))
