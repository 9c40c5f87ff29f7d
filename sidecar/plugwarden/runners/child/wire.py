"""Frames between a host and its worker process. Standard library only: the worker loads it before anything else.

What the host sends is trusted and pickled as it is. What a worker sends is not: it may be anything that a plugin made of
its process. Its frames are bounded, and unpickled with nothing but plain data types allowed.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["FRAME", "UnsafeResult", "loads_untrusted"]

FRAME = struct.Struct(">I")
"""A frame's length in bytes goes before it."""

_PLAIN = {
    "builtins": {"complex", "range", "slice", "bytearray"},
    "collections": {"OrderedDict", "deque", "Counter"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "fractions": {"Fraction"},
    "ipaddress": {"IPv4Address", "IPv6Address", "IPv4Network", "IPv6Network"},
    "pathlib": {"Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath"},
    "uuid": {"UUID", "SafeUUID"},
    "zoneinfo": {"ZoneInfo"},
}


class UnsafeResult(Exception):
    """A result that is not made of plain data."""


class _PlainUnpickler(pickle.Unpickler):
    def __init__(self, data: bytes, types: Mapping[tuple[str, str], type]) -> None:
        super().__init__(io.BytesIO(data))
        self._types = types

    def find_class(self, module: str, name: str) -> Any:
        if name in _PLAIN.get(module, ()):
            kind = super().find_class(module, name)
            return _GUARDED.get((module, name), lambda made: made)(kind)
        declared = self._types.get((module, name))
        if declared is not None:
            return declared
        raise UnsafeResult(f"{module}.{name} is not plain data")


def _from_what_is_there(kind: Any) -> Any:
    """Makes containers of what was sent item by item; a range or a number would make them as large as it says."""

    def make(*args: Any) -> Any:
        if not all(arg is None or isinstance(arg, bytes | str | list | tuple | dict) for arg in args[:1]):
            raise UnsafeResult(f"a {kind.__name__} of something that is not there")
        return kind(*args)

    return make


def _from_digits(kind: Any) -> Any:
    """Makes fractions of digits; an exponent would be worked out here."""

    def make(text: Any, *rest: Any) -> Any:
        numbers = (text, *rest)
        if all(isinstance(number, int) for number in numbers):
            return kind(*numbers)
        if rest or not isinstance(text, str) or len(text) > 4_000 or set(text) - set("+-/0123456789"):
            raise UnsafeResult("a Fraction of something other than digits")
        return kind(text)

    return make


_GUARDED: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("builtins", "bytearray"): _from_what_is_there,
    ("collections", "OrderedDict"): _from_what_is_there,
    ("collections", "deque"): _from_what_is_there,
    ("collections", "Counter"): _from_what_is_there,
    ("fractions", "Fraction"): _from_digits,
}


def loads_untrusted(data: bytes, types: Mapping[tuple[str, str], type]) -> Any:
    """Unpickle what a worker sent. `types`: (module, qualified name) -> class, declared by the host."""
    try:
        return _PlainUnpickler(data, types).load()
    except UnsafeResult:
        raise
    except Exception as error:
        raise UnsafeResult(f"it cannot be read: {type(error).__name__}") from error
