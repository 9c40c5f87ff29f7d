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
from plugwarden_collector.store import Database, Writer
from plugwarden_collector.store.duckdb.database import FILE_NAME
from plugwarden_collector.store.duckdb.rows import fetch_rows

from .observe import StoredEvidence, observe

__all__ = ["backtest"]

MAX_TICKS = 200_000


def backtest(data: Path, rules: Rules, *, since: str | None = None, step_seconds: float = 1.0) -> dict[str, Any]:
    """What the rules would have decided on the data in a folder. Writes nothing but the counts that views show.

    Calls that the live quarantine prevented are not in the data, so decisions after the first one on a plugin tell what
    would have been decided then, not how the plugin would have gone on.
    """
    if not (data / FILE_NAME).exists():
        raise StoreError(f"{data}: there is no database here; name its folder with --data")
    database = Database(data)
    try:
        _catch_up(database)
        with database.reading() as cursor:
            span = fetch_rows(cursor, "select min(bucket_start) as first, max(bucket_start) as last from call_rows")[0]
        if span["first"] is None:
            raise StoreError(f"{data}: no plugin call is stored")
        start, end = span["first"], span["last"] + timedelta(seconds=5)
        if since is not None:
            start = max(start, end - timedelta(seconds=seconds(since)))
        if (end - start).total_seconds() / step_seconds > MAX_TICKS:
            raise StoreError(f"more than {MAX_TICKS} turns; begin later with --since, or take a larger --step")
        standing, evidence = Standing(), StoredEvidence(database, timedelta(0))
        decisions: list[dict[str, Any]] = []
        alerts = ticks = 0
        at = start
        while at <= end:
            seen = observe(database, rules, at, since=start, budgets=False, skew=timedelta(0))
            standing, changes = evaluate(rules, standing, seen, evidence, lambda: 0.0)
            alerts += sum(1 for event in changes.alert_events if event.after is AlertState.FIRING)
            decisions += [
                {"time": item.at, "kind": item.kind, "scope": item.scope, "reason": item.reason}
                for item in changes.decisions
            ]
            ticks += 1
            at += timedelta(seconds=step_seconds)
        return {"from": start, "to": end, "ticks": ticks, "alerts": alerts, "decisions": decisions}
    finally:
        database.close()


def _catch_up(database: Database) -> None:
    """Count the calls that were stored and not counted: a collector that was killed, or had just begun to, left some."""
    writer = Writer(database)
    try:
        writer.roll_up(utc_now()).result()
    finally:
        writer.close(timeout=60.0)
