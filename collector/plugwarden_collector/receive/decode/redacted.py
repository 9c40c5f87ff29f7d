"""What comes in without secrets and personal data, whoever sent it: by the sidecar's rules, before anything is stored.

Nearly all texts hold none. What a short text became is remembered, and of many the screen says which may hold anything;
`plugwarden.redaction` looks at those. Names (services, plugins, versions, operations, tenants) are what everything is told
apart by, and stay.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from plugwarden.redaction import REDACTED, hides_value, redact

from .batch import Batch
from .screen import suspects

__all__ = ["enabled", "redacted_batch", "redacted_columns", "redacted_json", "redacted_log"]

LARGE_BYTES = 4_096
"""Bytes of different texts from which on they are remembered together; fewer are remembered one by one."""
MAX_REMEMBERED = 512
"""Characters of a text that is remembered. 4,096 texts of these take 2 MB at most, with what became of them 4."""
_PART = re.compile(r'"((?:[^"\\]|\\.)*+)"(\s*+:)?+|-?[0-9][0-9.eE+\-]*+')
"""A key, a string or a number of JSON; one character is looked at once."""


@cache
def enabled() -> bool:
    """Whether it is switched on; PLUGWARDEN_REDACT=0 stores everything as it comes."""
    return os.environ.get("PLUGWARDEN_REDACT") != "0"


def redacted_batch(batch: Batch) -> Batch:
    """A batch of the general way. What the resources say was looked at when they were read."""
    if not enabled() or not batch.tables:
        return batch
    tables = {name: _of_table(name, table) for name, table in batch.tables.items()}
    return batch if tables == batch.tables else replace(batch, tables=tables)


def _of_table(name: str, table: pa.Table) -> pa.Table:
    if name == "incoming_resources":
        return table
    columns = {
        field: table.column(field).combine_chunks()
        for field in table.schema.names
        if field in (*_LOOKS, "events", "links")
    }
    for field, column in redacted_columns(columns).items():
        if column is not columns[field]:
            table = table.set_column(table.schema.get_field_index(field), table.schema.field(field), column)
    return table


def redacted_columns(columns: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    """The same columns; of those that may hold anything a new one where they do."""
    found = dict(columns)
    if not enabled():
        return found
    texts = {name: columns[name] for name in _LOOKS if name in columns}
    nested = {
        name: columns[name].flatten()
        for name in ("events", "links")
        if name in columns and columns[name].null_count < len(columns[name])
    }
    texts |= {name: items.field("attributes") for name, items in nested.items()}
    for name, column in _redacted(texts).items():
        found[name] = _with_attributes(columns[name], nested[name], column) if name in nested else column
    return found


def _redacted(texts: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    """The columns in which something is masked."""
    found, large = {}, {}
    for name, column in texts.items():
        size = _size(column)
        if not size:
            continue
        # Finding out that each row of attributes is another takes longer than looking at all of them.
        coded = column.dictionary_encode() if size <= LARGE_BYTES or name in _REPEATED else None
        if coded is None or _size(coded.dictionary) > LARGE_BYTES:
            large[name] = column
            continue
        before = coded.dictionary.to_pylist()
        after = [_remembered(_LOOKS.get(name, redacted_json), text) for text in before]
        if after != before:
            found[name] = pa.array(after, pa.string()).take(coded.indices)
    for name, rows in suspects(large).items():
        column, look = large[name], _LOOKS.get(name, redacted_json)
        told = column.take(pa.array(rows)).to_pylist()
        kept = [_remembered(look, text) for text in told]
        if kept != told:
            mask = np.zeros(len(column), dtype=bool)
            mask[rows] = True
            found[name] = pc.replace_with_mask(column, pa.array(mask), pa.array(kept, pa.string()))
    return found


@lru_cache(maxsize=4096)
def _remember(look: Callable[[str], str], text: str) -> str:
    return look(text)


def _remembered(look: Callable[[str], str], text: str | None) -> str | None:
    """What becomes of a text; most short ones come again and again."""
    if not text:
        return text
    return _remember(look, text) if len(text) <= MAX_REMEMBERED else look(text)


def redacted_log(body: str) -> str:
    """The body of a log record. One that is JSON stays JSON."""
    if body[:1] in ("{", "["):
        try:
            json.loads(body)
        except (ValueError, RecursionError):
            return redact(body)
        return redacted_json(body)
    return redact(body)


def redacted_json(text: str) -> str:
    """A JSON text in which strings are redacted, and values hidden whose keys say what they are; all else to the letter as it was."""
    key = ""

    def put(part: re.Match[str]) -> str:
        nonlocal key
        raw = part.group(1)
        if raw is None:
            return f'"{REDACTED}"' if hides_value(key, 0) else part.group()
        value = raw if "\\" not in raw else json.loads(f'"{raw}"', strict=False)
        if part.group(2) is not None:
            key = value
            return part.group()
        if hides_value(key, value):
            return f'"{REDACTED}"'
        kept = redact(value)
        return part.group() if kept == value else json.dumps(kept, ensure_ascii=False)

    return _PART.sub(put, text)


def _size(column: pa.Array) -> int:
    if not len(column):
        return 0
    offsets = np.frombuffer(column.buffers()[1], np.int32)
    return int(offsets[column.offset + len(column)] - offsets[column.offset])


def _with_attributes(column: pa.Array, items: pa.Array, attributes: pa.Array) -> pa.Array:
    """Events or links, with other attributes."""
    fields = list(column.type.value_type)
    parts = [attributes if field.name == "attributes" else items.field(field.name) for field in fields]
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    nulls = column.is_null() if column.null_count else None
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(parts, fields=fields), mask=nulls)


_LOOKS: Mapping[str, Callable[[str], str]] = {
    "name": redact, "status_message": redact, "body": redacted_log, "attributes": redacted_json,
}  # fmt: skip
"""Column of spans, points, logs or resources -> what is done with it."""
_REPEATED = frozenset({"name", "status_message"})
"""Columns that hold few different texts, as a rule."""
