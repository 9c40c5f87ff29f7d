"""Types that Arrow has no place for: DuckDB hands them over as something else, so an answer holds them as texts.

A uhugeint of 2^127 and more comes out of DuckDB 2.0 as a negative decimal, and bits as the bytes that they are kept in.
"""

from __future__ import annotations

import re

import duckdb

__all__ = ["as_told"]

_NAME = "plugwarden_answer"
_PARTS = re.compile(r"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'|\b(?:UHUGEINT|BIT)\b")
"""What is quoted names a field or a value, whatever it says."""


def as_told(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """The same rows and column names, with texts in place of what would come out as something else."""
    types = [str(item) for item in relation.types]
    if [_text_type(name) for name in types] == types:
        return relation
    columns = []
    for index, (name, item) in enumerate(zip(relation.columns, types, strict=True)):
        wanted = _text_type(item)
        value = f"c{index}" if wanted == item else f"c{index}::{wanted}"
        columns.append(f'{value} as "{name.replace(chr(34), chr(34) * 2)}"')
    names = ", ".join(f"c{index}" for index in range(len(columns)))
    told = relation.query(_NAME, f"select {', '.join(columns)} from {_NAME} as answer({names})")  # noqa: S608 - names are quoted
    assert told is not None  # noqa: S101 - a select answers rows
    return told


def _text_type(name: str) -> str:
    return _PARTS.sub(lambda found: "VARCHAR" if found.group() in ("UHUGEINT", "BIT") else found.group(), name)
