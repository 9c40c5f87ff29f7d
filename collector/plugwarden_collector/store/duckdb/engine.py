"""Opens DuckDB, always in UTC: `now()`, `current_date` and casts between zoned and plain times follow a session's time zone,
which is the machine's unless it is set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb

__all__ = ["Config", "connect"]

Config = Mapping[str, str | bool | int | float | list[str]]


def connect(
    path: Path | str = ":memory:", config: Config | None = None, *, read_only: bool = False
) -> duckdb.DuckDBPyConnection:
    """A connection whose cursors all take times as UTC; raises `duckdb.Error`."""
    connection = duckdb.connect(str(path), read_only=read_only, config=dict(config or {}))
    try:
        # Not in `config`: the setting belongs to an extension, which is there only once the database is open.
        connection.execute("set global TimeZone = 'UTC'")
    except BaseException:
        connection.close()
        raise
    return connection
