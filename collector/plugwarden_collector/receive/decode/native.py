"""The fast decoder, in C (requests.c): requests of traces and metrics as Arrow columns, without a copy.

It takes requests that are wholly as they should be, and leaves everything else to the general way. Without a compiler at
installation there is no library, and everything takes the general way: slower, and the same in every other respect.
"""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from .batch import Signal

__all__ = ["Counts", "Decoded", "Limits", "available", "decode"]

LIBRARY = Path(__file__).with_name("libotlp.so")
_TEXT, _TIME, _U64, _I8, _F64 = pa.string(), pa.timestamp("us"), pa.uint64(), pa.int8(), pa.float64()
_EVENT = pa.struct([("time", _TIME), ("name", _TEXT), ("attributes", _TEXT)])
_LINK = pa.struct([("trace_id", _TEXT), ("span_id", _TEXT), ("attributes", _TEXT)])
_END = (
    ("scope_name", _TEXT), ("scope_version", _TEXT), ("attributes", _TEXT),
)  # fmt: skip
SPAN_COLUMNS = (
    ("trace_hi", _U64), ("trace_lo", _U64), ("span_id", _U64), ("parent_span_id", _U64), ("name", _TEXT), ("kind", _I8),
    ("status_code", _I8), ("status_message", _TEXT), ("trace_state", _TEXT), ("started_at", _TIME),
    ("duration_ns", pa.int64()), *_END, ("events", pa.list_(_EVENT)), ("links", pa.list_(_LINK)), ("dropped", pa.uint32()),
    ("received_at", _TIME), ("clock_adjusted", pa.bool_()), ("group", pa.int32()),
)  # fmt: skip
"""Columns of spans, in the order of `SPAN_COLUMNS` in spans.c."""
POINT_COLUMNS = (
    ("metric", _TEXT), ("unit", _TEXT), ("kind", _TEXT), ("started_at", _TIME), ("time", _TIME), ("temporality", _I8),
    ("value", _F64), ("count", _U64), ("sum", _F64), ("min", _F64), ("max", _F64), ("zero_count", _U64), ("scale", _I8),
    ("bucket_index", pa.list_(pa.int32())), ("bucket_count", pa.list_(_U64)), ("explicit_bounds", pa.list_(_F64)),
    ("exemplar_trace_hi", _U64), ("exemplar_trace_lo", _U64), ("exemplar_value", _F64), *_END, ("received_at", _TIME),
    ("clock_adjusted", pa.bool_()), ("group", pa.int32()),
)  # fmt: skip
"""Columns of points, in the order of `POINT_COLUMNS` in metrics.c."""
_COLUMNS = {Signal.TRACES: SPAN_COLUMNS, Signal.METRICS: POINT_COLUMNS}
_GROUPS = pa.schema([("resource", pa.binary())])
_FORMATS = {
    _TEXT: "u", _TIME: "l", _U64: "L", _I8: "c", _F64: "g", pa.int64(): "l", pa.uint32(): "I", pa.int32(): "i", pa.bool_(): "b",
}  # fmt: skip
"""Arrow's format characters (C data interface), as columns.h has them; lists are `+`."""
_ARROW_ARRAY_BYTES = 80
ABI = 4
"""What `plugwarden_abi` in requests.c answers."""
_log = logging.getLogger(__name__)


class Limits(ctypes.Structure):
    """What bounds a row; as in decoder.h."""

    _fields_ = (
        ("now_ns", ctypes.c_int64),
        ("latest_ns", ctypes.c_int64),
        ("oldest_ns", ctypes.c_int64),
        ("max_duration_ns", ctypes.c_int64),
        ("scale", ctypes.c_int64),
    )


