"""Pushed alerts in the table of alerts: many in one statement, for a row at a time costs 4 ms of the only writer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

import duckdb

from plugwarden_collector.decide.pushed import FiringAlert
from plugwarden_collector.store.duckdb.rows import fetch_rows
from plugwarden_collector.store.duckdb.statements import statement
from plugwarden_collector.store.ledger import PushedEnd, PushedRecord, PushedStored

__all__ = ["end_pushed", "forget_pushed", "load_firing", "load_pushed", "store_pushed"]


def store_pushed(connection: duckdb.DuckDBPyConnection, records: Sequence[PushedRecord]) -> None:
    """Keep alerts, each fingerprint once. The caller holds the transaction."""
    columns = {
        "fingerprints": [item.fingerprint for item in records],
        "names": [item.name for item in records],
        "severities": [item.severity for item in records],
        "states": [item.state for item in records],
        "plugins": [item.plugin for item in records],
        "versions": [item.version for item in records],
        "labels": [json.dumps(dict(item.labels)) for item in records],
        "summaries": [item.annotations.get("summary", "") for item in records],
        "descriptions": [item.annotations.get("description", "") for item in records],
        "started": [item.started_at for item in records],
        "resolved": [item.ended_at for item in records],
        "changed": [item.changed_at for item in records],
        "details": [json.dumps({"generator": item.generator} | _end(item)) for item in records],
    }
    connection.execute(statement("store_pushed_alerts").sql, columns)


def load_firing(cursor: duckdb.DuckDBPyConnection) -> list[FiringAlert]:
    """Return those that fire."""
    rows = fetch_rows(cursor, statement("list_pushed_firing").sql)
    return [
        FiringAlert(row["fingerprint"], json.loads(row["labels"]), row["firing_at"], row["summary"]) for row in rows
    ]


def _end(item: PushedRecord) -> dict[str, str]:
    return {} if item.ends_at is None else {"ends_at": item.ends_at.isoformat()}


def end_pushed(connection: duckdb.DuckDBPyConnection, ended: Sequence[PushedEnd], at: datetime) -> None:
    """Note that alerts are over. The caller holds the transaction."""
    columns = {"fingerprints": [item.fingerprint for item in ended], "ended": [item.at for item in ended], "at": at}
    connection.execute(statement("end_pushed_alerts").sql, columns)


def forget_pushed(connection: duckdb.DuckDBPyConnection, fingerprints: Sequence[str]) -> None:
    """Let rows go. The caller holds the transaction."""
    connection.execute(statement("forget_pushed_alerts").sql, {"fingerprints": list(fingerprints)})


def load_pushed(cursor: duckdb.DuckDBPyConnection) -> list[PushedStored]:
    """Return all that are kept."""
    rows = fetch_rows(cursor, statement("list_pushed_alerts").sql)
    return [
        PushedStored(row["fingerprint"], row["state"] == "firing", row["firing_at"], row["resolved_at"], row["ends_at"])
        for row in rows
    ]
