"""Which of what a replay found answers what happened in truth, and what of that it did not find."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from plugwarden.contract import Scope

from plugwarden_collector.decide.quarantine import AUTOMATION, Quarantine
from plugwarden_collector.decide.standing import Incident
from plugwarden_collector.decide.wider import covers
from plugwarden_collector.durations import duration
from plugwarden_collector.figures import counted
from plugwarden_collector.rules.policy import Enforcement
from plugwarden_collector.store.happened import Happened
from plugwarden_collector.store.ledger_rows import QuarantineRow

from .account import Alert, Trouble, is_about

__all__ = ["SAME_TROUBLE", "Comparison"]

SAME_TROUBLE = timedelta(hours=1)
"""What was decided or told so long before or after is taken for an answer to the same trouble."""
ASKED_IN_TRUTH = {
    "suggested": "was suggested to a person",
    "warned": "was told, and it would have been isolated",
    "prevented": "was left to a person",
    "would_quarantine": "was noted and nothing was done",
}


class _Begun(Protocol):
    """What began at some time."""

    @property
    def time(self) -> datetime: ...


B = TypeVar("B", bound=_Begun)


class Comparison:
    """Remembers what of the truth was found: each answers one thing here, but for isolations, of which one may answer several."""

    def __init__(self, happened: Happened, until: datetime) -> None:
        self._isolated = [
            row
            for row in happened.quarantines
            if (row.actor != AUTOMATION or row.enforcement == Enforcement.ENFORCE) and row.successor_of is None
        ]
        self._asked, self._alerts, self._incidents = happened.asked, happened.alerts, happened.incidents
        self._until = until
        self._used: set[int] = set()
        """By `id` of the row."""

    def trouble(self, item: Trouble) -> dict[str, Any]:
        """Return what was done about a trouble in truth."""
        found = self._isolation(item)
        if found is not None:
            return found
        near = [row for row in self._asked if is_about(row.scope, item.plugin)]
        asked = self._nearest(near, item.decided_at)
        if asked is None:
            return {"isolated": False, "says": "it was never isolated"}
        # What was asked of the same plugin meanwhile is the same trouble, in other words or another scope.
        self._used.update(id(row) for row in near if abs(row.time - item.decided_at) <= SAME_TROUBLE)
        later = (asked.time - item.decided_at).total_seconds()
        where = "" if asked.scope == item.scope else f" for {asked.scope}"
        return {
            "isolated": False, "decided": asked.kind, "time": asked.time, "scope": asked.scope, "later_seconds": later,
            "says": f"it {ASKED_IN_TRUTH[asked.kind]}{where}, {_when(later)}",
        }  # fmt: skip

    def alert(self, item: Alert) -> dict[str, Any]:
        """Return whether an alert fired in truth as well: what fired for one version answers what is about all of them, for earlier
        versions of the collector had tickets by version."""
        same = (item.name, item.severity, item.plugin)
        row = self._nearest(
            (
                row for row in self._alerts
                if (row.name, row.severity, row.plugin_id) == same and item.version in {None, row.plugin_version}
                and id(row) not in self._used
            ),
            item.at,
        )  # fmt: skip
        if row is None:
            return {"fired": False}
        self._used.add(id(row))
        return {"fired": True, "time": row.time, "later_seconds": (row.time - item.at).total_seconds()}

    def incident(self, item: Incident) -> dict[str, Any]:
        """Return whether a shared cause was found in truth as well."""
        same = [row for row in self._incidents if row.cause == item.cause and id(row) not in self._used]
        row = min(same, key=lambda row: abs(row.started_at - item.started_at), default=None)
        if row is None or abs(row.started_at - item.started_at) > SAME_TROUBLE:
            return {"found": False}
        self._used.add(id(row))
        later = (row.started_at - item.started_at).total_seconds()
        return {"found": True, "time": row.started_at, "later_seconds": later}

    def left(self, since: datetime) -> dict[str, list[dict[str, Any]]]:
        """Return what happened in truth and answers nothing here; asked last."""

        def mine(row: object, at: datetime) -> bool:
            return id(row) not in self._used and since <= at <= self._until

        isolated = [
            {"time": row.started_at, "until": row.ended_at, "kind": "quarantined", "scope": str(_scope(row)), "actor": row.actor,
             "reason": row.reason} for row in self._isolated if mine(row, row.started_at)
        ]  # fmt: skip
        asked = [
            {"time": row.time, "until": None, "kind": row.kind, "scope": row.scope, "actor": row.actor, "reason": row.reason}
            for row in self._asked if mine(row, row.time)
        ]  # fmt: skip
        return {
            "only_happened": sorted([*isolated, *asked], key=lambda item: item["time"]),
            "only_happened_alerts": [
                {"time": row.time, "name": row.name, "severity": row.severity, "plugin": row.plugin_id, "version": row.plugin_version,
                 "reason": row.reason} for row in self._alerts if mine(row, row.time)
            ],
            "only_happened_incidents": [
                {"time": row.started_at, "until": row.ended_at, "cause": row.cause, "plugins": row.plugins, "summary": row.summary}
                for row in self._incidents if mine(row, row.started_at)
            ],
        }  # fmt: skip

    def _isolation(self, item: Trouble) -> dict[str, Any] | None:
        held, at = item.quarantine, item.decided_at
        last = at if held is None else held.ended_at or self._until
        near = [
            row
            for row in self._isolated
            if row.plugin_id == item.plugin
            and at - SAME_TROUBLE <= row.started_at <= last + SAME_TROUBLE
            and (held is None or _overlap(held.scope, _scope(row)))
        ]
        if not near:
            return None
        row = min(near, key=lambda item: abs(item.started_at - at))
        self._used.update(id(item) for item in near)
        real = _scope(row)
        later = (row.started_at - at).total_seconds()
        says = f"{row.actor} isolated {_named(item, real)}, {_when(later)}"
        if held is not None:
            says += f", and {_ended(held, row, self._until)}"
        return {
            "isolated": True, "time": row.started_at, "until": row.ended_at, "scope": str(real), "actor": row.actor,
            "same_scope": str(real) == item.scope, "later_seconds": later, "repeats": row.repeats,
            "says": f"{says}; calls refused then are not in the data",
        }  # fmt: skip

    @staticmethod
    def _nearest(rows: Iterable[B], at: datetime) -> B | None:
        found = min(rows, key=lambda row: abs(row.time - at), default=None)
        return found if found is not None and abs(found.time - at) <= SAME_TROUBLE else None


def _named(item: Trouble, real: Scope) -> str:
    """Return what was isolated in truth, beside what the trouble was found in."""
    if str(real) == item.scope:
        return "the same scope"
    if item.quarantine is None:
        return str(real)
    return f"{real}, {'wider' if covers(real, item.quarantine.scope) else 'narrower'}"


def _ended(held: Quarantine, row: QuarantineRow, until: datetime) -> str:
    """Return how it ended in truth, beside what would have been: when it was let go, and how often it was isolated again before."""
    if row.ended_at is None or row.ended_at > until:
        found = "held it still" if held.ended_at is None else "held it still when these rules would have let it go"
    elif held.ended_at is None:
        found = "let it go, which these rules would not have"
    else:
        found = f"let it go {_when((row.ended_at - held.ended_at).total_seconds())}"
    if row.repeats != held.repeats:
        found += f" (isolated again {counted(row.repeats, 'time')}, not {held.repeats})"
    return found


def _when(later_seconds: float) -> str:
    if abs(later_seconds) < 1.0:
        return "at the same time"
    return f"{duration(abs(later_seconds))} {'later' if later_seconds > 0 else 'earlier'}"


def _scope(row: QuarantineRow) -> Scope:
    return Scope(row.plugin_id, row.plugin_version, row.plugin_operation, row.instance_id, row.tenant_id)


def _overlap(one: Scope, other: Scope) -> bool:
    return covers(one, other) or covers(other, one)
