"""A reader process: checks one statement after the other, and runs those that the collector should not run itself."""

from __future__ import annotations

import difflib
import os
import pickle
import socket
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa

from plugwarden_collector.errors import QueryError
from plugwarden_collector.store.duckdb.engine import connect
from plugwarden_collector.store.duckdb.query.allowed_sql import Checked, check
from plugwarden_collector.store.pieces import BATCH_ROWS, FORMS, Limits, Pieces

from .confine import end_with_parent, give_up_everything, limit_memory, limit_processor
from .lossless import as_told
from .messages import explain
from .source import ViewSource
from .wire import Channel

__all__ = ["serve"]

MAX_PLANNING_SECONDS = 0.25
"""Seconds of planning after which a statement is not planned again in the collector."""
ENGINE_SHARE = 0.6
"""Share of the memory for what DuckDB accounts for; the rest is for values that it does not, and for making the answer."""
MAX_TEXT_COLUMNS = 40
"""Columns of text in an answer from the collector's own process: each is copied for every row."""
SCAN = "ARROW_SCAN"


def serve(descriptor: int) -> None:
    """Answer the collector until it goes."""
    channel = Channel(socket.socket(fileno=descriptor))
    first = channel.receive()
    if first is None:
        return
    try:
        child = _Child(channel, first.header)
    except Exception as error:  # noqa: BLE001 - the collector says it, this process has no voice
        channel.send({"kind": "broken", "text": f"{type(error).__name__}: {error}"[:1000]})
        return
    channel.send({"kind": "ready", "enforced": child.enforced})
    while (message := channel.receive()) is not None:
        child.run(message.header, pickle.loads(message.payload))  # noqa: S301 - from the collector, which started us


