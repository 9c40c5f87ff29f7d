"""Copies what can be read of a damaged store into a new one: table by table, and around a damaged block by ranges of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import duckdb

from plugwarden_collector.audit import Place, read_keyring
from plugwarden_collector.errors import StoreError
from plugwarden_collector.private import make_folder, tighten
from plugwarden_collector.store.duckdb import engine
from plugwarden_collector.store.duckdb.database import FILE_NAME, Database
from plugwarden_collector.store.duckdb.file.inspect import is_full, problems
from plugwarden_collector.store.duckdb.ledger.report import report_on

from .helper_process import Apart
from .new_epoch import renew
from .verify import Progress, identifier, pieces, tables_in, time_column
from .working_copy import connect, staged

__all__ = ["Loss", "Rescue", "Rescued", "salvage"]

FINEST_ROWS = 64
"""Rows of the smallest range that is tried. A range that cannot be read is halved down to it; beyond, single rows would cost more time
than they are worth."""
PATIENCE = 500
"""Failed attempts per table after which ranges are halved once less, so that a ruined table takes minutes, not days."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A range of rows that could not be read."""

    first_row: int
    end_row: int
    """Row ids from `first_row` up to, not including, `end_row`."""
    rows: int
    """How many rows those are; deleted ones do not count."""
    first_at: str | None
    last_at: str | None
    """The span of their times, where those at least could be read."""


@dataclass(frozen=True, slots=True)
class Rescued:
    """What became of one table."""

    name: str
    saved: int
    losses: tuple[Loss, ...]
    problem: str | None
    """The first thing that went wrong."""
    whole: bool
    """False when it is not even known how many rows were lost."""

    @property
    def lost(self) -> int:
        """Rows that could not be read."""
        return sum(loss.rows for loss in self.losses)


@dataclass(frozen=True, slots=True)
class Rescue:
    """What became of a store."""

    problems: tuple[str, ...]
    notes: tuple[str, ...]
    lost_commits: int
    tables: tuple[Rescued, ...]
    chain_problem: str | None
    """What is wrong with the decision log as it was saved."""

    @property
    def complete(self) -> bool:
        """Whether nothing was lost after all."""
        return not self.lost_commits and all(table.whole and not table.lost for table in self.tables)


def salvage(path: Path, to: Path, *, at: datetime, actor: str, progress: Progress = lambda text: None) -> Rescue:
    """Save what can be read of a store into a new one in another folder. The damaged one is not changed.

    Raises `StoreError` when nothing can be read, when the other folder has a store, or when somebody has this one open.
    """
    if not path.is_file():
        raise StoreError(f"{path}: there is no store here")
    target = to / FILE_NAME
    if to.exists() and any(to.iterdir()):
        raise StoreError(f"{to}: is not empty; name a new folder with --to")
    found = problems(path)
    draft = to / f"{FILE_NAME}.salvaging"
    with staged(path, repair=True) as files, Apart(said_of=(files.path, path)) as apart:
        try:
            names = apart(tables_in, str(files.path))
        except StoreError as error:
            if "another process" in str(error):
                raise
            raise StoreError(
                f"{path}: nothing can be read, its catalog or its headers are lost ({error}). Restore a backup: "
                "`plugwarden restore BACKUP`"
            ) from error
        make_folder(to)
        tighten(to)
        apart(_copy_schema, str(files.path), str(draft))
        tables = tuple(_rescue(apart, str(files.path), str(draft), name, progress) for name in names)
        apart(_finish, str(files.path), str(draft))
    draft.rename(target)
    evidence = {"lost_rows": sum(table.lost for table in tables), "lost_commits": files.lost_commits}
    try:
        renew(to, at, "salvaged", f"from a damaged store, {path}", actor, evidence)
    except (StoreError, duckdb.Error) as error:
        raise StoreError(
            f"{target}: rows were saved, but not enough for a collector to start on; read it with duckdb: {error}"
        ) from error
    return Rescue(tuple(found), files.notes, files.lost_commits, tables, _chain_problem(to))


