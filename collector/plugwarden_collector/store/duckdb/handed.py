"""Rows handed to statements under a name, for a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

__all__ = ["handed"]


@contextmanager
def handed(connection: duckdb.DuckDBPyConnection, **tables: pa.Table) -> Iterator[None]:
    """Register tables as temporary views; they hide stored tables of the same name. For inside a transaction.

    After a failed statement DuckDB takes nothing but the rollback, which takes the views back as well: the error of a view that
    could not be dropped must not hide the statement's own.
    """
    for name, rows in tables.items():
        connection.register(name, rows)
    try:
        yield
    finally:
        for name in tables:
            try:
                connection.unregister(name)
            except duckdb.Error:
                pass  # see above