class _Child:
    def __init__(self, channel: Channel, told: dict[str, Any]) -> None:
        self._channel = channel
        memory = int(told["memory_bytes"])
        _load()
        # Before DuckDB starts its threads: a thread keeps the rights that it had.
        self.enforced = give_up_everything()
        end_with_parent()
        self._connection = connect(
            config={
                "memory_limit": f"{int(memory * ENGINE_SHARE)}B",
                "threads": int(told["threads"]),
                "temp_directory": "",
                "python_enable_replacements": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "allowed_configs": ["max_execution_time"],
            }
        )
        self._connection.execute("set enable_external_access = false")
        self._views = tuple(told["views"])
        self._sources = [
            ViewSource(view, pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(raw))), self._fetch)
            for view, raw in told["views"].items()
        ]
        self._cursor = self._new_cursor()
        self._warm_up()
        self._connection.execute("set lock_configuration = true")
        limit_memory(memory)

    def run(self, asked: dict[str, Any], parameters: Any) -> None:
        """One statement, from its text to the end of its answer."""
        seconds = float(asked["timeout_seconds"])
        limit_processor(seconds * 2 * (os.cpu_count() or 1) + 10)
        sql = str(asked["sql"])
        cursor, whole = self._cursor, False
        try:
            # The collector ends this process soon after; to end by itself saves the next one.
            cursor.execute(f"set session max_execution_time = {max(1, int(seconds * 1000))}")
            self._answer(cursor, asked, sql, parameters)
            whole = True
        except QueryError as error:
            self._failed(str(error))
        except (
            duckdb.Error,
            pa.ArrowException,
            OSError,
            MemoryError,
            ValueError,
            RuntimeError,
            RecursionError,
        ) as error:
            text = str(error)
            timed = isinstance(error, duckdb.InterruptException) or "xecution time" in text
            worn = "INTERNAL" in text or "has been invalidated" in text
            self._failed(explain(error, sql), timed_out=timed, worn=worn)
        finally:
            if not whole:  # nothing of a statement that failed is left for the next one
                cursor.close()
                self._cursor = self._new_cursor()

    def _new_cursor(self) -> duckdb.DuckDBPyConnection:
        cursor = self._connection.cursor()
        for source in self._sources:
            cursor._register_arrow_source(source.view, source)  # a name belongs to the cursor that it is given to
        return cursor

    def _answer(self, cursor: duckdb.DuckDBPyConnection, asked: dict[str, Any], sql: str, parameters: Any) -> None:
        checked = check(cursor, sql, self._views)
        plan, seconds = self._plan(cursor, checked, parameters)
        if checked.bounded and seconds < MAX_PLANNING_SECONDS and _narrow(cursor, checked, parameters):
            self._channel.send({"kind": "bounded"})
            return
        self._channel.send({"kind": "begun", "scans": plan.count(SCAN)})
        if checked.explains:
            rows = cursor.execute(checked.sql, parameters).fetchall()
            reader = pa.table(
                {"kind": [str(row[0]) for row in rows], "plan": [str(row[1]) for row in rows]}
            ).to_reader()
        else:
            relation = as_told(cursor.sql(checked.sql, params=parameters))
            reader = relation.to_arrow_reader(min(int(asked["limit"]) + 1, BATCH_ROWS))
        try:
            schema = reader.schema
            rendering = FORMS[asked["form"]](schema)
            self._channel.send({"kind": "schema", "begin": rendering.begin().hex()}, schema.serialize().to_pybytes())
            pieces = Pieces(reader, rendering, Limits(int(asked["limit"]), int(asked["max_bytes"])))
            for piece in pieces:
                self._channel.send({"kind": "piece", "rows": piece.rows}, piece.data)
        finally:
            reader.close()
        self._channel.send({"kind": "end", "truncated": pieces.truncated})

    def _plan(self, cursor: duckdb.DuckDBPyConnection, checked: Checked, parameters: Any) -> tuple[str, float]:
        """The plan as text, and how long it took to make; errors have the place in the statement, as it was written."""
        began = time.monotonic()
        prefix = "explain "
        sql = checked.select
        try:
            rows = cursor.execute(prefix + sql, parameters).fetchall()
        except duckdb.Error as error:
            text = str(error)
            if "\n\nLINE 1: " + prefix in text:  # the caret counts the prefix, unless the excerpt is cut
                head, _, tail = text.partition("\n\nLINE 1: " + prefix)
                excerpt, _, caret = tail.partition("\n")
                text = f"{head}\n\nLINE 1: {excerpt}\n{caret[len(prefix) :]}"
            raise type(error)(text) from error
        return "\n".join(str(row[-1]) for row in rows), time.monotonic() - began

    def _fetch(self, view: str, columns: Sequence[str], conditions: Sequence[Any]) -> pa.RecordBatchReader:
        """Rows of a view from the collector, as they come."""
        here, there = socket.socketpair()
        try:
            asked = {"kind": "scan", "view": view, "columns": list(columns), "conditions": list(conditions)}
            self._channel.send(asked, descriptor=there.fileno())
        finally:
            there.close()
        file = here.makefile("rb", 1 << 20)
        here.close()
        return pa.ipc.open_stream(pa.PythonFile(file, "r"))

    def _failed(self, text: str, *, timed_out: bool = False, worn: bool = False) -> None:
        self._channel.send({"kind": "failed", "text": text, "timed_out": timed_out, "worn": worn})

    def _warm_up(self) -> None:
        """Do everything once: what it takes is not laid at the door of the first statement."""
        cursor = self._connection.cursor()
        check(cursor, "select abs(1)", ())
        reader = cursor.sql(
            "select now() as t, 1.5 as d, [{'a': 'x'}] as l, map {'a': 1} as m, uuid() as u"
        ).to_arrow_reader()
        rendered = reader.read_all().to_batches()[0]
        for form in FORMS.values():
            rendering = form(rendered.schema)
            rendering.begin(), rendering.batch(rendered)
        cursor.close()


def _load() -> None:
    """Load what is loaded from files at first use."""
    moment = pa.array([0], pa.timestamp("us", tz="UTC"))
    batch = pa.record_batch([moment, pa.array([Decimal(1)]), pa.array([b""])], names=["a", "b", "c"])
    for form in FORMS.values():
        form(batch.schema).batch(batch)
    difflib.get_close_matches("span", ["spans"])


def _narrow(cursor: duckdb.DuckDBPyConnection, checked: Checked, parameters: Any) -> bool:
    """Whether an answer has so few texts and lists in a row that many rows of it may be copied at once."""
    if checked.explains or (checked.columns is not None and checked.columns <= MAX_TEXT_COLUMNS):
        return True
    types = cursor.sql(checked.sql, params=parameters).types
    return (
        sum(str(kind).endswith(("]", ")")) or str(kind) in ("VARCHAR", "BLOB", "JSON") for kind in types)
        <= MAX_TEXT_COLUMNS
    )
