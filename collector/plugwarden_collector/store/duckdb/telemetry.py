"""The port to telemetry over one DuckDB file: its parts, put together once, with what they remember of the rollups."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from plugwarden_collector.errors import StoreError
from plugwarden_collector.store.happened import Asked, Happened
from plugwarden_collector.store.ledger_rows import AlertEventRow, IncidentRow, QuarantineRow
from plugwarden_collector.store.telemetry import Telemetry

from .calls.fleet import FleetPages
from .calls.hour_cache import ClosedHours
from .calls.judged import JudgedCalls
from .calls.pages import CallPages
from .calls.planned import PlannedCalls
from .calls.replayed import ReplayedCalls
from .calls.usual import Usual
from .database import FILE_NAME, Database
from .file.condition import StoredCondition
from .ledger.audit_log import AuditLog
from .logs import StoredLogs
from .query.stored import StoredQueries
from .retention.stored import StoredUpkeep
from .statements import statement
from .traces.search import StoredTraces
from .write.ingest import StoredIngest
from .write.writer import Writer

__all__ = ["empty_telemetry", "stored_telemetry", "telemetry_of"]


def telemetry_of(database: Database, writer: Writer, log: AuditLog | None = None) -> Telemetry:
    """Return the telemetry of an open store. What people do to it is recorded in `log`, the decision log of the same store."""
    fleet, hours, usual = FleetPages(database), ClosedHours(database), Usual(database)
    return Telemetry(
        ingest=StoredIngest(database, writer),
        judging=JudgedCalls(database, fleet, hours, usual),
        replaying=ReplayedCalls(database),
        pages=CallPages(database, fleet),
        planning=PlannedCalls(database),
        traces=StoredTraces(database, writer.traces),
        logs=StoredLogs(database),
        queries=StoredQueries(database),
        upkeep=StoredUpkeep(database, writer, hours, log),
        condition=StoredCondition(database, writer, fleet, hours, usual),
    )


@contextmanager
def stored_telemetry(folder: Path) -> Iterator[tuple[Telemetry, Callable[[datetime, Sequence[str]], Happened]]]:
    """The telemetry in a folder that no collector uses, for a block, and what came of it from a moment on; of the decisions that
    isolated nothing, it gives those of the kinds it is asked for. Raises `StoreError`, also where there is no store."""
    if not (folder / FILE_NAME).exists():
        raise StoreError(f"{folder}: there is no database here; name its folder with --data")
    with _open(folder) as (database, telemetry):
        yield telemetry, partial(_happened, database)


@contextmanager
def empty_telemetry() -> Iterator[Telemetry]:
    """The telemetry of a store of this version that holds nothing, for a block: to try statements on."""
    with TemporaryDirectory(prefix="plugwarden-empty-") as folder, _open(Path(folder)) as (_, telemetry):
        yield telemetry


@contextmanager
def _open(folder: Path) -> Iterator[tuple[Database, Telemetry]]:
    database = Database(folder)
    try:
        writer = Writer(database)
        try:
            yield database, telemetry_of(database, writer)
        finally:
            writer.close(timeout=60.0)
    finally:
        database.close()


def _happened(database: Database, since: datetime, kinds: Sequence[str]) -> Happened:
    span = {"since": since}
    return Happened(
        database.values(QuarantineRow, "happened_quarantines", span),
        database.values(Asked, "happened_asked", {**span, "kinds": list(kinds)}),
        database.values(AlertEventRow, "happened_alerts", span),
        database.values(IncidentRow, "happened_incidents", span),
        len(database.fetch(statement("load_corrections"), span)),
    )
