"""Rows of a statement as values, or as dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from operator import itemgetter
from typing import Any, TypeVar

import duckdb

__all__ = ["Row", "fetch_rows", "fetch_values"]

Row = dict[str, Any]
T = TypeVar("T")


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


def fetch_values(
    cursor: duckdb.DuckDBPyConnection,
    kind: type[T],
    sql: str | duckdb.Statement,
    parameters: Mapping[str, Any] | None = None,
) -> list[T]:
    """Run one statement and return a value of the dataclass `kind` for each row, its fields from the columns of their names."""
    cursor.execute(sql, dict(parameters) if parameters else None)
    places = {column[0]: place for place, column in enumerate(cursor.description or ())}
    chosen: Callable[[Any], Any] = itemgetter(*(places[field.name] for field in fields(kind)))  # type: ignore[arg-type]
    return [kind(*chosen(row)) for row in cursor.fetchall()]
