"""Rows that could not be counted: kept apart with the reason, so that the rest goes on and a person can have them tried again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from plugwarden_collector.store.duckdb.rows import fetch_rows
from plugwarden_collector.store.duckdb.statements import statement
from plugwarden_collector.store.upkeep import SetAside

__all__ = ["Bad", "forget_old", "keep_apart", "rows_of"]

MAX_ENTRIES = 1_000
MAX_CONTENT_BYTES = 64 * 1024 * 1024
"""Bytes of all entries; the rows of the oldest go first, and with them the chance to count them after all."""
MAX_ENTRY_BYTES = 8 * 1024 * 1024
"""A larger entry is named, and its rows are only in the raw views."""
MAX_GROUPS = 20
"""Entries that one commit may make; what is left is told together."""
KEPT = timedelta(days=35)
"""As long as calls by the minute: what is older has its place in no budget any more."""
MAX_ERROR = 500

Connection = duckdb.DuckDBPyConnection


@dataclass(frozen=True, slots=True)
class Bad:
    """Rows of one kind that failed together."""

    what: str
    """`spans`, `metric_points`, `call_seconds` or `call_minutes`."""
    rows: pa.Table
    error: str


def keep_apart(connection: Connection, bad: Iterable[Bad], batch: int, at: datetime) -> list[SetAside]:
    """Store what failed, an entry a sender and plugin; the caller holds the transaction."""
    groups: dict[tuple[str, str | None, str | None], list[Bad]] = {}
    for item in bad:
        for (service, plugin), rows in _by_sender(item.rows):
            key: tuple[str, str | None, str | None] = (item.what, service, plugin)
            if key not in groups and len(groups) >= MAX_GROUPS:
                key = (item.what, None, None)
            groups.setdefault(key, []).append(Bad(item.what, rows, item.error))
    found = []
    for (what, service, plugin), parts in groups.items():
        rows = pa.concat_tables(part.rows for part in parts)
        content = _packed(rows)
        identity = hashlib.blake2b(repr((batch, at, what, service, plugin)).encode(), digest_size=5).hexdigest()
        kept = content if len(content) <= MAX_ENTRY_BYTES else None
        entry = SetAside(
            f"b-{identity}", at, batch, what, len(rows), service, plugin, parts[0].error[:MAX_ERROR], kept is not None
        )
        connection.execute(
            statement("insert_set_aside").sql,
            {
                "id": entry.id, "time": at, "batch": batch, "what": what, "rows": len(rows), "service_name": service,
                "plugin_id": plugin, "error": entry.error, "content": kept,
            },
        )  # fmt: skip
        found.append(entry)
    return found


def forget_old(connection: Connection, at: datetime) -> int:
    """Keep the entries within their bounds; return how many went."""
    bounds = {"bytes": MAX_CONTENT_BYTES, "entries": MAX_ENTRIES, "before": at - KEPT}
    gone: int = connection.execute(statement("crowded_set_aside").sql, bounds).fetchall()[0][0]
    return gone


def rows_of(connection: Connection, identity: str) -> tuple[str, pa.Table | None] | None:
    """What the rows of an entry are, and the rows where they are kept; None: there is no such entry."""
    found = fetch_rows(connection, statement("load_set_aside").sql, {"id": identity})
    if not found:
        return None
    content = found[0]["content"]
    return found[0]["what"], None if content is None else pa.ipc.open_stream(bytes(content)).read_all()


def _by_sender(rows: pa.Table) -> list[tuple[tuple[str | None, str | None], pa.Table]]:
    keys = rows.select(["service_name", "plugin_id"]).group_by(["service_name", "plugin_id"]).aggregate([])
    if len(keys) > MAX_GROUPS:
        return [((None, None), rows)]
    return [((row["service_name"], row["plugin_id"]), rows.filter(_equal(rows, row))) for row in keys.to_pylist()]


def _equal(rows: pa.Table, row: dict[str, Any]) -> Any:
    return pc.and_(pc.equal(rows["service_name"], row["service_name"]), pc.equal(rows["plugin_id"], row["plugin_id"]))


def _packed(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
        stream.write_table(rows)
    return bytes(sink.getvalue())
