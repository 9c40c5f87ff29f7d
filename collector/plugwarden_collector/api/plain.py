"""Rows as JSON can hold them: nothing rounded, nothing that a strict reader refuses."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from operator import attrgetter
from typing import Any

import pyarrow as pa

__all__ = ["columns", "plain", "plain_rows"]

SAFE_INTEGER = 2**53 - 1
"""Larger integers lose digits in readers that keep numbers as doubles (RFC 8259, section 6): they go as text."""
SAFE_DIGITS = 15
"""So many decimal digits pass through a double unchanged."""


def columns(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by their names, their values as they are."""
    names, values = _of_kind(value.__class__)
    return dict(zip(names, values(value), strict=True))


@cache
def _of_kind(kind: Any) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    """Return the names of a dataclass's fields, two at least, and what takes the values of all of them at once."""
    names = tuple(field.name for field in fields(kind))
    return names, attrgetter(*names)


def plain_rows(table: pa.Table) -> list[list[Any]]:
    """The rows of a table, cell by cell; column names may repeat."""
    found = [_column(table.column(index)) for index in range(table.num_columns)]
    return [list(row) for row in zip(*found, strict=True)]


def _column(column: pa.ChunkedArray) -> list[Any]:
    pairs = pa.types.is_map(column.type)
    try:
        found = column.to_pylist()
    except (ValueError, OverflowError, ArithmeticError, NotImplementedError, pa.ArrowException):
        found = [_cell(item) for item in column]  # a time that Python's calendar does not know, for one
    return [plain(dict(value) if pairs and value is not None and _hashable(value) else value) for value in found]


def _cell(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError, ArithmeticError, NotImplementedError, pa.ArrowException):
        try:
            return str(scalar.cast(pa.string()).as_py())
        except (ValueError, OverflowError, NotImplementedError, pa.ArrowException):
            return None


def _hashable(pairs: Any) -> bool:
    return isinstance(pairs, list) and all(
        isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str | int | float | bool | date | Decimal)
        for pair in pairs
    )


def plain(value: Any) -> Any:
    """One value: times as ISO 8601 (UTC with a Z), bytes as hex, NaN and infinity as null, long numbers as text."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if -SAFE_INTEGER <= value <= SAFE_INTEGER else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, datetime):
        return value.isoformat() + "Z" if value.tzinfo is None else value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, pa.MonthDayNano):
        return {"months": value.months, "days": value.days, "seconds": value.nanoseconds / 1e9}
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        if value and all(isinstance(item, tuple) and len(item) == 2 for item in value) and _hashable(value):
            return plain(dict(value))  # a map within something else
        return [plain(item) for item in value]
    return str(value)


def _decimal(value: Decimal) -> Any:
    if not value.is_finite():
        return None
    if value == value.to_integral_value() and abs(value) <= SAFE_INTEGER:
        return int(value)
    return float(value) if len(value.as_tuple().digits) <= SAFE_DIGITS else str(value)
