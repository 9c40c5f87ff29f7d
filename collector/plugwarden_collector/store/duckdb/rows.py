"""Rows of a statement as dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb

__all__ = ["Row", "fetch_rows"]

Row = dict[str, Any]


def fetch_rows(
    cursor: duckdb.DuckDBPyConnection,
    sql: str | duckdb.Statement,
    parameters: Mapping[str, Any] | None = None,
    most: int | None = None,
) -> list[Row]:
    """Run one statement and answer its rows as dictionaries, `most` of them at most."""
    cursor.execute(sql, dict(parameters) if parameters else None)
    names = [column[0] for column in cursor.description or ()]
    return [
        dict(zip(names, row, strict=True)) for row in (cursor.fetchall() if most is None else cursor.fetchmany(most))
    ]
