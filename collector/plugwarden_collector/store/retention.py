"""Keeps the file small: seconds become minutes, and what is older than its age is forgotten."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

import duckdb

from plugwarden_collector.clock import Clock

from .statements import statement
from .writer import Writer

__all__ = ["retain", "run_retention"]

EVERY_SECONDS = 60.0
SECONDS_KEPT = timedelta(hours=2)
"""Calls by the second: longer than any short window; after that, by the minute."""
RAW_KEPT = timedelta(days=7)
MINUTES_KEPT = timedelta(days=35)
"""So that a 30-day budget is always exact."""
EVENTS_KEPT = timedelta(days=400)
"""What happened, as long as the design keeps hourly rollups. The decision log is kept for ever: it is a chain."""

_log = logging.getLogger(__name__)


async def run_retention(writer: Writer, *, clock: Clock) -> None:
    """Clean up every minute, for as long as the collector runs."""
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        try:
            await asyncio.wrap_future(writer.run(lambda connection: retain(connection, clock())))
        except Exception:  # noqa: BLE001 - counted or logged, and tried again
            _log.exception("cleaning up failed; it is tried again in a minute")


def retain(connection: duckdb.DuckDBPyConnection, at: datetime) -> None:
    """One round, inside the caller's transaction: either all of it happens or nothing."""
    full_minute = (at - SECONDS_KEPT).replace(second=0, microsecond=0)
    connection.execute(statement("compact_insert").sql, {"before": full_minute})
    connection.execute(statement("compact_delete").sql, {"before": full_minute})
    for name, kept in (
        ("expire_spans", RAW_KEPT),
        ("expire_logs", RAW_KEPT),
        ("expire_points", RAW_KEPT),
        ("expire_minutes", MINUTES_KEPT),
        ("expire_slo_status", MINUTES_KEPT),
        ("expire_alert_events", EVENTS_KEPT),
        ("expire_notifications", EVENTS_KEPT),
        ("expire_changes", EVENTS_KEPT),
    ):
        connection.execute(statement(name).sql, {"before": at - kept})
    connection.execute(statement("expire_directive_sets").sql)
