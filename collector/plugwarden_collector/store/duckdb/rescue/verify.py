"""Reads everything in a store that nobody has open: every table, every column, the write-ahead log, the decision chain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from plugwarden_collector.audit import Heads, Place, Records, read_keyring
from plugwarden_collector.audit.entries import DECISIONS, Keyring
from plugwarden_collector.errors import SettingsError, StoreError
from plugwarden_collector.store.duckdb.file.inspect import problems
from plugwarden_collector.store.duckdb.ledger.chain import chain_of
from plugwarden_collector.store.duckdb.ledger.report import report_on
from plugwarden_collector.store.duckdb.statements import statement
from plugwarden_collector.store.ledger import AuditReport

from .helper_process import Apart
from .working_copy import connect, staged

__all__ = ["Progress", "Report", "Table", "identifier", "pieces", "tables_in", "time_column", "verify"]

Progress = Callable[[str], None]
"""Called with what is being done, now and then."""
PIECE_ROWS = 2_000_000
"""Rows read in one go: seconds of work, so that a reader that hangs is noticed."""


@dataclass(frozen=True, slots=True)
class Table:
    """What was found in one table."""

    name: str
    rows: int
    """Rows that could be read."""
    problem: str | None = None
    """Why not all could be read."""
    damaged_columns: tuple[str, ...] = ()
    first_at: str | None = None
    last_at: str | None = None
    """The span of its times, where it has a time."""
    fingerprint: int = 0
    """A hash over all rows, whatever their order; equal tables have equal ones."""


@dataclass(frozen=True, slots=True)
class Report:
    """What is intact in a store."""

    path: str
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    tables: tuple[Table, ...]
    decisions: int
    chain_problem: str | None
    head: str
    """Hash of the last decision; empty when there is none."""
    chain_notes: tuple[str, ...] = ()
    """What the verification of the decision log rests on, and what it could not tell."""

    @property
    def intact(self) -> bool:
        """Whether there is nothing wrong with it at all."""
        return not self.problems and self.chain_problem is None and all(table.problem is None for table in self.tables)


def verify(path: Path, progress: Progress = lambda text: None, *, kept: bool = False) -> Report:
    """Read a store. Changes nothing; raises `StoreError` when there is none, or somebody has it open.

    With `kept` its decision log is also compared with the heads that were kept for its folder. A backup is no such store.
    """
    if not path.is_file():
        raise StoreError(f"{path}: there is no store here")
    found = problems(path)
    with staged(path) as files, Apart(said_of=(files.path, path)) as apart:
        try:
            names = apart(tables_in, str(files.path))
        except StoreError as error:
            if "another process" in str(error):
                raise
            return Report(str(path), (*found, f"cannot be opened: {error}"), files.notes, (), 0, None, "")
        tables = []
        for name in names:
            progress(name)
            tables.append(_read(apart, str(files.path), name))
        decisions, chain_problem, head, notes = 0, None, "", tuple[str, ...]()
        if "decisions" in names:
            try:
                decisions, chain_problem, head, notes = _chain(apart, str(files.path), path.parent if kept else None)
            except (StoreError, SettingsError) as error:
                chain_problem = f"the decision log cannot be read: {error}"
        return Report(str(path), tuple(found), files.notes, tuple(tables), decisions, chain_problem, head, notes)


def pieces(path: str, name: str) -> list[tuple[int, int]]:
    """Ranges of row ids that cover a table; for a helper process."""
    row = connect(path).execute(f"select max(rowid) from {identifier(name)}").fetchone()  # noqa: S608
    last = row[0] if row else None
    return [] if last is None else [(low, low + PIECE_ROWS) for low in range(0, int(last) + 1, PIECE_ROWS)]


def tables_in(path: str) -> list[str]:
    """Names of the tables; for a helper process."""
    connection = connect(path)
    row = connection.execute("select current_database()").fetchone()
    names = connection.execute(statement("list_tables").sql, {"database": row[0] if row else ""}).fetchall()
    return [str(name) for (name,) in names]


def time_column(path: str, name: str) -> str | None:
    """A table's first column that is a time; for a helper process."""
    columns = connect(path).execute(f"describe {identifier(name)}").fetchall()
    return next((str(column[0]) for column in columns if str(column[1]).startswith("TIMESTAMP")), None)


def identifier(name: str) -> str:
    """A name quoted for SQL, which cannot bind it."""
    return '"' + name.replace('"', '""') + '"'


def _read(apart: Apart, path: str, name: str) -> Table:
    table = Table(name, 0)
    try:
        column = apart(time_column, path, name)
        for low, high in apart(pieces, path, name):
            rows, fingerprint, first, last = apart(_read_piece, path, name, column, low, high)
            table = replace(
                table,
                rows=table.rows + rows,
                fingerprint=table.fingerprint ^ fingerprint,
                first_at=min(filter(None, (table.first_at, first)), default=None),
                last_at=max(filter(None, (table.last_at, last)), default=None),
            )
    except StoreError as error:
        return replace(table, problem=str(error), damaged_columns=tuple(_damaged_columns(apart, path, name)))
    return table


def _read_piece(
    path: str, name: str, column: str | None, low: int, high: int
) -> tuple[int, int, str | None, str | None]:
    time = f"min({identifier(column)})::varchar, max({identifier(column)})::varchar" if column else "null, null"
    sql = f"select count(*), bit_xor(hash(t)), {time} from {identifier(name)} t where rowid >= ? and rowid < ?"  # noqa: S608
    row = connect(path).execute(sql, [low, high]).fetchone()
    return (int(row[0]), int(row[1] or 0), row[2], row[3]) if row else (0, 0, None, None)


def _damaged_columns(apart: Apart, path: str, name: str) -> Iterator[str]:
    try:
        columns = apart(_columns, path, name)
    except StoreError:
        return
    for column in columns:
        try:
            apart(_read_column, path, name, column)
        except StoreError:
            yield column


def _columns(path: str, name: str) -> list[str]:
    return [str(column[0]) for column in connect(path).execute(f"describe {identifier(name)}").fetchall()]


def _read_column(path: str, name: str, column: str) -> Any:
    return connect(path).execute(f"select bit_xor(hash({identifier(column)})) from {identifier(name)}").fetchone()  # noqa: S608


def _chain(apart: Apart, path: str, folder: Path | None) -> tuple[int, str | None, str, tuple[str, ...]]:
    place = Place.of()
    keyring = read_keyring(place.key, make=False)
    kept = None if folder is None else Records(place.heads).load(apart(_chain_in, path), folder.resolve())
    report = apart(_check_chain, path, keyring, kept)
    verdict = report.verdicts[DECISIONS]
    problems = list(report.problems)
    notes = list(report.notes)
    if folder is None:
        # A backup is read where it lies, often on a machine that has no key: that is said, and is no fault of the backup.
        unsure = [text for text in problems if "which is not in the key file" in text]
        problems = [text for text in problems if text not in unsure]
        notes += unsure
    return verdict.count, "; ".join(problems) or None, verdict.head_hash if verdict.count else "", tuple(notes)


def _chain_in(path: str) -> str:
    return chain_of(connect(path))


def _check_chain(path: str, keyring: Keyring, kept: Heads | None) -> AuditReport:
    return report_on(connect(path), keyring, kept)
