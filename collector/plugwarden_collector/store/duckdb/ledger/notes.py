"""What was told to receivers, and what happened to the collector itself: stored in order, each kind in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import duckdb

from plugwarden_collector.store.duckdb.rows import fetch_rows
from plugwarden_collector.store.duckdb.statements import statement
from plugwarden_collector.store.ledger import Delivery, ToldSubject
from plugwarden_collector.store.ledger_rows import ConditionEvent

__all__ = ["load_told", "store_conditions", "store_deliveries"]


def store_deliveries(connection: duckdb.DuckDBPyConnection, deliveries: Sequence[Delivery]) -> None:
    """Keep attempts, in order."""
    columns = {
        "times": [item.at for item in deliveries],
        "receivers": [item.receiver for item in deliveries],
        "fingerprints": [item.fingerprint for item in deliveries],
        "statuses": [item.status for item in deliveries],
        "attempts": [item.attempt for item in deliveries],
        "errors": [item.error for item in deliveries],
        "bodies": [item.body for item in deliveries],
    }
    connection.execute(statement("store_notifications").sql, columns)


def store_conditions(connection: duckdb.DuckDBPyConnection, events: Sequence[ConditionEvent]) -> None:
    """Keep changes of state of our own conditions, in order."""
    for event in events:
        connection.execute(statement("insert_condition_event").sql, asdict(event))


def load_told(cursor: duckdb.DuckDBPyConnection) -> list[ToldSubject]:
    """Return all that a receiver was told of and not of its end."""
    rows = fetch_rows(cursor, statement("list_told").sql)
    return [ToldSubject(row["receiver"], row["time"], row["body"]) for row in rows]
