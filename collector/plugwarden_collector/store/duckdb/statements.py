"""Named SQL: one statement a file in `sql/<wing>/`, loaded once. A name stands in one wing only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

import duckdb

from .sql_words import written_out

__all__ = ["Statement", "all_statements", "parsed", "statement"]


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL file."""

    name: str
    """Its file name without the ending."""
    sql: str
    """Its text, comments included, with the words of the contract written out."""


@cache
def statement(name: str) -> Statement:
    """Return the statement in `sql/<wing>/<name>.sql`. Raises `KeyError` when no wing has it."""
    return Statement(name, written_out(_files()[name].read_text("utf-8")))


@cache
def _files() -> dict[str, Traversable]:
    """Return the file of every statement by its name."""
    wings = resources.files(__package__).joinpath("sql").iterdir()
    return {
        file.name.removesuffix(".sql"): file for wing in wings for file in wing.iterdir() if file.name.endswith(".sql")
    }


_parsed: dict[str, duckdb.Statement] = {}


def parsed(cursor: duckdb.DuckDBPyConnection, name: str) -> duckdb.Statement:
    """The same, parsed by whoever needs it first: to parse a short statement takes as long as to run it."""
    found = _parsed.get(name)
    if found is None:
        found = _parsed[name] = cursor.extract_statements(statement(name).sql)[0]
    return found


def all_statements() -> list[Statement]:
    """Return every statement there is, for the test that binds them all."""
    return [statement(name) for name in _files()]
