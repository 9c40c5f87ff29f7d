"""The fast way for trace requests: `spans.c`, loaded where it was built, and its columns as Arrow arrays without a copy.

It takes requests that are wholly as they should be, and leaves everything else to the general way (spans.py). Without a
compiler at installation there is no library, and everything takes the general way: slower, and the same in every other respect.
"""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

__all__ = ["NativeAttributes", "NativeSpans", "available", "decode_spans"]

LIBRARY = Path(__file__).with_name("libspans.so")
FIXED = (
    "trace_hi", "trace_lo", "span_id", "parent", "parent_valid", "kind", "status_code", "start", "end", "dropped",
    "scope_of_span", "group_of_scope", "resource_at", "resource_size", "event_offsets", "event_time", "link_offsets",
)  # fmt: skip
"""Columns of one width, in the order of plugwarden_fixed."""
TEXTS = (
    "name", "status_message", "trace_state", "attributes", "scope_name", "scope_version", "event_name", "event_attributes",
    "link_trace", "link_span", "link_attributes",
)  # fmt: skip
"""Columns of text, in the order of plugwarden_text; the hot keys follow."""
_SPANS, _SCOPES, _GROUPS, _EVENTS, _LINKS, _ORPHANS = range(6)
_log = logging.getLogger(__name__)


class NativeAttributes:
    """Attributes that were told apart while decoding; answers as `attributes.AttributeColumn` does."""

    def __init__(self, columns: dict[str, pa.Array], rest: pa.Array) -> None:
        self._columns, self._rest = columns, rest

    def take(self, key: str) -> pa.Array:
        """The value of `key` per row as text, null where it is absent."""
        return self._columns[key]

    peek = take

    def rest(self) -> pa.Array:
        """All other attributes per row, as a JSON object."""
        return self._rest


@dataclass(frozen=True, slots=True)
class NativeSpans:
    """The columns of a request."""

    fixed: dict[str, pa.Array]
    """By the names of `FIXED`."""
    texts: dict[str, pa.Array]
    """By the names of `TEXTS`."""
    attributes: NativeAttributes
    resources: list[bytes]
    """The resource message of each group, as it came."""

    def __len__(self) -> int:
        return len(self.fixed["start"])


def available() -> bool:
    """Whether the library was built and is not switched off (PLUGWARDEN_NATIVE=0)."""
    return _library() is not None


def decode_spans(body: bytes, taken: Sequence[str], kept: Sequence[str]) -> NativeSpans | None:
    """A trace request as columns; None for the general way.

    `taken` are keys that become columns, `kept` those that become columns and stay among the other attributes as well.
    """
    library = _library()
    if library is None:
        return None
    keys = [*taken, *kept]
    encoded = [key.encode() for key in keys]
    lengths = (ctypes.c_int32 * len(keys))(*map(len, encoded))
    flags = bytes([1] * len(taken) + [0] * len(kept))
    pointer = library.plugwarden_spans(body, len(body), b"".join(encoded), lengths, flags, len(keys))
    if not pointer:
        return None
    return _Owner(library, pointer).spans(body, keys)


class _Owner:
    """Frees the columns when the last array over them is gone: each holds on to this."""

    def __init__(self, library: Any, pointer: int) -> None:
        self._library, self._pointer = library, pointer

    def __del__(self) -> None:
        self._library.plugwarden_free(self._pointer)

    def spans(self, body: bytes, keys: Sequence[str]) -> NativeSpans:
        count = [self._library.plugwarden_count(self._pointer, what) for what in range(6)]
        spans, scopes, groups, events, links, orphans = count
        rows = {"group_of_scope": scopes, "resource_at": groups, "resource_size": groups, "event_time": events}
        kinds: dict[str, pa.DataType] = {
            "kind": pa.int8(), "status_code": pa.int8(), "dropped": pa.uint32(), "scope_of_span": pa.int32(),
            "group_of_scope": pa.int32(), "event_offsets": pa.int32(), "link_offsets": pa.int32(),
        }  # fmt: skip
        fixed: dict[str, pa.Array] = {}
        bits = self._fixed("parent_valid") if orphans else None
        for name in FIXED:
            if name == "parent_valid":
                continue
            valid = bits if name == "parent" else None
            length = spans + 1 if name.endswith("_offsets") else rows.get(name, spans)
            fixed[name] = pa.Array.from_buffers(
                kinds.get(name, pa.uint64()), length, [valid, self._fixed(name)], orphans if valid else 0
            )
        texts = {
            name: self._text(number, len_) for number, (name, len_) in enumerate(_lengths(spans, scopes, events, links))
        }
        hot = {key: self._text(len(TEXTS) + number, spans) for number, key in enumerate(keys)}
        at, size = fixed["resource_at"].to_pylist(), fixed["resource_size"].to_pylist()
        resources = [body[start : start + length] for start, length in zip(at, size, strict=True)]
        return NativeSpans(fixed, texts, NativeAttributes(hot, texts["attributes"]), resources)

    def _fixed(self, name: str) -> pa.Buffer:
        size = ctypes.c_int64()
        address = self._library.plugwarden_fixed(self._pointer, FIXED.index(name), ctypes.byref(size))
        return self._buffer(address, size.value)

    def _text(self, number: int, rows: int) -> pa.Array:
        if not rows:
            return pa.array([], pa.string())
        data, sizes = (ctypes.c_void_p * 3)(), (ctypes.c_int64 * 3)()
        nulls = self._library.plugwarden_text(self._pointer, number, data, sizes)
        valid, offsets, text = (self._buffer(address, size) for address, size in zip(data, sizes, strict=True))
        return pa.Array.from_buffers(pa.string(), rows, [valid if nulls else None, offsets, text], nulls)

    def _buffer(self, address: int | None, size: int) -> pa.Buffer:
        return pa.foreign_buffer(address, size, base=self) if address else pa.py_buffer(b"")


def _lengths(spans: int, scopes: int, events: int, links: int) -> list[tuple[str, int]]:
    kinds = {"scope": scopes, "event": events, "link": links}
    return [(name, kinds.get(name.partition("_")[0], spans)) for name in TEXTS]


@cache
def _library() -> Any:
    if os.environ.get("PLUGWARDEN_NATIVE") == "0" or not LIBRARY.exists():
        return None
    try:
        library = ctypes.CDLL(str(LIBRARY))
    except OSError as error:
        _log.warning("%s cannot be loaded, decoding takes the general way: %s", LIBRARY, error)
        return None
    pointer, number, size = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
    library.plugwarden_spans.restype = pointer
    library.plugwarden_spans.argtypes = [ctypes.c_char_p, size, ctypes.c_char_p, pointer, ctypes.c_char_p, number]
    library.plugwarden_free.argtypes = [pointer]
    library.plugwarden_free.restype = None
    library.plugwarden_count.restype = size
    library.plugwarden_count.argtypes = [pointer, number]
    library.plugwarden_fixed.restype = pointer
    library.plugwarden_fixed.argtypes = [pointer, number, pointer]
    library.plugwarden_text.restype = size
    library.plugwarden_text.argtypes = [pointer, number, pointer, pointer]
    return library
