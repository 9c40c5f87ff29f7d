"""Reads log records: the newest, those around one, or those that arrived after a place."""

from __future__ import annotations

from datetime import datetime

import duckdb

from plugwarden_collector.store.logs import LogFilter, LogLine, LogMark, LogPage

from .database import Database
from .rows import fetch_rows, fetch_values
from .statements import statement

__all__ = ["StoredLogs"]


class StoredLogs:
    """See `store.telemetry.Logs`. Asked from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, wanted: LogFilter, since: datetime, until: datetime, limit: int) -> LogPage:
        """Return the newest records, in the order of time."""
        with self._database.reading() as cursor:
            span = {"since": since, "until": until, "limit": limit}
            lines = fetch_values(cursor, LogLine, statement("newest_logs").sql, _matching(wanted) | span)
            return LogPage(lines, _end(cursor))

    def after(self, wanted: LogFilter, mark: LogMark, limit: int) -> LogPage:
        """Return the records that arrived after a place, in the order of arrival."""
        with self._database.reading() as cursor:
            asked = {"batch": mark.batch, "place": mark.place, "limit": limit}
            lines = fetch_values(cursor, LogLine, statement("logs_after").sql, _matching(wanted) | asked)
            if len(lines) == limit:
                batch, _, place = lines[-1].id.partition("-")
                return LogPage(lines, LogMark(int(batch), int(place)))
            return LogPage(lines, max(mark, _end(cursor)))

    def around(self, wanted: LogFilter, mark: LogMark, count: int) -> LogPage:
        """Return a record with as many before and after it, in the order of time; no records where it is not kept."""
        with self._database.reading() as cursor:
            asked = {"batch": mark.batch, "place": mark.place, "limit": count}
            lines = fetch_values(cursor, LogLine, statement("logs_around").sql, _matching(wanted) | asked)
            return LogPage(lines, _end(cursor))


def _matching(wanted: LogFilter) -> dict[str, object]:
    trace = wanted.trace_id
    return {
        "plugin": wanted.plugin,
        "severity": wanted.least_severity,
        "text": wanted.text,
        "hi": None if trace is None else trace >> 64,
        "lo": None if trace is None else trace & (2**64 - 1),
    }


def _end(cursor: duckdb.DuckDBPyConnection) -> LogMark:
    """Return the place of what arrived last, in the same view of the data."""
    found = fetch_rows(cursor, statement("logs_end").sql)
    return LogMark(found[0]["batch"], found[0]["place"]) if found else LogMark()
