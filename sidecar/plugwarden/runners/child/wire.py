"""Frames between a host and its worker process. Standard library only: the worker loads it before anything else.

What the host sends is trusted and pickled as it is. What a worker sends is not: it may be anything that a plugin made of
its process. Its frames are bounded, and unpickled with nothing but plain data types allowed.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Mapping
from typing import Any

__all__ = ["FRAME", "UnsafeResult", "loads_untrusted"]

FRAME = struct.Struct(">I")
"""A frame's length in bytes goes before it."""

_PLAIN = {
    "builtins": {"complex", "range", "slice", "set", "frozenset", "bytearray"},
    "collections": {"OrderedDict", "deque", "Counter", "defaultdict"},
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
            if (module, name) == ("builtins", "bytearray"):
                return _bytearray
            return super().find_class(module, name)
        declared = self._types.get((module, name))
        if declared is not None:
            return declared
        raise UnsafeResult(f"{module}.{name} is not plain data")


def _bytearray(data: Any = b"", *rest: Any) -> bytearray:
    if not isinstance(data, (bytes, str)):  # a number would allocate that many bytes
        raise UnsafeResult("a bytearray of a size")
    return bytearray(data, *rest)


def loads_untrusted(data: bytes, types: Mapping[tuple[str, str], type]) -> Any:
    """Unpickle what a worker sent. `types`: (module, qualified name) -> class, declared by the host."""
    try:
        return _PlainUnpickler(data, types).load()
    except UnsafeResult:
        raise
    except Exception as error:
        raise UnsafeResult(f"it cannot be read: {type(error).__name__}") from error
