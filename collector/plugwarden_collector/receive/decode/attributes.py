"""OTLP attribute lists (key, AnyValue) as Arrow columns: hot keys become columns of their own, the rest one JSON object.

Works on whole columns; only nested values (arrays and key-value lists, rare) and strings that JSON must escape are touched
one by one.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1 import common_pb2

__all__ = ["AttributeColumn", "text_of"]

MAX_DEPTH = 16
"""A nested value deeper than this is shown as `…`: nobody reads it, and recursion must end."""
UNREADABLE = "(unreadable)"
_DENSE_CELLS = 1 << 22
"""Up to this many (row, key) pairs, repeated keys are looked for by counting instead of sorting."""

Mask = np.ndarray[Any, np.dtype[np.bool_]]


class AttributeColumn:
    """One column of attribute lists, flattened once and then read by key."""

    def __init__(self, lists: pa.ListArray) -> None:
        self._rows = len(lists)
        lists = _without_nulls(lists)
        offsets = lists.offsets.to_numpy()
        self._offsets = (offsets - offsets[0] if self._rows else offsets).astype(np.int64)
        entries = lists.flatten()
        keys = entries.field("key").dictionary_encode()
        self._names: list[str] = keys.dictionary.to_pylist()
        self._codes: np.ndarray[Any, np.dtype[np.int32]] = keys.indices.to_numpy(zero_copy_only=False)
        self._values = entries.field("value")
        self._texts = text_of(self._values)
        self._parents = np.repeat(np.arange(self._rows), np.diff(self._offsets))
        self._taken: set[str] = set()

    def take(self, key: str) -> pa.Array:
        """The value of `key` per row as text, null where it is absent; the key is left out of `rest`."""
        self._taken.add(key)
        return self.peek(key)

    def peek(self, key: str) -> pa.Array:
        """The same, and the key stays in `rest`."""
        if key not in self._names:
            return pa.nulls(self._rows, pa.string())
        hits = np.flatnonzero(self._codes == self._names.index(key))
        if len(hits) == self._rows and np.array_equal(self._parents[hits], np.arange(self._rows)):
            return self._texts.take(pa.array(hits))
        where = np.zeros(self._rows, dtype=np.int64)
        absent = np.ones(self._rows, dtype=bool)
        where[self._parents[hits]] = hits
        absent[self._parents[hits]] = False
        return self._texts.take(pa.array(where, mask=absent))

    def rest(self) -> pa.Array:
        """All other attributes per row, as a JSON object. Of a repeated key the last one counts."""
        wanted = np.array([name not in self._taken for name in self._names], dtype=bool)
        keep = wanted[self._codes] if len(self._names) else np.zeros(0, dtype=bool)
        keep = self._last_of_each_key(keep)
        if not keep.any():
            return pa.repeat(pa.scalar("{}"), self._rows)
        chosen = pa.array(keep)
        texts = self._texts.filter(chosen)
        if self._values.field("string_value").null_count:
            texts, quoted = _json_values(self._values.filter(chosen), texts)
        else:
            texts, quoted = _escaped(texts), np.ones(len(texts), dtype=bool)
        # One prefix a key and kind: `"key":"` before a string, `"key":` before everything else.
        prefixes = [json.dumps(name, ensure_ascii=False) + mark for name in self._names for mark in (":", ':"')]
        before = pa.array(prefixes, pa.string()).take(pa.array(self._codes[keep] * 2 + quoted))
        after = pa.array(["", '"'], pa.string()).take(pa.array(quoted.astype(np.int8)))
        members = pc.binary_join_element_wise(before, texts, after, "")
        counted = np.concatenate([[0], np.cumsum(keep)])
        lists = pa.ListArray.from_arrays(pa.array(counted[self._offsets], pa.int32()), members)
        return pc.binary_join_element_wise("{", pc.binary_join(lists, ","), "}", "")

    def _last_of_each_key(self, keep: Mask) -> Mask:
        """`keep` without all but the last of each row's repeated keys: an object has a key once."""
        kinds = len(self._names)
        pairs = self._parents * kinds + self._codes
        if self._rows * kinds <= _DENSE_CELLS and (not len(pairs) or np.bincount(pairs).max() < 2):
            return keep
        _, last_reversed = np.unique(pairs[::-1], return_index=True)
        last = np.zeros(len(pairs), dtype=bool)
        last[len(pairs) - 1 - last_reversed] = True
        return keep & last


