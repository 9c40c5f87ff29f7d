"""Answers as bytes: JSON and Arrow."""

import io
import json
import math
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
from starlette.responses import Response

from plugwarden_collector.store import Answer

__all__ = ["as_arrow", "as_json", "as_rows"]


def as_rows(answer: Answer) -> Response:
    """The answer to a query as JSON."""
    return as_json(
        {
            "columns": answer.table.column_names,
            "rows": [[_finite(value) for value in row.values()] for row in answer.table.to_pylist()],
            "truncated": answer.truncated,
            "elapsed_ms": round(answer.elapsed_ms, 1),
        }
    )


def _finite(value: Any) -> Any:
    """JSON knows neither NaN nor infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_arrow(table: pa.Table) -> bytes:
    """A table as an Arrow IPC stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def as_json(value: Any, status: int = 200) -> Response:
    """Any answer as JSON: times as UTC with a Z, bytes as hex."""
    return Response(json.dumps(value, default=_plain, ensure_ascii=False), status, media_type="application/json")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat() + ("Z" if value.tzinfo is None else "")
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    return str(value)
