"""What a backtest found, and where it differs from what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from plugwarden.contract import Scope

from plugwarden_collector.decide.quarantine import AUTOMATION
from plugwarden_collector.decide.wider import covers
from plugwarden_collector.durations import duration
from plugwarden_collector.rules.policy import Enforcement
from plugwarden_collector.store.ledger_rows import QuarantineRow

from .account import Account, Trouble
from .closed import Refused

__all__ = ["Report"]

SAME_TROUBLE = timedelta(hours=1)
"""What was isolated so long before or after is taken for an answer to the same trouble."""


@dataclass(frozen=True, slots=True)
class Report:
    """A backtest, as far as it came."""

    since: datetime
    until: datetime
    """How far it came."""
    end: datetime
    """How far it was to go."""
    seconds_from: datetime
    """Where seconds begin: what was before was decided to the minute."""
    looks: int
    turns: int
    account: Account
    refused: Mapping[str, Refused]
    happened: Sequence[QuarantineRow]
    """Scopes that were isolated in truth."""

    @property
    def complete(self) -> bool:
        """Whether it came to its end."""
        return self.until >= self.end

    def as_dict(self) -> dict[str, Any]:
        """Return all of it, for JSON."""
        account, matched = self.account, _Matched(self.happened, self.until)
        troubles = [self._trouble(item, matched) for item in account.troubles]
        return {
            "from": self.since,
            "to": self.until,
            "complete": self.complete,
            "until": self.end,
            "seconds_from": self.seconds_from,
            "ticks": self.looks,
            "evaluated": self.turns,
            "alerts": len(account.alerts),
            "troubles": troubles,
            "incidents": [
                {"began": item.started_at, "ended": item.ended_at, "cause": item.cause, "plugins": list(item.plugins),
                 "summary": item.summary} for item in account.incidents.values()
            ],
            "alerts_fired": [
                {"time": item.at, "until": item.until, "slo": item.slo, "severity": item.severity, "plugin": item.plugin,
                 "version": item.version, "summary": item.summary, "told": item.told} for item in account.alerts
            ],
            "told": [
                {"time": item.at, "until": item.until, "severity": item.severity, "summary": item.summary}
                for item in account.told
            ],
            "decisions": [
                {"time": item.at, "kind": item.kind, "scope": item.scope, "reason": item.reason}
                for item in account.decisions
            ],
            "only_happened": [
                {"time": row.started_at, "until": row.ended_at, "scope": str(_scope(row)), "actor": row.actor,
                 "reason": row.reason} for row in matched.left(self.since)
            ],
        }  # fmt: skip

    def _trouble(self, item: Trouble, matched: _Matched) -> dict[str, Any]:
        held = item.quarantine
        found = self.refused.get(held.id, Refused()) if held is not None else None
        return {
            "began": item.began_at,
            "detected": item.detected_at,
            "decided": item.decided_at,
            "kind": item.kind,
            "scope": item.scope,
            "reason": item.reason,
            "isolated": item.decided_at if held is not None else None,
            "until": held.ended_at if held is not None else None,
            "state": held.state.value if held is not None else None,
            "refused": None if found is None else {
                "calls": found.calls, "failures_avoided": found.failures, "refused_wrongly": found.good,
                "tenants": sorted(found.tenants), "hosts": sorted(found.hosts),
            },
            "happened": None if held is None else matched.beside(held.scope, item.decided_at, held.ended_at),
        }  # fmt: skip


class _Matched:
    """Which simulated isolation answers which real one."""

    def __init__(self, happened: Sequence[QuarantineRow], until: datetime) -> None:
        self._rows = [
            row
            for row in happened
            if (row.actor != AUTOMATION or row.enforcement == Enforcement.ENFORCE) and row.successor_of is None
        ]
        self._until = until
        self._used: set[str] = set()

    def beside(self, scope: Scope, at: datetime, ended_at: datetime | None) -> dict[str, Any]:
        """Return what happened in truth, beside what would have."""
        last = (ended_at or self._until) + SAME_TROUBLE
        near = [
            row
            for row in self._rows
            if row.plugin_id == scope.plugin
            and at - SAME_TROUBLE <= row.started_at <= last
            and _overlap(scope, _scope(row))
        ]
        if not near:
            return {"isolated": False, "says": "it was never isolated"}
        row = min(near, key=lambda item: abs(item.started_at - at))
        self._used.update(item.id for item in near)
        real = _scope(row)
        earlier = (row.started_at - at).total_seconds()
        when = "at the same time" if abs(earlier) < 1.0 else (
            f"{duration(abs(earlier))} {'later' if earlier > 0 else 'earlier'}"
        )  # fmt: skip
        how = "the same scope" if real == scope else f"{real}, {'wider' if covers(real, scope) else 'narrower'}"
        return {
            "isolated": True, "time": row.started_at, "until": row.ended_at, "scope": str(real), "actor": row.actor,
            "same_scope": real == scope, "later_seconds": earlier,
            "says": f"{row.actor} isolated {how}, {when}; calls refused then are not in the data",
        }  # fmt: skip

    def left(self, since: datetime) -> list[QuarantineRow]:
        """Return what was isolated in truth and answers nothing here."""
        return [row for row in self._rows if row.id not in self._used and since <= row.started_at <= self._until]


def _scope(row: QuarantineRow) -> Scope:
    return Scope(row.plugin_id, row.plugin_version, row.plugin_operation, row.instance_id, row.tenant_id)


def _overlap(one: Scope, other: Scope) -> bool:
    return covers(one, other) or covers(other, one)
