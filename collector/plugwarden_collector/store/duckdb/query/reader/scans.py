"""Rows of views for a statement that runs in a reader process: streamed from one state of the store, however many scans it has."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
from collections.abc import Mapping
from typing import Any

import duckdb
import pyarrow as pa

from plugwarden_collector.errors import QueryError, StoreError
from plugwarden_collector.memory import memory
from plugwarden_collector.store.duckdb.database import Database
from plugwarden_collector.store.duckdb.query.limits import End, Ticket, Watch
from plugwarden_collector.store.pieces import BATCH_ROWS
from plugwarden_collector.store.views import stable_views

__all__ = ["MAX_SCANS", "Scans", "question"]

MAX_SCANS = 16
"""Scans of one statement at the same time."""
PATIENCE_SECONDS = 2.0
OPERATOR_MEMORY = f"set session operator_memory_limit = '{memory().operator_bytes}B'"
_OPERATORS = frozenset({"=", "!=", "<", "<=", ">", ">="})
_TYPES = frozenset(f"{sign}{size}" for sign in ("", "U") for size in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")) | {
    "BOOLEAN",
    "DOUBLE",
    "VARCHAR",
    "TIMESTAMP",
    "DATE",
}


class Scans:
    """The scans of one statement. `serve` each, and `close` at the end, from the statement's thread."""

    def __init__(self, database: Database, watch: Watch, seconds: float, expected: int) -> None:
        self._watch, self._seconds = watch, seconds
        self._lock = threading.Lock()
        self._tickets: set[Ticket] = set()
        self._threads: list[threading.Thread] = []
        self._lines: set[socket.socket] = set()
        self._closed = False
        self.ended: End | None = None
        """Why a scan was ended, if one was."""
        self.error: BaseException | None = None
        """What went wrong with one, if something did."""
        self._cursors = database.snapshot(max(1, min(expected, MAX_SCANS)), OPERATOR_MEMORY)
        self._idle: queue.SimpleQueue[duckdb.DuckDBPyConnection] = queue.SimpleQueue()
        for cursor in self._cursors:
            self._idle.put(cursor)

    def serve(self, asked: Mapping[str, Any], descriptor: int) -> None:
        """Send the rows that a process asked for into a descriptor, which is closed after them; in a thread of its own."""
        line = socket.socket(fileno=descriptor)
        thread = threading.Thread(target=self._serve, args=(asked, line), name="plugwarden-scan", daemon=True)
        with self._lock:
            if self._closed or sum(item.is_alive() for item in self._threads) > MAX_SCANS:
                line.close()
                return
            self._threads.append(thread)
            self._lines.add(line)
        thread.start()

    def end(self, why: End) -> None:
        """Interrupt those that run."""
        with self._lock:
            for ticket in self._tickets:
                ticket.end(why)

    def close(self) -> None:
        """End what still runs, and let go of the state. The process must be gone, or done with its statement."""
        with self._lock:
            self._closed = True
            for line in self._lines:
                with contextlib.suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)  # who writes into it is let go
        self.end(End.CANCELLED)
        for thread in self._threads:
            thread.join()
        for cursor in self._cursors:
            cursor.close()

    def _note(self, error: BaseException) -> None:
        with self._lock:
            if self.error is None and not self._closed:
                self.error = error

    def _serve(self, asked: Mapping[str, Any], line: socket.socket) -> None:
        cursor: duckdb.DuckDBPyConnection | None = None
        ticket: Ticket | None = None
        try:
            sql, values = question(asked)
            cursor = self._idle.get(timeout=PATIENCE_SECONDS)
            with self._lock:
                if self._closed:
                    return
                ticket = self._watch.begin(cursor, self._seconds)
                self._tickets.add(ticket)
            reader = cursor.sql(sql, params=values).to_arrow_reader(BATCH_ROWS)
            try:
                _pass_on(reader, line, ticket)
            finally:
                reader.close()
        except queue.Empty:
            often = f"the statement reads views more than {len(self._cursors)} times at once"
            self._note(QueryError(f"{often}; write its CTEs as MATERIALIZED"))
        except (duckdb.Error, pa.ArrowException, OSError, ValueError, RuntimeError, MemoryError, StoreError) as error:
            self._note(error)
        finally:
            if ticket is not None:
                self._watch.finish(ticket)
                with self._lock:
                    self._tickets.discard(ticket)
                    if not self._closed:
                        self.ended = self.ended or ticket.ended
            with self._lock:
                self._lines.discard(line)
            # Last: from here on the process may be done. An error that is kept may keep the file of this line with it.
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()
            if cursor is not None:
                self._idle.put(cursor)


def _pass_on(reader: pa.RecordBatchReader, line: socket.socket, ticket: Ticket) -> None:
    """All rows, unless nobody wants more of them. What goes wrong with them is raised before the stream ends: one that is cut
    off looks whole to whoever reads it."""
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(line.makefile("wb", 1 << 18))
            stream = stack.enter_context(pa.ipc.new_stream(file, reader.schema))
        except OSError:
            return
        try:
            for batch in reader:
                try:
                    stream.write_batch(batch)
                except OSError:
                    stack.pop_all()  # nothing of it can be closed in order
                    return
            if ticket.ended is not None:  # an interrupt may look like an end
                raise duckdb.InterruptException("interrupted")
        except BaseException:
            stack.pop_all()
            raise
        try:
            stack.close()
        except OSError:
            return


def question(asked: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """What a process asked for as SQL, with its values bound. Nothing of it is trusted: names are looked up, values are texts."""
    view = stable_views().get(str(asked.get("view")))
    if view is None:
        raise QueryError("a reader process asked for a view that does not exist")
    names = {column.name for column in view.columns}
    columns = asked.get("columns")
    if not isinstance(columns, list) or not columns or not names.issuperset(columns):
        raise QueryError("a reader process asked for a column that does not exist")
    values: dict[str, str] = {}
    terms = [_term(item, names, values) for item in asked.get("conditions") or ()]
    listed = ", ".join(f'"{name}"' for name in columns)
    only = f" where {' and '.join(terms)}" if terms else ""
    # Names are those of the view, values are bound.
    return f'select {listed} from "{view.name}"{only}', values  # noqa: S608


def _term(said: Any, names: set[str], values: dict[str, str]) -> str:
    match said:
        case ["AND" | "OR" as op, one, other]:
            return f"({_term(one, names, values)} {op} {_term(other, names, values)})"
        case ["NOT", inner]:
            return f"(not {_term(inner, names, values)})"
        case ["IS NULL" | "IS NOT NULL" as op, str(name)] if name in names:
            return f'("{name}" {op})'
        case ["IN", str(name), str(kind), list(texts)] if name in names and kind in _TYPES and texts:
            return f'("{name}" in ({", ".join(_value(text, kind, values) for text in texts)}))'
        case [str(op), str(name), str(kind), text] if op in _OPERATORS and name in names and kind in _TYPES:
            return f'("{name}" {op} {_value(text, kind, values)})'
    raise QueryError("a reader process asked for a condition that does not exist")


def _value(text: Any, kind: str, values: dict[str, str]) -> str:
    if not isinstance(text, str):
        raise QueryError("a reader process asked for a value that is no text")
    name = f"v{len(values)}"
    values[name] = text
    return f"${name}::varchar::{kind}"
