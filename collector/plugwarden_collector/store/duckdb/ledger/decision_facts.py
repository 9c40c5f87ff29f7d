"""What decisions rest on, in the database: packed, once for all decisions of a tick, and bounded in all."""

from __future__ import annotations

import logging

import duckdb

from plugwarden_collector.audit.attachment import Attachment, unpack
from plugwarden_collector.store.duckdb.statements import statement

__all__ = ["MOST_BYTES", "load_facts", "store_facts"]

MOST_BYTES = 2**30
"""All of them together; then the oldest tenth goes. A decision of the worlds in tests/scenarios takes a thousand bytes, and one of the
largest size that is kept 256 KiB (`audit.attachment`): so many that somebody provokes are 4,096, and of ordinary ones a million."""
_log = logging.getLogger(__name__)


def store_facts(connection: duckdb.DuckDBPyConnection, sequence: int, facts: Attachment) -> None:
    """Keep what an entry rests on. The caller holds the transaction."""
    values = {"sha256": facts.sha256, "sequence": sequence, "packed": facts.packed}
    connection.execute(statement("store_facts").sql, values)
    if connection.execute(statement("facts_bytes").sql).fetchall()[0][0] > MOST_BYTES:
        connection.execute(statement("trim_facts").sql, {"bytes": MOST_BYTES - MOST_BYTES // 10})


def load_facts(cursor: duckdb.DuckDBPyConnection, sha256: str) -> str | None:
    """Return what entries with this digest rest on; None where it is not kept, and nothing but an empty text where it is damaged."""
    rows = cursor.execute(statement("load_facts").sql, {"sha256": sha256}).fetchall()
    if not rows:
        return None
    try:
        return unpack(rows[0][0])
    except ValueError:
        _log.exception("what decisions rest on (%s) is damaged", sha256)
        return ""
