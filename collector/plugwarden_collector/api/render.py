"""Answers as bytes: JSON, and Arrow in pieces."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
from starlette.responses import Response

from plugwarden_collector.store import Answer

from .plain import plain_rows

__all__ = ["TRAILER", "ArrowPieces", "as_json", "as_rows"]

TRAILER = b"plugwarden"
"""Key of the last batch's metadata. A stream without such a batch was cut off."""


def as_rows(answer: Answer) -> Response:
    """The answer to a query as JSON."""
    return as_json(
        {
            "columns": answer.table.column_names,
            "rows": plain_rows(answer.table),
            "truncated": answer.truncated,
            "elapsed_ms": round(answer.elapsed_ms, 1),
        }
    )


class ArrowPieces:
    """An Arrow IPC stream that is written piece by piece, so that it never stands in memory as a whole."""

    def __init__(self, schema: pa.Schema) -> None:
        self._sink = io.BytesIO()
        self._schema = schema
        self._writer = pa.ipc.new_stream(self._sink, schema)

    def batch(self, batch: pa.RecordBatch) -> bytes:
        """The next piece, with this batch."""
        self._writer.write_batch(batch)
        return self._taken()

    def end(self, said: Mapping[str, Any]) -> bytes:
        """The last piece: an empty batch whose metadata say how it went, which no header could know."""
        empty = pa.RecordBatch.from_arrays([_no_rows(field.type) for field in self._schema], schema=self._schema)
        self._writer.write_batch(empty, custom_metadata={TRAILER: json.dumps(said).encode()})
        self._writer.close()
        return self._taken()

    def _taken(self) -> bytes:
        piece = self._sink.getvalue()
        self._sink.seek(0)
        self._sink.truncate()
        return piece


def _no_rows(kind: pa.DataType) -> pa.Array:
    return pa.nulls(0, kind)


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
