"""Rows as files: Parquet and CSV, written batch by batch, whole or not at all."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from plugwarden_collector.api.plain import plain_rows
from plugwarden_collector.api.row_stream import RowStream
from plugwarden_collector.private import CHOICES, choice
from plugwarden_collector.wording import FORMULA, cell

__all__ = ["write_csv", "write_parquet"]

GROUP_ROWS = 128 * 1024
"""Rows of a Parquet row group, about: small ones make large files and slow readers."""
_SUSPECT = "^[" + "".join(f"\\x{{{ord(sign):x}}}" for sign in FORMULA) + "]|[^ -~\n\t]"
"""RE2's: a sign that may begin a formula, or anything beyond ASCII's printable signs."""


def write_parquet(rows: RowStream, file: Path, progress: Callable[[int], None] = lambda count: None) -> int:
    """Write all rows and say how many; the file appears when it is complete, or stays as it was."""
    schema = _schema(rows.schema, pa.types.is_union, pa.types.is_interval)
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    count, waiting, held = 0, [], 0
    try:
        with os.fdopen(handle, "wb") as sink, pq.ParquetWriter(sink, schema, compression="zstd") as writer:
            for batch in rows:
                waiting.append(_texts(batch, schema))
                held += len(batch)
                count += len(batch)
                if held >= GROUP_ROWS:
                    writer.write_table(pa.Table.from_batches(waiting, schema))
                    waiting, held = [], 0
                    progress(count)
            writer.write_table(pa.Table.from_batches(waiting, schema))
        Path(name).chmod(CHOICES[choice()][1])
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return count


def write_csv(rows: RowStream, sink: BinaryIO | None = None) -> int:
    """Write all rows to stdout, or to a binary file; nested values as JSON. No cell of text is a formula or moves a cursor."""
    kept = (pa.types.is_integer, pa.types.is_floating, pa.types.is_string, pa.types.is_boolean, pa.types.is_timestamp)
    schema = _schema(rows.schema, lambda kind: not any(check(kind) for check in (*kept, pa.types.is_date)))
    count = 0
    named = pa.schema([pa.field(cell(item.name), item.type) for item in schema])
    with pacsv.CSVWriter(sink or sys.stdout.buffer, named) as writer:
        for batch in rows:
            columns = [_cells(column) for column in _texts(batch, schema).columns]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=named))
            count += len(batch)
    return count


def _cells(column: pa.Array) -> pa.Array:
    """Text as cells; most columns hold none that would have to be changed, and are not taken apart."""
    if not pa.types.is_string(column.type) or not pc.any(pc.match_substring_regex(column, _SUSPECT)).as_py():
        return column
    return pa.array([None if text is None else cell(text) for text in column.to_pylist()], pa.string())


def _schema(schema: pa.Schema, *unfit: Callable[[pa.DataType], bool]) -> pa.Schema:
    """The same columns, as text where the file format has no such type."""
    fields = [pa.field(item.name, pa.string()) if any(check(item.type) for check in unfit) else item for item in schema]
    return pa.schema([pa.field(item.name, item.type) for item in fields])


def _texts(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = []
    for index, item in enumerate(schema):
        column = batch.column(index)
        if column.type != item.type:
            cells = [row[0] for row in plain_rows(pa.table({"x": column}))]
            column = pa.array([_text(cell) for cell in cells], pa.string())
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
