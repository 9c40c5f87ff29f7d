"""Facts about the store, each under a key: the automation's switch, the clock's shift, the revision, what is known of the time."""

from __future__ import annotations

import json
import logging
from datetime import datetime

import duckdb

from plugwarden_collector.clock import Step, Timekeeping
from plugwarden_collector.errors import StaleError
from plugwarden_collector.store.duckdb.statements import parsed, statement
from plugwarden_collector.store.ledger import KeptTime

__all__ = [
    "EVENTS_SENT",
    "FROZEN",
    "NOTED",
    "SHIFTED",
    "WATCH",
    "advance_revision",
    "load_fact",
    "load_revision",
    "load_time",
    "store_fact",
    "store_time",
]

FROZEN, NOTED, SHIFTED, WATCH = "frozen", "noted", "clock_shifted", "watch"
EVENTS_SENT = "events_sent:"
"""Beginning of the keys under which stands how far each receiver of events has got."""
_REVISION, _CLOCK = "ledger_revision", "clock"
_log = logging.getLogger(__name__)


def load_fact(cursor: duckdb.DuckDBPyConnection, key: str) -> str | None:
    """Return what stands under a key."""
    rows = cursor.execute(statement("load_meta").sql, {"key": key}).fetchall()
    return str(rows[0][0]) if rows else None


def store_fact(connection: duckdb.DuckDBPyConnection, key: str, value: str | None) -> None:
    """Put a value under a key; None takes the key away. The caller holds the transaction."""
    if value is None:
        connection.execute(statement("forget_meta").sql, {"key": key})
    else:
        connection.execute(statement("store_meta").sql, {"key": key, "value": value})


def load_revision(cursor: duckdb.DuckDBPyConnection) -> int:
    """Return how many commits there were."""
    return int(load_fact(cursor, _REVISION) or 0)


def advance_revision(connection: duckdb.DuckDBPyConnection, expected: int) -> int:
    """Return the revision after `expected`, which is stored. Raises `StaleError` when the ledger is at another one."""
    following = expected + 1
    asked = {"key": _REVISION, "expected": str(expected), "following": str(following)}
    # One statement that is parsed already: each tick and each act pays for it.
    if not connection.execute(parsed(connection, "advance_revision"), asked).fetchall():
        found = load_revision(connection)
        if found != expected:
            raise StaleError(expected, found)
        store_fact(connection, _REVISION, str(following))  # the first commit of a store
    return following


def load_time(cursor: duckdb.DuckDBPyConnection) -> KeptTime | None:
    """Return what was known of the time when it was kept last; None where nothing readable is."""
    text = load_fact(cursor, _CLOCK)
    if text is None:
        return None
    try:
        found = json.loads(text)
        step = found["step"] and Step(found["step"][0], found["step"][1], datetime.fromisoformat(found["step"][2]))
        kept = Timekeeping(datetime.fromisoformat(found["at"]), found["steady"], step, found["adopted_seconds"])
        return KeptTime(kept, found["boot"])
    except (ValueError, KeyError, TypeError, IndexError):
        _log.exception("what was kept of the time cannot be read; it is begun anew from the wall clock")
        return None


def store_time(connection: duckdb.DuckDBPyConnection, kept: KeptTime) -> None:
    """Store what is known of the time. The caller holds the transaction."""
    now = kept.timekeeping
    step = now.step and [now.step.seconds, now.step.since, now.step.began_at.isoformat()]
    value = {
        "boot": kept.boot, "steady": now.steady, "at": now.at.isoformat(), "step": step,
        "adopted_seconds": now.adopted_seconds,
    }  # fmt: skip
    store_fact(connection, _CLOCK, json.dumps(value))
