"""What people and the clock do to stored rows; see `store.telemetry.Upkeep`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import duckdb

from plugwarden_collector.audit import Head
from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.errors import NotFoundError
from plugwarden_collector.store.duckdb.calls.hour_cache import ClosedHours
from plugwarden_collector.store.duckdb.database import Database
from plugwarden_collector.store.duckdb.ledger.audit_log import AuditLog
from plugwarden_collector.store.duckdb.statements import statement
from plugwarden_collector.store.duckdb.write.writer import Work, Writer
from plugwarden_collector.store.upkeep import Keep, Refused, Retained, SetAside

from .slices import RetentionStats, clean_up

__all__ = ["StoredUpkeep"]

WAIT_SECONDS = 60.0
"""Seconds that a person waits for the writer."""
LEEWAY = timedelta(hours=1)
"""What the next round may have moved on by; a clock that steps meanwhile takes no more than that."""


class StoredUpkeep:
    """Asked from any thread; waits for the writer."""

    def __init__(self, database: Database, writer: Writer, hours: ClosedHours, log: AuditLog | None) -> None:
        """`log`: the decision log; without one, what people do is not recorded, as in a replay."""
        self._database, self._writer, self._hours, self._log = database, writer, hours, log
        self._stats = RetentionStats()

    def retain(self, keep: Keep, at: datetime) -> None:
        """Let go of what is too old or too much: one round."""
        try:
            clean_up(self._database, self._writer, keep, self._stats, at)
        except BaseException:
            self._stats.failures += 1
            raise
        finally:
            self._hours.forget_before(at - keep.hours)
        self._stats.rounds += 1

    def retained(self) -> Retained:
        """Return what rounds have done."""
        stats = self._stats
        return Retained(stats.rounds, stats.failures, stats.early, dict(stats.rows), dict(stats.refused))

    def allow(self, waiting: Mapping[str, Refused], entry: Draft) -> None:
        """Let the next round take what waits, and record it."""
        if self._log is not None:
            self._log.append([entry]).result(WAIT_SECONDS)
        self._stats.allowed = {view: item.before + LEEWAY for view, item in waiting.items()}

    def set_aside(self) -> list[SetAside]:
        """Return what could not be counted."""
        return self._database.values(SetAside, "list_set_aside")

    def count_again(self, identity: str, at: datetime, entry: Draft) -> None:
        """Count what was set aside, and record it, in one transaction."""
        self._advance(self._writer.count_again(identity, at, self._sealed(entry)).result(WAIT_SECONDS))

    def give_up(self, identity: str, entry: Draft) -> None:
        """Forget what was set aside, and record it, in one transaction."""
        sealed = self._sealed(entry)

        def work(connection: duckdb.DuckDBPyConnection) -> Any:
            if not connection.execute(statement("delete_set_aside").sql, {"id": identity}).fetchall()[0][0]:
                raise NotFoundError(f"nothing is set aside as {identity!r}")
            return sealed(connection)

        self._advance(self._writer.run(work).result(WAIT_SECONDS))

    def _sealed(self, entry: Draft) -> Work:
        log = self._log
        return lambda connection: {} if log is None else log.within(connection, [entry])

    def _advance(self, heads: Mapping[str, Head]) -> None:
        if self._log is not None:
            self._log.advance(heads)
