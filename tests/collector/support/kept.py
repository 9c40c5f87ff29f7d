"""What each collector in this process would make anew, and always the same: made once, and kept from one test to the next."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from plugwarden_collector.store import Database
from plugwarden_collector.store.duckdb.engine import connect
from plugwarden_collector.store.duckdb.file import inspect
from plugwarden_collector.store.duckdb.query import stored
from plugwarden_collector.store.duckdb.query.reader.pool import close_shared_pool, shared_pool

__all__ = ["kept_readers", "kept_schema", "own_schema"]


@contextmanager
def kept_schema(folder: Path) -> Iterator[None]:
    """A new store begins as a copy of one that all migrations have made, for a fifth of a second less of processor time.

    Its identities are its own but for the one that DuckDB writes into a file and its log.
    """
    pattern: list[Path] = []

    def copied(draft: Path) -> duckdb.DuckDBPyConnection:
        if not pattern:
            pattern.append(_migrated(folder))
        shutil.copyfile(pattern[0], draft)
        connection = connect(draft)
        connection.execute("update audit_chain set id = replace(uuid()::varchar, '-', '')")
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspect, "connect", copied)
        yield


@contextmanager
def own_schema() -> Iterator[None]:
    """A new store is made by its migrations, for tests of these."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspect, "connect", connect)
        yield


@contextmanager
def kept_readers() -> Iterator[None]:
    """Reader processes that have no statement outlive their collector: starting two takes a second of processor time."""

    def close() -> None:
        pool = shared_pool()
        if pool._idle.qsize() < len(pool._all):
            close_shared_pool()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "close_shared_pool", close)
        yield
    close_shared_pool()


def _migrated(folder: Path) -> Path:
    """Return the file of an empty store, without the identity that its first start gives it."""
    with own_schema():
        database = Database(folder)
    with database.cursor() as cursor:
        cursor.execute("delete from meta where key = 'epoch'")
    database.close()
    return database.path
