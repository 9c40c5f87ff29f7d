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
        weight=blamed.factor.score,
        since=blamed.since,
        errors=errors_by_calls(errors),
        instances=blamed.instances,
        known=suspect.known,
        sender=blamed.sender,
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
    """Return what else was near, if it means other calls: wider by a condition, narrower by one, or of one condition alone."""
    cells, chosen = suspect.cells, set(blamed.conditions)
    within = cells.meeting(blamed.conditions)
    nearby: set[tuple[Condition, ...]] = {(), *((condition,) for condition in chosen)}
    nearby.update(tuple(sorted(chosen - {condition})) for condition in chosen)
    named = {attribute for attribute, _ in chosen}
    for attribute in range(len(cells.columns)):
        anywhere = _worst(suspect, attribute, range(len(cells.total)))
        inside = None if attribute in named else _worst(suspect, attribute, within)
        nearby.update(() if anywhere is None else (((attribute, anywhere),),))
        nearby.update(() if inside is None else (tuple(sorted((*chosen, (attribute, inside)))),))
    called = {at for at in within if cells.total[at]}
    weighed = []
    for conditions in nearby:
        meeting = cells.meeting(conditions)
        if {at for at in meeting if cells.total[at]} != called:
            weighed.append(cells.table.weigh(conditions, meeting))
    weighed.sort(key=lambda factor: (-factor.score, factor.conditions))
    return tuple(
        Alternative(scope_of(suspect.plugin, item.conditions), round(item.total), round(item.bad), item.score)
        for item in weighed[:MOST_ALTERNATIVES]
    )


def _worst(suspect: Suspect, attribute: int, among: Iterable[int]) -> str | None:
    """Return the value of an attribute that has most bad calls above what is expected, if there is more than one."""
    cells, sums = suspect.cells, defaultdict[str, float](float)
    column = cells.columns[attribute]
    for at in among:
        sums[column[at]] += max(0.0, cells.bad[at] - cells.expected[at])
    return max(sums, key=lambda value: (sums[value], value)) if len(sums) > 1 else None