def text_of(values: pa.StructArray) -> pa.Array:
    """AnyValue per row as text: numbers and booleans in their JSON form, nested values as JSON, bytes as base64."""
    text = values.field("string_value")
    if text.null_count == 0:
        return text
    for name in ("bool_value", "int_value", "double_value"):
        column = values.field(name)
        if column.null_count < len(column):
            text = pc.coalesce(text, column.cast(pa.string()))
    nested = _present(values, "array_value") | _present(values, "kvlist_value") | _present(values, "bytes_value")
    rows = np.flatnonzero(nested)
    if len(rows):
        rendered = text.to_pylist()
        for row in rows.tolist():
            rendered[row] = _render(values[row].as_py())
        text = pa.array(rendered, pa.string())
    return text


def _present(values: pa.StructArray, name: str) -> Mask:
    column = values.field(name)
    if column.null_count == len(column):
        return np.zeros(len(column), dtype=bool)
    present: Mask = column.is_valid().to_numpy(zero_copy_only=False)
    return present


def _json_values(values: pa.StructArray, texts: pa.Array) -> tuple[pa.Array, Mask]:
    """The text between prefix and end of each member, and whether it stands in quotes."""
    quoted = _present(values, "string_value") | _present(values, "bytes_value")
    doubles = values.field("double_value")
    if doubles.null_count < len(doubles):
        # JSON has no word for NaN and infinity; they stay readable as text.
        quoted |= ~pc.fill_null(pc.is_finite(doubles), True).to_numpy(zero_copy_only=False)
    if texts.null_count:
        texts = pc.fill_null(texts, "null")  # a value that was never set
    return _escaped(texts, quoted), quoted


def _needs_escape(texts: pa.Array) -> bool:
    """Whether any byte at all may not stand in a JSON string as it is; one pass over the bytes."""
    _, offsets, data = texts.buffers()
    if data is None or offsets is None:
        return False
    bounds = np.frombuffer(offsets, dtype=np.int32)
    held = np.frombuffer(data, dtype=np.uint8)[bounds[texts.offset] : bounds[texts.offset + len(texts)]]
    return bool(((held < 0x20) | (held == 0x22) | (held == 0x5C)).any())


def _escaped(texts: pa.Array, quoted: Mask | None = None) -> pa.Array:
    """Return texts with what may not stand in a JSON string escaped, in the strings that will stand in quotes (none given: all)."""
    if not _needs_escape(texts):
        return texts
    odd = pc.match_substring_regex(texts, r'[\x00-\x1f"\\]').to_numpy(zero_copy_only=False)
    if quoted is not None:
        odd &= quoted
    if not odd.any():
        return texts
    mended = [json.dumps(text, ensure_ascii=False)[1:-1] for text in texts.filter(pa.array(odd)).to_pylist()]
    return pc.replace_with_mask(texts, pa.array(odd), pa.array(mended, pa.string()))


def _without_nulls(lists: pa.ListArray) -> pa.ListArray:
    """A null list (an absent resource) reads as an empty one."""
    if lists.null_count == 0:
        return lists
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), lists.drop_null().flatten())


def _render(value: dict[str, Any]) -> str:
    """A nested value as JSON, or bytes as base64. The value alone is lost where its inside cannot be read."""
    try:
        return _rendered(value)
    except DecodeError:
        return _dump(UNREADABLE)


def _rendered(value: dict[str, Any]) -> str:
    if value.get("bytes_value") is not None:
        return base64.b64encode(value["bytes_value"]).decode("ascii")
    nested = common_pb2.AnyValue()
    if value.get("array_value") is not None:
        nested.array_value.MergeFromString(value["array_value"])
    else:
        nested.kvlist_value.MergeFromString(value["kvlist_value"])
    return _dump(_plain(nested))


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
    if kind == "double_value" and not math.isfinite(value.double_value):
        return str(value.double_value)
    return getattr(value, kind)


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
