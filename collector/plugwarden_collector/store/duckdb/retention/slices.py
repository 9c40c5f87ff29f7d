"""Keeps the file small: what is older than its age, or more than there is room for, is let go, slice by slice.

Each slice is one short turn of the writer, so that ingest goes on in between. What is let go can be kept as Parquet files
(see archive).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from plugwarden_collector.errors import StoreError
from plugwarden_collector.store.duckdb.calls.resolutions import Tiers
from plugwarden_collector.store.duckdb.database import Database
from plugwarden_collector.store.duckdb.rows import fetch_rows
from plugwarden_collector.store.duckdb.statements import statement
from plugwarden_collector.store.duckdb.write.writer import Work, Writer
from plugwarden_collector.store.upkeep import SECONDS_KEPT, Keep, Refused

from .archive import archive_slice
from .bounds import Aged, refused

__all__ = ["RAW_TABLES", "Keep", "RetentionStats", "clean_up", "retain"]

MAX_SECOND_ROWS = 2_000_000
"""More rows by the second than that are let go earlier, the oldest first: queries over them would get slow."""
WAITS_KEPT = SECONDS_KEPT
SERIES_KEPT = timedelta(days=1)
EVENTS_KEPT = timedelta(days=400)
"""What happened, as long as hour rollups are kept. The decision log is kept for ever: it is a chain."""
SLICE = timedelta(hours=1)
QUIET = timedelta(hours=6)
"""Ages are counted from now, but from no later than this after the newest data: while nothing comes in nothing gets old, and a clock
that is far ahead takes nothing that a few quiet hours would not have."""

RAW_TABLES = {"spans": "started_at", "logs": "time", "metric_points": "time"}
"""View of the raw rows -> its column of time."""
_EXPIRE = {"spans": "expire_spans", "logs": "expire_logs", "metric_points": "expire_points"}

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class RetentionStats:
    """What was let go since the start, for our own metrics."""

    rounds: int = 0
    failures: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    """View -> rows let go."""
    refused: dict[str, Refused] = field(default_factory=dict)
    """View -> what the last round did not let go, because it was too much at once."""
    allowed: dict[str, datetime] = field(default_factory=dict)
    """View -> up to when a person allowed it, for the next round."""
    early: int = 0
    """Rounds in which raw rows had to go before their age for want of room."""


def clean_up(database: Database, writer: Writer, keep: Keep, stats: RetentionStats, at: datetime) -> None:
    """One round, in the caller's thread."""
    writer.roll_up(at).result()  # what is not counted yet must not go
    newest = database.fetch(statement("newest_data"))[0]["newest"]
    # Whichever deletes less: a clock that runs ahead makes nothing old, nor does a sender's.
    at = at if newest is None else min(at, newest + QUIET)
    _look_at_shares(database, keep, stats, at)
    steps: list[Callable[[], object]] = [lambda: _rollups_and_events(database, writer, keep, stats, at)]
    steps += [partial(_raw_by_age, database, writer, keep, stats, view, at) for view in RAW_TABLES]
    steps.append(lambda: _make_room(database, writer, keep, stats))
    if keep.archive is not None:
        steps += [partial(_archived, database, writer, keep, stats, view, at) for view in _ages(keep)]
    steps.append(lambda: _read_texts(writer))  # last: nothing else waits for it
    first: Exception | None = None
    for step in steps:  # one view that cannot be let go, or archived, must not keep the others
        try:
            step()
        except Exception as error:  # noqa: BLE001 - the first is raised when all had their turn
            first = first or error
    if first is not None:
        raise first


