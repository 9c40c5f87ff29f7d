"""Lists of the ledger as typed rows: one named statement each, whose columns are the fields of the row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

import duckdb

from plugwarden_collector.store.duckdb.rows import Row, fetch_rows
from plugwarden_collector.store.duckdb.statements import statement
from plugwarden_collector.store.ledger_rows import AccessRow, AlertRow, DecisionRow, QuarantineRow, SaidRow

__all__ = ["list_rows"]

_PARSED: Mapping[type, tuple[str, ...]] = {
    AlertRow: ("labels", "detail"),
    QuarantineRow: ("evidence",),
    DecisionRow: ("evidence",),
    AccessRow: ("evidence",),
    SaidRow: ("evidence",),
}
"""Kind of row -> columns of JSON that are given as what they hold."""
T = TypeVar("T")


def list_rows(
    cursor: duckdb.DuckDBPyConnection, name: str, kind: type[T], parameters: Mapping[str, Any] | None = None
) -> list[T]:
    """Return the rows of a named statement. Raises `TypeError` when its columns are not the fields of `kind`."""
    parsed = _PARSED.get(kind, ())

    def made(row: Row) -> T:
        for column in parsed:
            row[column] = json.loads(row[column])
        return kind(**row)

    return [made(row) for row in fetch_rows(cursor, statement(name).sql, parameters)]
