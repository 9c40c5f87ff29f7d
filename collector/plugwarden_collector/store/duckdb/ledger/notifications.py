"""Deliveries of notifications: the one place where they are recorded, and where a start reads what receivers were told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

from plugwarden_collector.store.duckdb.database import Database
from plugwarden_collector.store.duckdb.statements import statement

__all__ = ["load_told", "store_deliveries"]


class _Delivery(Protocol):
    @property
    def at(self) -> datetime: ...
    @property
    def receiver(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def error(self) -> str | None: ...
    @property
    def body(self) -> str: ...


def store_deliveries(deliveries: Sequence[_Delivery]) -> Callable[[Any], Any]:
    """Work for the writer: keep attempts, in order, all in one statement."""
    columns = {
        "times": [item.at for item in deliveries],
        "receivers": [item.receiver for item in deliveries],
        "fingerprints": [item.fingerprint for item in deliveries],
        "statuses": [item.status for item in deliveries],
        "attempts": [item.attempt for item in deliveries],
        "errors": [item.error for item in deliveries],
        "bodies": [item.body for item in deliveries],
    }
    return lambda connection: connection.execute(statement("store_notifications").sql, columns)


def load_told(database: Database) -> list[tuple[str, datetime, str]]:
    """(receiver, when, body) of all that a receiver was told of and not of its end."""
    rows = database.fetch(statement("list_told"))
    return [(row["receiver"], row["time"], row["body"]) for row in rows]