def _look_at_shares(database: Database, keep: Keep, stats: RetentionStats, at: datetime) -> None:
    before = {"raw": at - keep.raw, "minutes": at - keep.minutes, "hours": at - keep.hours, "events": at - EVENTS_KEPT}
    before = {name: _full_hour(moment) for name, moment in before.items()}
    of_view = {
        "call_minutes": "minutes",
        "call_hours": "hours",
        "slo_status": "minutes",
        "plugin_budgets": "minutes",
        **dict.fromkeys(RAW_TABLES, "raw"),
    }
    aged = {
        row["view"]: Aged(row["old"], row["total"], before[of_view.get(row["view"], "events")])
        for row in database.fetch(statement("aged_rows"), before)
    }
    found = refused(aged, keep.max_share_ratio, stats.allowed)
    for view in found.keys() - stats.refused.keys():
        _log.warning(
            "%d rows of %s (%.0f %%) are older than they are kept; so much does not go without a person: `plugwarden retention`",
            found[view].rows, view, 100 * found[view].share_ratio,
        )  # fmt: skip
    stats.refused, stats.allowed = found, {}


def _raw_by_age(database: Database, writer: Writer, keep: Keep, stats: RetentionStats, view: str, at: datetime) -> None:
    if view not in stats.refused:
        _let_go_raw(database, writer, keep, stats, view, _full_hour(at - keep.raw))


def _archived(database: Database, writer: Writer, keep: Keep, stats: RetentionStats, view: str, at: datetime) -> None:
    if view in stats.refused or keep.archive is None:
        return
    done = writer.run(_archive_and_delete(database, keep.archive, view, _full_hour(at - _ages(keep)[view])))
    stats.rows[view] = stats.rows.get(view, 0) + done.result()


def _rollups_and_events(database: Database, writer: Writer, keep: Keep, stats: RetentionStats, at: datetime) -> None:
    """Before the archive, which may fail for days: seconds must not pile up meanwhile."""

    def take(tiers: Tiers) -> None:
        database.tiers = tiers

    kept = frozenset(stats.refused)
    writer.run(lambda connection: retain(connection, database.tiers, at, keep, kept), take).result()


def _read_texts(writer: Writer) -> None:
    """Index the texts of blocks that an earlier version closed without, a block a turn of the writer."""
    for run in writer.traces.unread():
        try:
            writer.run(partial(writer.traces.read_texts, run=run), writer.traces.take_texts).result()
        except StoreError:
            _log.exception("the texts of a block could not be indexed; a search looks into it until the next start")
            writer.traces.give_up_texts(run)


def _make_room(database: Database, writer: Writer, keep: Keep, stats: RetentionStats) -> None:
    """Let the oldest raw rows go early when the file is too large. Room is known after a checkpoint only: without one, rows
    that went already would pass for rows that are there."""
    if not keep.max_bytes or database.used_bytes() <= keep.max_bytes or not writer.checkpoint().result():
        return
    used = database.used_bytes()
    if used <= keep.max_bytes:
        return
    stats.early += 1
    _log.warning("%d bytes are in use, %d are allowed: the oldest raw rows are let go early", used, keep.max_bytes)
    for view, before in _early(database, share=1 - 0.95 * keep.max_bytes / used).items():
        _let_go_raw(database, writer, keep, stats, view, before)
    writer.checkpoint().result()


def _full_hour(at: datetime) -> datetime:
    """Rows go by the hour: a file an hour in the archive, and few deletions. Half of an hour's minutes would also pass for all of
    them when late calls make it be packed again."""
    return at.replace(minute=0, second=0, microsecond=0)