@dataclass(frozen=True, slots=True)
class Counts:
    """What a request has."""

    rows: int
    groups: int
    adjusted: int
    """Rows whose clock had to be put right."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """The columns of several requests, one after the other."""

    columns: dict[str, pa.Array]
    hot: dict[str, pa.Array]
    """The attributes that became columns, by key."""
    nbytes: int
    """Bytes of all columns; asking Arrow for it takes longer than decoding a small request."""
    resources: list[bytes]
    """The resource message of each group, as it came."""
    counts: list[Counts]
    """Rows of each request."""


def available() -> bool:
    """Whether the library was built and is not switched off (PLUGWARDEN_NATIVE=0)."""
    return _library() is not None


def decode(
    signal: Signal,
    bodies: Sequence[bytes],
    taken: tuple[str, ...],
    kept: tuple[str, ...],
    limits: Limits,
    names: frozenset[str] = frozenset(),
) -> Decoded | None:
    """Requests of traces or metrics as columns; None for the general way.

    `taken` are keys that become columns, `kept` those that become columns and stay among the other attributes as well; the
    values of `names`, some of both, must be such that they can name something (naming.py).
    """
    library = _library()
    if library is None:
        return None
    keys, wanted = _asked(signal, taken, kept, names), len(bodies)
    counts = (ctypes.c_int64 * (3 * wanted))()
    # Memory that C fills in, and that Arrow takes over below; nothing between may raise.
    rows, groups = bytearray(_ARROW_ARRAY_BYTES), bytearray(_ARROW_ARRAY_BYTES)
    at = [ctypes.addressof(ctypes.c_char.from_buffer(array)) for array in (rows, groups)]
    nbytes = library.plugwarden_decode(
        signal is Signal.METRICS, (ctypes.c_char_p * wanted)(*bodies), (ctypes.c_int64 * wanted)(*map(len, bodies)), wanted,
        keys.text, keys.lengths, keys.marks, len(keys.names), ctypes.byref(limits), counts, *at,
    )  # fmt: skip
    if nbytes < 0:
        return None
    found = pa.RecordBatch._import_from_c(at[0], keys.schema).columns
    resources = pa.RecordBatch._import_from_c(at[1], _GROUPS).column(0).to_pylist()
    named = [name for name, _ in _COLUMNS[signal]]
    each = [Counts(*counts[place : place + 3]) for place in range(0, 3 * wanted, 3)]
    return Decoded(
        dict(zip(named, found, strict=False)),
        dict(zip(keys.names, found[len(named) :], strict=True)),
        nbytes,
        resources,
        each,
    )


@dataclass(frozen=True, slots=True)
class _Keys:
    """The keys that become columns, as C wants them, and all columns that then come."""

    names: tuple[str, ...]
    text: bytes
    lengths: Any
    marks: bytes
    """A mark for each key: 1 where it is taken, 2 where its values are names."""
    schema: pa.Schema


@lru_cache(maxsize=16)
def _asked(signal: Signal, taken: tuple[str, ...], kept: tuple[str, ...], names: frozenset[str]) -> _Keys:
    keys = (*taken, *kept)
    encoded = [key.encode() for key in keys]
    return _Keys(
        keys,
        b"".join(encoded),
        (ctypes.c_int32 * len(keys))(*map(len, encoded)),
        bytes((place < len(taken)) + 2 * (key in names) for place, key in enumerate(keys)),
        pa.schema([*_COLUMNS[signal], *((key, _TEXT) for key in keys)]),
    )


@cache
def _library() -> Any:
    if os.environ.get("PLUGWARDEN_NATIVE") == "0" or not LIBRARY.exists():
        return None
    try:
        library = ctypes.CDLL(str(LIBRARY))
    except OSError as error:
        _log.warning("%s cannot be loaded, decoding takes the general way: %s", LIBRARY, error)
        return None
    if getattr(library, "plugwarden_abi", int)() != ABI:
        _log.warning("%s is of another version, decoding takes the general way; install the collector anew", LIBRARY)
        return None
    library.plugwarden_columns.restype = ctypes.c_char_p
    for signal in _COLUMNS:
        if library.plugwarden_columns(signal is Signal.METRICS).decode() != _told(signal):
            _log.warning("%s has other columns, decoding takes the general way; install the collector anew", LIBRARY)
            return None
    pointer, number, text = ctypes.c_void_p, ctypes.c_int32, ctypes.c_char_p
    library.plugwarden_decode.restype = ctypes.c_int64
    library.plugwarden_decode.argtypes = [
        number, pointer, pointer, ctypes.c_int64, text, pointer, text, number, pointer, pointer, pointer, pointer,
    ]  # fmt: skip
    return library


def _told(signal: Signal) -> str:
    """Return the columns of a row as the library tells them: a line each, format and name."""
    return "".join(f"{_FORMATS.get(kind, '+')} {name}\n" for name, kind in _COLUMNS[signal])
