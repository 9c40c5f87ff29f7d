"""What is told of a factor: its scope, its counts, and what else was considered."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from .explanation import Alternative, Fault, Scope
from .factors import Condition
from .sample import ATTRIBUTES
from .suspect import Blamed, Suspect

__all__ = ["errors_by_calls", "fault_of", "scope_of"]

MOST_ALTERNATIVES = 8


def fault_of(suspect: Suspect, blamed: Blamed, *, beside: str = "") -> Fault:
    """Return a factor as the fault of a plugin; `beside` names the shared cause that does not explain it."""
    cells = suspect.cells
    within = cells.meeting(blamed.conditions)
    errors: Counter[str] = Counter()
    for at in within:
        errors.update(cells.samples[at].errors)
    return Fault(
        scope=scope_of(suspect.plugin, blamed.conditions),
        total=cells.called(within),
        bad=round(sum(map(cells.bad.__getitem__, within))),
        expected=sum(map(cells.expected.__getitem__, within)),
        weight=blamed.factor.gain,
        since=blamed.since,
        errors=errors_by_calls(errors),
        instances=blamed.instances,
        known=suspect.known,
        beside=beside,
        alternatives=_alternatives(suspect, blamed),
    )


def scope_of(plugin: str, conditions: Iterable[Condition]) -> Scope:
    """Return conditions as the scope that they describe."""
    return Scope(plugin, **{ATTRIBUTES[attribute]: value for attribute, value in conditions})


def errors_by_calls(errors: Counter[str]) -> tuple[tuple[str, int], ...]:
    """Return types of errors with their calls, most first."""
    return tuple(sorted(errors.items(), key=lambda item: (-item[1], item[0])))


def _alternatives(suspect: Suspect, blamed: Blamed) -> tuple[Alternative, ...]:
    """Return what else was near: each condition left out or alone, and the worst value of every attribute."""
    cells, chosen = suspect.cells, set(blamed.conditions)
    excess = [(at, cells.bad[at] - cells.expected[at]) for at in range(len(cells.bad)) if cells.bad[at]]
    nearby: set[tuple[Condition, ...]] = {()}
    nearby.update(tuple(sorted(chosen - {condition})) for condition in chosen)
    nearby.update((condition,) for condition in chosen)
    for attribute, column in enumerate(cells.columns):
        sums: defaultdict[str, float] = defaultdict(float)
        for at, more in excess:
            sums[column[at]] += more
        if len(set(column)) > 1 and sums:
            nearby.add(((attribute, max(sums, key=lambda value: (sums[value], value))),))
    nearby.discard(tuple(sorted(chosen)))
    weighed = [cells.table.weigh(conditions, cells.meeting(conditions)) for conditions in nearby]
    weighed.sort(key=lambda factor: (-factor.score, factor.conditions))
    return tuple(
        Alternative(scope_of(suspect.plugin, item.conditions), round(item.total), round(item.bad), item.score)
        for item in weighed[:MOST_ALTERNATIVES]
    )
