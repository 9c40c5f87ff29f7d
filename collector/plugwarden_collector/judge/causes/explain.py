"""One search over everything that fails in the fleet: which plugins are to blame, and for how much, and what they share."""

from __future__ import annotations

from collections.abc import Iterable

from .all_but_one import all_but_one
from .explanation import Explanation, Fault
from .kinds_apart import told_apart
from .sample import Sample
from .shared import shared_causes
from .suspect import suspects_of
from .telling import fault_of

__all__ = ["explain"]


def explain(samples: Iterable[Sample], *, running: int, slow: bool = False) -> Explanation:
    """Return the fewest faults and shared causes that explain the excess of bad calls.

    `samples` are the cells since the trouble began, all cells of every plugin that something was found against; those of other
    plugins are passed over. `running` is how many plugins have traffic; `slow` says that what is bad is slowness, which tells no errors.
    One call is for one indicator: failures, or one threshold of slowness. Little needs to be found against a plugin for its samples to
    be passed: what is too weak to act on tells early that others do not fail alone. What is not worth a factor makes neither a fault
    nor a shared cause.
    """
    plugins = suspects_of(samples)
    if not plugins:
        return Explanation()
    suspects = [part for whole in plugins for part in told_apart(all_but_one(whole))]
    accounts = shared_causes(suspects, max(running, len(plugins)), slow=slow)
    faults = [fault_of(member.suspect, member.blamed) for member in accounts.alone]
    faults += [fault_of(item.member.suspect, item.member.blamed, beside=item.cause) for item in accounts.beside]
    return Explanation(tuple(sorted(_once(faults), key=_order)), tuple(accounts.causes))


def _once(faults: Iterable[Fault]) -> list[Fault]:
    """Return one fault for each scope, the heavier of two."""
    kept: dict[str, Fault] = {}
    for fault in faults:
        other = kept.get(str(fault.scope))
        if other is None or fault.weight > other.weight:
            kept[str(fault.scope)] = fault
    return list(kept.values())


def _order(fault: Fault) -> tuple[float, str]:
    return -fault.weight, str(fault.scope)
