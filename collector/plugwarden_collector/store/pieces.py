"""An answer in pieces as bytes, down to its limits, each small enough to be passed on."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from plugwarden_collector.errors import QueryError

__all__ = [
    "BATCH_ROWS",
    "FORMS",
    "MAX_BYTES",
    "MAX_ROWS",
    "MAX_STREAM_BYTES",
    "ArrowPieces",
    "Form",
    "Limits",
    "Piece",
    "Pieces",
    "Rendering",
]

BATCH_ROWS = 2_048
"""Rows of a batch: DuckDB's vector, which is what one step makes."""
PIECE_BYTES = 8 * 1024 * 1024
MAX_ROW_BYTES = 64 * 1024 * 1024
MAX_ROWS = 100_000
"""Rows of an answer that is built in memory."""
MAX_BYTES = 64 * 1024 * 1024
"""Bytes of an answer that is built in memory."""
MAX_STREAM_BYTES = 8 * 1024 * 1024 * 1024
"""Bytes of an answer that is passed on as it comes."""


class Rendering(Protocol):
    """Turns batches of one answer into bytes."""

    def begin(self) -> bytes:
        """What stands before the first batch."""

    def batch(self, batch: pa.RecordBatch) -> bytes:
        """A batch."""


Form = Callable[[pa.Schema], Rendering]


class ArrowPieces:
    """An Arrow IPC stream that is written piece by piece, so that it never stands in memory as a whole."""

    def __init__(self, schema: pa.Schema) -> None:
        self._sink = io.BytesIO()
        self._schema = schema
        self._writer = pa.ipc.new_stream(self._sink, schema)
        self._begins = True

    def begin(self) -> bytes:
        """The schema."""
        schema: bytes = self._schema.serialize().to_pybytes()
        return schema

    def batch(self, batch: pa.RecordBatch) -> bytes:
        """The next piece, with this batch."""
        self._writer.write_batch(batch)
        return self._taken()

    def end(self, metadata: Mapping[bytes, bytes]) -> bytes:
        """The last piece: an empty batch with these metadata."""
        empty = pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in self._schema], schema=self._schema)
        self._writer.write_batch(empty, custom_metadata=dict(metadata))
        self._writer.close()
        return self._taken()

    def _taken(self) -> bytes:
        piece = self._sink.getvalue()
        if self._begins:  # the writer begins with the schema when it is first used
            piece, self._begins = piece[len(self._schema.serialize()) :], False
        self._sink.seek(0)
        self._sink.truncate()
        return piece


FORMS: dict[str, Form] = {"arrow": ArrowPieces}
"""The forms that answers may take, by name; `plugwarden_collector.api.render` adds its own."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an answer may be."""

    rows: int
    max_bytes: int
    """Bytes of the rows, and of what is made of them, at most."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows."""

    data: bytes
    rows: int


class Pieces:
    """Iterate once. What it cost and whether it was cut is known at the end."""

    def __init__(self, reader: pa.RecordBatchReader, rendering: Rendering, limits: Limits) -> None:
        self._reader, self._rendering, self._limits = reader, rendering, limits
        self.rows = 0
        self.truncated: str | None = None
        """`rows` or `bytes` when that limit cut the answer."""
        self._bytes = self._made = 0

    def __iter__(self) -> Iterator[Piece]:
        for batch in self._reader:
            for part in self._within(batch):
                data = self._rendering.batch(part)
                self._made += len(data)
                if self._made > self._limits.max_bytes:
                    self.truncated = "bytes"
                    return
                self.rows += len(part)
                yield Piece(data, len(part))
            if self.truncated is not None:
                return

    def _within(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """The part of a batch that is below the limits, in parts that can be passed on."""
        limits = self._limits
        # One row more than asked for tells whether there were more.
        if self.rows + len(batch) > limits.rows:
            self.truncated = "rows"
            batch = batch.slice(0, limits.rows - self.rows)
        size = batch.nbytes
        if self._bytes + size > limits.max_bytes:
            self.truncated = "bytes"
            batch = batch.slice(0, len(batch) * max(0, limits.max_bytes - self._bytes) // size)
        self._bytes += size
        waiting = [batch]
        while waiting:
            part = waiting.pop()
            if part.nbytes > PIECE_BYTES and len(part) > 1:
                half = len(part) // 2
                waiting += [part.slice(half), part.slice(0, half)]
            elif part.nbytes > MAX_ROW_BYTES:
                raise QueryError(f"one row of the answer takes more than {MAX_ROW_BYTES >> 20} MB")
            elif len(part):
                yield part
