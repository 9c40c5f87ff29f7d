"""Answers as bytes: JSON, and Arrow in pieces."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import is_dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
from starlette.responses import Response

from plugwarden_collector.store.pieces import FORMS, ArrowPieces
from plugwarden_collector.store.telemetry import RunningQuery

from .plain import columns, plain_rows

__all__ = ["TRAILER", "JsonRows", "as_json", "json_answer", "last_piece"]

TRAILER = b"plugwarden"
"""Key of the last batch's metadata. A stream without such a batch was cut off."""


class JsonRows:
    """Rows as JSON arrays, with commas between them."""

    def __init__(self, schema: pa.Schema) -> None:
        self._any = False

    def begin(self) -> bytes:
        """Nothing stands before the first row."""
        return b""

    def batch(self, batch: pa.RecordBatch) -> bytes:
        """The next rows."""
        text = json.dumps(plain_rows(pa.Table.from_batches([batch])), default=_plain, ensure_ascii=False)[1:-1]
        before, self._any = ", " if self._any else "", True
        return (before + text).encode("utf-8", "surrogatepass")


FORMS["json"] = JsonRows


def json_answer(stream: RunningQuery) -> Response:
    """The whole answer of a stream of `json`, which is closed."""
    try:
        schema = stream.open()
        rows = b"".join(piece.data for piece in stream)
        said = {"truncated": stream.truncated is not None, "elapsed_ms": round(stream.elapsed_ms, 1)}
        head = json.dumps({"columns": schema.names}, ensure_ascii=False)[:-1].encode("utf-8", "surrogatepass")
        body = b"".join([head, b', "rows": [', rows, b"], ", json.dumps(said)[1:].encode()])
        return Response(body, media_type="application/json")
    finally:
        stream.close()


def last_piece(schema: pa.Schema, said: Mapping[str, Any]) -> bytes:
    """What ends a stream of `arrow`: an empty batch whose metadata say how it went, which no header could know."""
    pieces = ArrowPieces(schema)
    pieces.begin()
    return pieces.end({TRAILER: json.dumps(said).encode()})


def as_json(value: Any, status: int = 200) -> Response:
    """Any answer as JSON: times as UTC with a Z, bytes as hex, values as objects of their fields."""
    return Response(_strict(value), status, media_type="application/json")


def _strict(value: Any) -> str:
    """Return a JSON document without NaN and infinity, which strict readers refuse as a whole: they are null."""
    try:
        return json.dumps(value, default=_plain, ensure_ascii=False, allow_nan=False)
    except ValueError:
        loose = json.dumps(value, default=_plain, ensure_ascii=False)
        return json.dumps(json.loads(loose, parse_constant=lambda _: None), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat() + ("Z" if value.tzinfo is None else "")
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.hex()
    if is_dataclass(value):
        return columns(value)
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    return str(value)