def retain(
    connection: duckdb.DuckDBPyConnection, tiers: Tiers, at: datetime, keep: Keep, kept: frozenset[str] = frozenset()
) -> Tiers:
    """Rollups and what happened: inside the caller's transaction, either all of it happens or nothing. `kept`: views to leave alone."""
    # On a full minute: where seconds end minutes begin, and none may be in both.
    before = min(max(at - SECONDS_KEPT, _crowded_before(connection)), tiers.minutes).replace(second=0, microsecond=0)
    # First the mark moves, and a round later the rows go: a reader that took the old mark still finds them.
    connection.execute(statement("forget_seconds").sql, {"before": tiers.seconds})
    if before > tiers.seconds:
        connection.execute(statement("advance_progress").sql, {"name": "seconds", "batch": None, "time": before})
        tiers = replace(tiers, seconds=before)
    if keep.archive is None:  # else they went when they were in the archive, and not a moment earlier
        for view, age in _ages(keep).items():
            if view not in kept:
                connection.execute(_expire(view), {"before": _full_hour(at - age)})
    # None of these is history: what they hold follows from rows that are archived or kept for ever (docs/how-to/keep.md).
    for name, age in (
        ("expire_wait_minutes", keep.minutes),
        ("expire_limit_minutes", keep.minutes),
        ("expire_cumulative_streams", SERIES_KEPT),
        ("expire_slo_status", keep.minutes),
        ("expire_plugin_budgets", keep.minutes),
    ):
        if name.removeprefix("expire_") not in kept:
            connection.execute(statement(name).sql, {"before": at - age})
    # Those of minutes that are not complete are nowhere else.
    connection.execute(statement("expire_waits").sql, {"before": min(at - WAITS_KEPT, tiers.minutes)})
    connection.execute(statement("expire_directive_sets").sql)
    return tiers


def _ages(keep: Keep) -> dict[str, timedelta]:
    """View that is not raw, and is archived -> how long its rows are kept."""
    events = dict.fromkeys(("alert_events", "notifications", "changes"), EVENTS_KEPT)
    return {"call_minutes": keep.minutes, "call_hours": keep.hours, **events}


def _expire(view: str) -> str:
    return statement(f"expire_{view.removeprefix('call_')}").sql


def _crowded_before(connection: duckdb.DuckDBPyConnection) -> datetime:
    """The moment before which seconds are too many to keep."""
    rows = 0
    for slot in fetch_rows(connection, statement("second_slots").sql):
        rows += slot["rows"]
        if rows > MAX_SECOND_ROWS:
            return slot["minute"] + timedelta(minutes=1)  # type: ignore[no-any-return]
    return datetime(1970, 1, 1)


def _let_go_raw(
    database: Database, writer: Writer, keep: Keep, stats: RetentionStats, view: str, before: datetime
) -> None:
    while True:
        oldest = database.fetch(statement(f"oldest_{view}"))[0]["oldest"]
        if oldest is None or oldest >= before:
            return
        until = min(before, oldest.replace(minute=0, second=0, microsecond=0) + SLICE)
        # Rows that arrive while the slice is archived, or are not counted yet, are left for the next round.
        batch = database.tiers.rolled
        if keep.archive is not None:
            archive_slice(database, keep.archive, view, until, batch)
        slice_ = {"before": until, "batch": batch}
        deleted = writer.run(_delete(_EXPIRE[view], slice_)).result()
        if not deleted:
            return  # what is left came in after the round began
        stats.rows[view] = stats.rows.get(view, 0) + deleted
        if view == "spans":
            writer.run(lambda connection: writer.traces.expire(connection)).result()


def _delete(name: str, parameters: dict[str, Any]) -> Any:
    def work(connection: duckdb.DuckDBPyConnection) -> int:
        deleted: int = connection.execute(statement(name).sql, parameters).fetchall()[0][0]
        return deleted

    return work


def _early(database: Database, share: float) -> dict[str, datetime]:
    """Per view, the time before which about `share` of all raw rows lie."""
    slots = database.fetch(statement("raw_slots"))
    total, gone = sum(slot["rows"] for slot in slots), 0
    before: dict[str, datetime] = {}
    for slot in slots:
        if gone >= share * total:
            break
        gone += slot["rows"]
        before[slot["view"]] = slot["hour"] + SLICE
    return before


def _archive_and_delete(database: Database, folder: Path, view: str, before: datetime) -> Work:
    """Archive and delete in one turn of the writer, so that no late row comes in between."""

    def work(connection: duckdb.DuckDBPyConnection) -> int:
        rows = archive_slice(database, folder, view, before, None)
        connection.execute(_expire(view), {"before": before})
        return rows

    return work
