"""What a backtest found, and where it differs from what happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from plugwarden_collector.store.happened import Happened

from .account import Account, Trouble
from .closed import Refused
from .compared import Comparison

__all__ = ["Report"]


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
    happened: Happened
    """What came of it in truth."""
    not_replayed: tuple[str, ...] = ()
    """Names of `[[alert]]` tables, as what they look at cannot be asked of a moment that has passed, and of objectives that isolate
    nothing."""

    @property
    def complete(self) -> bool:
        """Whether it came to its end."""
        return self.until >= self.end

    def as_dict(self) -> dict[str, Any]:
        """Return all of it, for JSON."""
        account, compared = self.account, Comparison(self.happened, self.until)
        troubles = [self._trouble(item, compared) for item in account.troubles]
        return {
            "from": self.since,
            "to": self.until,
            "complete": self.complete,
            "not_replayed": list(self.not_replayed),
            "until": self.end,
            "seconds_from": self.seconds_from,
            "ticks": self.looks,
            "evaluated": self.turns,
            "alerts": len(account.alerts),
            "corrections_not_applied": self.happened.corrections,
            "troubles": troubles,
            "incidents": [
                {"began": item.started_at, "ended": item.ended_at, "cause": item.cause, "plugins": list(item.plugins),
                 "summary": item.summary, "happened": compared.incident(item)} for item in account.incidents.values()
            ],
            "alerts_fired": [
                {"time": item.at, "until": item.until, "name": item.name, "slo": item.slo, "severity": item.severity,
                 "plugin": item.plugin, "version": item.version, "summary": item.summary, "told": item.told,
                 "happened": compared.alert(item)} for item in account.alerts
            ],
            "told": [
                {"time": item.at, "until": item.until, "severity": item.severity, "summary": item.summary}
                for item in account.told
            ],
            "decisions": [
                {"time": item.at, "kind": item.kind, "scope": item.scope, "reason": item.reason}
                for item in account.decisions
            ],
            **compared.left(self.since),
        }  # fmt: skip

    def _trouble(self, item: Trouble, compared: Comparison) -> dict[str, Any]:
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
            "happened": compared.trouble(item),
        }  # fmt: skip
