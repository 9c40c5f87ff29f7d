"""Replays stored calls through a rules file: the live code, on past data, with time as an argument."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from plugwarden_collector.clock import utc_now
from plugwarden_collector.cycle import evaluate
from plugwarden_collector.decide.alert import AlertState
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.errors import StoreError
from plugwarden_collector.rules.file import Rules, seconds
from plugwarden_collector.store import stored_telemetry

from .observe import StoredEvidence, observe

__all__ = ["backtest"]

MAX_TICKS = 200_000


def backtest(data: Path, rules: Rules, *, since: str | None = None, step_seconds: float = 1.0) -> dict[str, Any]:
    """What the rules would have decided on the data in a folder. Writes nothing but the counts that views show.

    Calls that the live quarantine prevented are not in the data, so decisions after the first one on a plugin tell what
    would have been decided then, not how the plugin would have gone on.
    """
    with stored_telemetry(data) as telemetry:
        telemetry.ingest.catch_up(
            utc_now()
        ).result()  # a collector that was killed, or had just begun, left some uncounted
        start, newest = telemetry.condition.oldest_at(), telemetry.condition.newest_at()
        if start is None or newest is None:
            raise StoreError(f"{data}: no plugin call is stored")
        end = newest + timedelta(seconds=5)
        if since is not None:
            start = max(start, end - timedelta(seconds=seconds(since)))
        if (end - start).total_seconds() / step_seconds > MAX_TICKS:
            raise StoreError(f"more than {MAX_TICKS} turns; begin later with --since, or take a larger --step")
        standing, evidence = Standing(), StoredEvidence(telemetry, lambda: rules, timedelta(0))
        decisions: list[dict[str, Any]] = []
        alerts = ticks = 0
        at = start
        while at <= end:
            seen = observe(telemetry.judging, rules, at, since=start, budgets=False, skew=timedelta(0))
            standing, changes = evaluate(rules, standing, seen, evidence, lambda: 0.0)
            alerts += sum(1 for event in changes.alert_events if event.after is AlertState.FIRING)
            decisions += [
                {"time": item.at, "kind": item.kind, "scope": item.scope, "reason": item.reason}
                for item in changes.decisions
            ]
            ticks += 1
            at += timedelta(seconds=step_seconds)
        return {"from": start, "to": end, "ticks": ticks, "alerts": alerts, "decisions": decisions}
