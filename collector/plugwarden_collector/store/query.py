"""Read-only SQL for people and programs: one statement, no files, no settings, a time limit that interrupts."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from plugwarden_collector.errors import QueryError, QueryTimeoutError

from .database import Database

__all__ = ["MAX_ROWS", "Answer", "run_query"]

MAX_ROWS = 100_000
TIMEOUT_SECONDS = 15.0
MAX_SQL_CHARACTERS = 100_000
_READING = frozenset({duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN})


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a query."""

    table: pa.Table
    truncated: bool
    """There were more rows than the limit."""
    elapsed_ms: float


def run_query(
    database: Database,
    sql: str,
    parameters: Sequence[Any] | dict[str, Any] | None = None,
    *,
    limit: int = 10_000,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Answer:
    """Run one reading statement; raises `QueryError` or `QueryTimeoutError`."""
    if len(sql) > MAX_SQL_CHARACTERS:
        raise QueryError(f"the statement is longer than {MAX_SQL_CHARACTERS} characters")
    limit = max(1, min(limit, MAX_ROWS))
    cursor = database.cursor()
    expired = threading.Event()

    def interrupt() -> None:
        expired.set()
        cursor.interrupt()

    timer = threading.Timer(timeout_seconds, interrupt)
    timer.daemon = True
    started = time.perf_counter()
    try:
        statements = cursor.extract_statements(sql)
        if len(statements) != 1:
            raise QueryError(f"one statement at a time, please; this is {len(statements)}")
        if statements[0].type not in _READING:
            kind = statements[0].type.name
            raise QueryError(f"{kind} is not allowed here: this interface only reads; write a SELECT")
        cursor.execute("begin transaction read only")
        timer.start()
        # One row more than asked for tells whether there were more.
        table = _run(cursor, statements[0], parameters, limit + 1)
        elapsed = (time.perf_counter() - started) * 1000
        return Answer(table.slice(0, limit), len(table) > limit, elapsed)
    except duckdb.InterruptException as error:
        if expired.is_set():
            message = f"interrupted after {timeout_seconds:g} s; narrow the time range or aggregate"
            raise QueryTimeoutError(message) from error
        raise QueryError(str(error)) from error
    except duckdb.Error as error:
        raise QueryError(str(error).split("\n\nLINE")[0]) from error
    except (OSError, pa.ArrowException, MemoryError) as error:
        raise QueryError(f"the result cannot be passed on, it may be too large: {error}") from error
    finally:
        timer.cancel()
        cursor.close()


def _run(cursor: duckdb.DuckDBPyConnection, statement: duckdb.Statement, parameters: Any, rows: int) -> pa.Table:
    if statement.type is duckdb.StatementType.EXPLAIN:
        cursor.execute(statement, parameters or None)
        plan = cursor.fetchall()
        return pa.table({"kind": [row[0] for row in plan], "plan": [row[1] for row in plan]})
    reader = cursor.sql(statement, params=parameters or None).to_arrow_reader(min(rows, 65_536))
    batches, taken = [], 0
    for batch in reader:
        batches.append(batch)
        taken += len(batch)
        if taken >= rows:
            break
    return pa.Table.from_batches(batches, reader.schema).slice(0, rows)
