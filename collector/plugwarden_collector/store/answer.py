"""All rows of a statement, as one table."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from .telemetry import RunningQuery

__all__ = ["Answer", "collect"]


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a query."""

    table: pa.Table
    truncated: bool
    """Whether there were more rows than the limit."""
    elapsed_ms: float


def collect(running: RunningQuery) -> Answer:
    """Return all rows of a statement that is asked for in Arrow, and close it. Raises `QueryError`, `QueryTimeoutError`, `BusyError`."""
    try:
        running.open()
        whole = b"".join([running.begin, *(piece.data for piece in running)])
        table = pa.ipc.open_stream(pa.py_buffer(whole)).read_all()
        return Answer(table, running.truncated is not None, running.elapsed_ms)
    finally:
        running.close()
