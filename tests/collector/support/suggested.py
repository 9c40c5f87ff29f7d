"""A suggestion in a running collector, as the automation would leave it, without waiting for something to fail."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from plugwarden.contract import QuarantineState, Scope
from plugwarden_collector.decide.acts import Acted
from plugwarden_collector.decide.changes import Changes
from plugwarden_collector.decide.identity import new_id
from plugwarden_collector.decide.quarantine import AUTOMATION, Quarantine
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.rules.policy import Enforcement

from tests.collector.conftest import Running


def suggested(collector: Running, scope: Scope, reason: str, **evidence: Any) -> str:
    """Return the id of a suggestion that was stored and told."""

    def act(now: Standing, at: datetime) -> Acted:
        item = Quarantine(
            new_id("q", scope, at), scope, QuarantineState.DEGRADED, reason, AUTOMATION, Enforcement.SUGGEST, at, at,
            evidence=evidence,
        )  # fmt: skip
        fresh = now.copy()
        fresh.quarantines[item.id] = item
        return fresh, Changes(at=at, quarantines=[item])

    return collector.collector.warden.act(act).quarantines[-1].id
