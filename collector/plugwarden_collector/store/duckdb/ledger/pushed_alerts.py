"""Pushed alerts in the table of alerts: many in one statement, for a row at a time costs 4 ms of the only writer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from plugwarden_collector.store.duckdb.database import Database
from plugwarden_collector.store.duckdb.statements import statement

__all__ = ["Row", "Work", "end", "forget", "load", "names_of", "row", "store"]

Row = tuple[Any, ...]
"""Values for the list columns that `store_pushed_alerts` takes, in its order."""
Work = Callable[[Any], Any]
_COLUMNS = (
    "fingerprints", "names", "severities", "states", "plugins", "versions", "labels", "summaries", "descriptions", "started",
    "resolved", "changed", "details",
)  # fmt: skip


class _Pushed(Protocol):
    @property
    def fingerprint(self) -> str: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def annotations(self) -> Mapping[str, str]: ...
    @property
    def generator(self) -> str: ...
    @property
    def ends_at(self) -> datetime | None: ...


def row(item: _Pushed, firing: bool, started_at: datetime, at: datetime) -> Row:
    """A row for an alert as it was pushed."""
    labels, annotations = item.labels, item.annotations
    detail = {"generator": item.generator}
    return (
        item.fingerprint, labels.get("alertname", "unnamed"), labels.get("severity", "ticket"),
        "firing" if firing else "inactive", labels.get("plugin"), labels.get("version"), json.dumps(dict(labels)),
        annotations.get("summary", ""), annotations.get("description", ""), started_at, None if firing else item.ends_at,
        at, json.dumps(detail),
    )  # fmt: skip


def names_of(row: Row) -> dict[str, str | None]:
    """What tells an alert apart for people: name, plugin, severity and state."""
    columns = {"name": "names", "plugin": "plugins", "severity": "severities", "state": "states"}
    return {name: row[_COLUMNS.index(column)] for name, column in columns.items()}


def store(connection: Any, rows: Sequence[Row]) -> None:
    """Keep alerts, each fingerprint once. The caller holds the transaction."""
    values = dict(zip(_COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    connection.execute(statement("store_pushed_alerts").sql, values)


def end(connection: Any, ended: Iterable[tuple[str, datetime]], at: datetime) -> None:
    """Note that alerts are over: (fingerprint, when)."""
    names, moments = zip(*ended, strict=True)
    connection.execute(
        statement("end_pushed_alerts").sql, {"fingerprints": list(names), "ended": list(moments), "at": at}
    )


def forget(connection: Any, fingerprints: Iterable[str]) -> None:
    """Let rows go."""
    connection.execute(statement("forget_pushed_alerts").sql, {"fingerprints": list(fingerprints)})


def load(database: Database) -> list[tuple[str, bool, datetime, datetime | None]]:
    """(fingerprint, whether it fires, since when, when it ended) of all that are kept."""
    rows = database.fetch(statement("list_pushed_alerts"))
    return [(item["fingerprint"], item["state"] == "firing", item["firing_at"], item["resolved_at"]) for item in rows]
