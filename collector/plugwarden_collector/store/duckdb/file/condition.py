"""How the store is and what it takes; see `store.telemetry.Condition`."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping
from datetime import datetime

from plugwarden_collector.errors import StoreError
from plugwarden_collector.store.duckdb.calls.fleet import FleetPages
from plugwarden_collector.store.duckdb.calls.hour_cache import ClosedHours
from plugwarden_collector.store.duckdb.calls.usual import Usual
from plugwarden_collector.store.duckdb.database import Database
from plugwarden_collector.store.duckdb.names.told_apart import MAX_NAMES
from plugwarden_collector.store.duckdb.names.words import MAX_WORDS
from plugwarden_collector.store.duckdb.statements import statement
from plugwarden_collector.store.duckdb.write.writer import Writer
from plugwarden_collector.store.upkeep import Capabilities, CrowdedWord, Health, LogFolding, Names, Size

__all__ = ["StoredCondition"]

_log = logging.getLogger(__name__)


class StoredCondition:
    """Asked from any thread."""

    def __init__(self, database: Database, writer: Writer, pages: FleetPages, hours: ClosedHours, usual: Usual) -> None:
        self._database, self._writer, self._pages, self._hours, self._usual = database, writer, pages, hours, usual

    @property
    def can(self) -> Capabilities:
        """What this engine can do: error types and downstreams are words of two kinds."""
        return Capabilities(names=MAX_NAMES, words=2 * MAX_WORDS, entry_with_act=True)

    def health(self) -> Health:
        """Return how the writer is, without waiting for it."""
        writer, stats, folded = self._writer, self._writer.stats, self._database.checkpoints.stats
        return Health(
            writing=writer.alive,
            warmed=writer.warmed,
            queued_requests=writer.queued_requests,
            queued_bytes=writer.queued_bytes,
            queue_bound_bytes=writer.queue_bound_bytes,
            commits=stats.commits,
            commit_seconds_last=stats.commit_seconds_last,
            commit_times=stats.commit_times,
            duplicates=stats.duplicates,
            failed_requests=stats.failed_requests,
            stored_rows={name.removeprefix("incoming_"): count for name, count in dict(stats.rows).items()},
            uncounted_rows=stats.uncounted_rows,
            counting_lag_seconds=max(0.0, time.monotonic() - stats.uncounted_since) if stats.uncounted_rows else 0.0,
            set_aside_rows=writer.counting.set_aside_rows,
            set_aside_let_go=writer.counting.let_go,
            folding=LogFolding(folded.done, folded.put_off, folded.times),
        )

    def size(self) -> Size:
        """Return what the file and its write-ahead log take. Of the file the engine tells in blocks, as of the last checkpoint."""
        database, log = self._database, self._database.checkpoints.log_bytes()
        used = free = disk_free = disk_total = None
        try:
            row = database.fetch(statement("database_size"))[0]
            block = int(row["block_size"])
            used, free = int(row["used_blocks"]) * block + log, int(row["free_blocks"]) * block
        except StoreError as error:  # the rest is still worth telling
            _log.warning("the database does not say how large it is: %s", error)
        try:
            disk = shutil.disk_usage(database.path.parent)
            disk_free, disk_total = disk.free, disk.total
        except OSError:
            pass  # whoever asks is told that it is not known
        return Size(database.size_bytes() - log, log, used, free, disk_free, disk_total)

    def rows(self) -> Mapping[str, int]:
        """Return table -> rows."""
        return {row["name"]: row["rows"] for row in self._database.fetch(statement("storage"))}

    def memory_bytes(self) -> Mapping[str, int]:
        """Return what is kept in memory beside the engine's own."""
        return {
            "trace_index": self._writer.traces.memory_bytes(),
            "call_memory": self._pages.memory.memory_bytes(),
            "closed_hours": self._hours.memory_bytes() + self._usual.memory_bytes(),
        }

    def names(self, since: datetime) -> Names:
        """Return names and words that are told apart, and who has more."""
        fetch, lately = self._database.fetch, {"since": since}
        names, words = fetch(statement("count_names"))[0], fetch(statement("count_words"))[0]
        return Names(
            int(names["names"]),
            int(names["calls_beyond"]),
            [row["service_name"] for row in fetch(statement("list_names_beyond"), lately)],
            int(words["words"]),
            int(words["calls_beyond"]),
            [
                CrowdedWord(row["kind"], row["plugin_id"], row["service_name"])
                for row in fetch(statement("list_words_beyond"), lately)
            ],
            [row["service_name"] for row in fetch(statement("list_shared_starts"), lately)],
        )

    def newest_at(self) -> datetime | None:
        """Return the time of the newest counted call."""
        found: datetime | None = self._database.fetch(statement("freshness"))[0]["newest"]
        return found

    def oldest_at(self) -> datetime | None:
        """Return the time of the oldest counted call."""
        found: datetime | None = self._database.fetch(statement("oldest_call"))[0]["oldest"]
        return found