def _rescue(apart: Apart, source: str, target: str, name: str, progress: Progress) -> Rescued:
    progress(name)
    try:
        ranges = apart(pieces, source, name)
        column = apart(time_column, source, name)
    except StoreError as error:
        return Rescued(name, 0, (), str(error), whole=False)
    state = _Attempts()
    lost: list[tuple[int, int]] = []
    for low, high in ranges:
        for first, end in _copy(apart, source, target, name, low, high, state):
            if lost and lost[-1][1] == first:
                lost[-1] = (lost[-1][0], end)
            else:
                lost.append((first, end))
    losses, whole = [], True
    for first, end in lost:
        try:
            rows, first_at, last_at = apart(_look_at, source, name, column, first, end)
        except StoreError:
            rows, first_at, last_at, whole = 0, None, None, False
        losses.append(Loss(first, end, rows, first_at, last_at))
    return Rescued(name, state.saved, tuple(losses), state.problem, whole)


@dataclass(slots=True)
class _Attempts:
    saved: int = 0
    failed: int = 0
    problem: str | None = None


def _copy(
    apart: Apart, source: str, target: str, name: str, low: int, high: int, state: _Attempts
) -> Iterator[tuple[int, int]]:
    """Copy a range of rows, by halves where the whole cannot be read; yields the ranges that are lost."""
    try:
        state.saved += apart(_copy_rows, source, target, name, low, high)
        return
    except StoreError as error:
        if is_full(str(error)):
            raise StoreError(f"{target}: the disk is full; make room and salvage again into a new folder") from error
        state.failed += 1
        state.problem = state.problem or str(error)
    if high - low <= FINEST_ROWS << state.failed // PATIENCE:
        yield low, high
        return
    middle = (low + high) // 2
    yield from _copy(apart, source, target, name, low, middle, state)
    yield from _copy(apart, source, target, name, middle, high, state)


def _chain_problem(folder: Path) -> str | None:
    database = Database(folder)
    try:
        with database.reading() as cursor:
            return "; ".join(report_on(cursor, read_keyring(Place.of().key), None).problems) or None
    finally:
        database.close()


# -- in the helper process --------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _both(source: str, target: str) -> duckdb.DuckDBPyConnection:
    """A connection to the new store with the damaged one beside it."""
    connection = engine.connect(target, {"memory_limit": "1GB", "threads": 2})
    connection.execute(f"attach '{source.replace(chr(39), chr(39) * 2)}' as damaged (read_only)")
    connection.execute("set enable_external_access = false")
    return connection


def _copy_schema(source: str, target: str) -> None:
    connection = _both(source, target)
    row = connection.execute("select current_database()").fetchone()
    connection.execute(f"copy from database damaged to {identifier(row[0] if row else '')} (schema)")


def _copy_rows(source: str, target: str, name: str, low: int, high: int) -> int:
    table = identifier(name)
    sql = f"insert into {table} select * from damaged.{table} where rowid >= ? and rowid < ?"  # noqa: S608
    row = _both(source, target).execute(sql, [low, high]).fetchone()
    return int(row[0]) if row else 0


def _look_at(source: str, name: str, column: str | None, low: int, high: int) -> tuple[int, str | None, str | None]:
    where = f"from {identifier(name)} where rowid >= ? and rowid < ?"
    connection = connect(source)
    row = connection.execute(f"select count(*) {where}", [low, high]).fetchone()
    rows = int(row[0]) if row else 0
    if column is None:
        return rows, None, None
    try:
        sql = f"select min({identifier(column)})::varchar, max({identifier(column)})::varchar {where}"
        span = connection.execute(sql, [low, high]).fetchone()
    except duckdb.Error:
        return rows, None, None  # their times are lost with them
    return (rows, span[0], span[1]) if span else (rows, None, None)


def _finish(source: str, target: str) -> None:
    _both(source, target).close()
    _both.cache_clear()
    log = Path(target + ".wal")
    if log.exists():
        raise RuntimeError(f"{target}: could not be written out; is the disk full?")
