"""OTLP attribute lists (key, AnyValue) as Arrow columns: hot keys become columns of their own, the rest one map.

Works on whole columns; only nested values (arrays and key-value lists, rare) are touched one by one.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from opentelemetry.proto.common.v1 import common_pb2

__all__ = ["AttributeColumn", "text_of"]

MAX_DEPTH = 16
"""A nested value deeper than this is shown as `…`: nobody reads it, and recursion must end."""


class AttributeColumn:
    """One column of attribute lists, flattened once and then read by key."""

    def __init__(self, lists: pa.ListArray) -> None:
        self._rows = len(lists)
        lists = _without_nulls(lists)
        self._offsets = lists.offsets.to_numpy() - (lists.offsets[0].as_py() if len(lists) else 0)
        entries = lists.flatten()
        self._keys: pa.Array = entries.field("key")
        self._texts = text_of(entries.field("value"))
        self._parents = np.repeat(np.arange(self._rows), np.diff(self._offsets))
        self._taken: set[str] = set()

    def take(self, key: str) -> pa.Array:
        """The value of `key` per row as text, null where it is absent; the key is left out of `rest`."""
        self._taken.add(key)
        hits = np.flatnonzero(pc.equal(self._keys, key).to_numpy(zero_copy_only=False))
        where = np.zeros(self._rows, dtype=np.int64)
        absent = np.ones(self._rows, dtype=bool)
        where[self._parents[hits]] = hits
        absent[self._parents[hits]] = False
        return self._texts.take(pa.array(where, mask=absent))

    def rest(self) -> pa.Array:
        """All other attributes per row, as map<string, string>. Of a repeated key the last one counts."""
        keep = np.ones(len(self._keys), dtype=bool)
        if self._taken:
            keep = ~pc.is_in(self._keys, pa.array(sorted(self._taken))).to_numpy(zero_copy_only=False)
        keep &= self._last_of_each_key()
        counted = np.concatenate([[0], np.cumsum(keep)])
        offsets = pa.array(counted[self._offsets], pa.int32())
        mask = pa.array(keep)
        return pa.MapArray.from_arrays(offsets, self._keys.filter(mask), pc.fill_null(self._texts.filter(mask), ""))

    def _last_of_each_key(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """DuckDB refuses maps with repeated keys, and one client's mistake must not cost its whole batch."""
        codes = self._keys.dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(np.int64)
        pairs = self._parents * (int(codes.max(initial=0)) + 1) + codes
        _, last_reversed = np.unique(pairs[::-1], return_index=True)
        last = np.zeros(len(pairs), dtype=bool)
        last[len(pairs) - 1 - last_reversed] = True
        return last


def text_of(values: pa.StructArray) -> pa.Array:
    """AnyValue per row as text: numbers and booleans in their JSON form, nested values as JSON, bytes as base64."""
    field = _field(values)
    text = pc.coalesce(
        field("string_value"),
        field("bool_value").cast(pa.string()),
        field("int_value").cast(pa.string()),
        field("double_value").cast(pa.string()),
    )
    nested = pc.or_(
        pc.or_(field("array_value").is_valid(), field("kvlist_value").is_valid()), field("bytes_value").is_valid()
    )
    rows = np.flatnonzero(nested.to_numpy(zero_copy_only=False))
    if len(rows):
        rendered = text.to_pylist()
        for row in rows.tolist():
            rendered[row] = _render(values[row].as_py())
        text = pa.array(rendered, pa.string())
    return text


def _field(values: pa.StructArray) -> Any:
    return lambda name: pc.struct_field(values, name)


def _without_nulls(lists: pa.ListArray) -> pa.ListArray:
    """A null list (an absent resource) reads as an empty one."""
    if lists.null_count == 0:
        return lists
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), lists.drop_null().flatten())


def _render(value: dict[str, Any]) -> str:
    if value.get("bytes_value") is not None:
        return base64.b64encode(value["bytes_value"]).decode("ascii")
    if value.get("array_value") is not None:
        return _dump([_any(raw) for raw in value["array_value"]["values"]])
    pairs: dict[str, Any] = {}
    for raw in value["kvlist_value"]["values"]:
        if isinstance(raw, dict):  # a log body's first level is decoded one step further
            pairs[raw["key"]] = _any(raw["value"]) if raw["value"] is not None else None
        else:
            entry = common_pb2.KeyValue.FromString(raw)
            pairs[entry.key] = _plain(entry.value)
    return _dump(pairs)


def _any(raw: bytes) -> Any:
    return _plain(common_pb2.AnyValue.FromString(raw))


def _plain(value: common_pb2.AnyValue, depth: int = 0) -> Any:
    if depth >= MAX_DEPTH:
        return "…"
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_plain(item, depth + 1) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {entry.key: _plain(entry.value, depth + 1) for entry in value.kvlist_value.values}
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode("ascii")
    return getattr(value, kind)


def _dump(value: Iterable[Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
