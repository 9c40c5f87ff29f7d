"""What was told to receivers, what they are owed, and what happened to the collector itself: each kind in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import duckdb

from plugwarden_collector.store.duckdb.statements import statement
from plugwarden_collector.store.ledger import Delivery, Note, TellingGone, TellingRow
from plugwarden_collector.store.ledger_rows import ConditionEvent

__all__ = ["store_notes"]


def store_notes(connection: duckdb.DuckDBPyConnection, notes: Sequence[Note]) -> None:
    """Keep notes; of one attempt and of one telling, the later stands."""
    deliveries = [note for note in notes if isinstance(note, Delivery)]
    # What never began is written with its end: it was given up.
    fresh = {item.id: item for item in deliveries if item.finished_at is None or item.status == "given_up"}
    if fresh:
        connection.execute(statement("store_notifications").sql, _columns(list(fresh.values())))
    ended = {item.id: item for item in deliveries if item.finished_at is not None and item.status != "given_up"}
    if ended:
        connection.execute(statement("finish_notifications").sql, _results(list(ended.values())))
    last = {(note.receiver, note.fingerprint): note for note in notes if isinstance(note, TellingRow | TellingGone)}
    if kept := [note for note in last.values() if isinstance(note, TellingRow)]:
        connection.executemany(statement("store_telling").sql, [asdict(note) for note in kept])
    if gone := [note for note in last.values() if isinstance(note, TellingGone)]:
        connection.executemany(statement("forget_telling").sql, [asdict(note) for note in gone])
    for note in notes:
        if isinstance(note, ConditionEvent):
            connection.execute(statement("insert_condition_event").sql, asdict(note))


def _columns(deliveries: Sequence[Delivery]) -> dict[str, list[object]]:
    return {
        "times": [item.at for item in deliveries],
        "receivers": [item.receiver for item in deliveries],
        "fingerprints": [item.fingerprint for item in deliveries],
        "statuses": [item.status for item in deliveries],
        "attempts": [item.attempt for item in deliveries],
        "errors": [item.error for item in deliveries],
        "bodies": [item.body for item in deliveries],
        "ids": [item.id for item in deliveries],
        "ends": [item.finished_at for item in deliveries],
    }


def _results(deliveries: Sequence[Delivery]) -> dict[str, list[object]]:
    return {
        "ids": [item.id for item in deliveries],
        "statuses": [item.status for item in deliveries],
        "errors": [item.error for item in deliveries],
        "ends": [item.finished_at for item in deliveries],
    }
