"""Named SQL: one statement a file in `sql/`, loaded once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import duckdb

__all__ = ["Statement", "all_statements", "parsed", "statement"]


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL file."""

    name: str
    """Its file name without the ending."""
    sql: str
    """Its text, comments included."""


@cache
def statement(name: str) -> Statement:
    """The statement in `sql/<name>.sql`."""
    text = resources.files(__package__).joinpath("sql", f"{name}.sql").read_text("utf-8")
    return Statement(name, text)


_parsed: dict[str, duckdb.Statement] = {}


def parsed(cursor: duckdb.DuckDBPyConnection, name: str) -> duckdb.Statement:
    """The same, parsed by whoever needs it first: to parse a short statement takes as long as to run it."""
    found = _parsed.get(name)
    if found is None:
        found = _parsed[name] = cursor.extract_statements(statement(name).sql)[0]
    return found


def all_statements() -> list[Statement]:
    """Every statement there is, for the test that binds them all."""
    folder = resources.files(__package__).joinpath("sql")
    return [statement(item.name.removesuffix(".sql")) for item in folder.iterdir() if item.name.endswith(".sql")]
