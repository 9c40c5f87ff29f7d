"""Values into bytes, on a worker's side (`tags.py` has the format). Standard library only.

Nothing here protects anybody: a plugin may change it, or send what it likes. The reader does not trust it.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import ipaddress
import operator
import pathlib
import struct
import uuid
import zoneinfo
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:  # in the host: in a worker there is no package around it
    from .tags import DATE, FLOAT, INT, LENGTH, MAX_DEPTH, MAX_INT_BYTES, MOMENT, PAIR, SPAN, TIME, Tag
else:
    from tags import DATE, FLOAT, INT, LENGTH, MAX_DEPTH, MAX_INT_BYTES, MOMENT, PAIR, SPAN, TIME, Tag

__all__ = ["ADDRESSES", "PATHS", "Encoder", "NotPlain", "TooLarge"]

PATHS = (pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath, pathlib.WindowsPath)
ADDRESSES = (ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network, ipaddress.IPv6Network)
_SHORT_RUN = 4
"""Fewer items are not worth a run."""
Write = Callable[["Encoder", Any, int], None]


class NotPlain(Exception):
    """It holds something that is no plain value and of no declared type, or is nested too deep."""


class TooLarge(Exception):
    """It needs more bytes than the result of a call may have."""


class Encoder:
    """Writes values; `declared` are the types that the host named: (module, qualified name, how), by their number."""

    def __init__(self, declared: Sequence[tuple[str, str, tuple[Any, ...]]] = (), max_bytes: int = 1 << 31) -> None:
        self._out = bytearray()
        self._max_bytes = max_bytes
        self._declared = {(module, name): (number, how) for number, (module, name, how) in enumerate(declared)}

    def encode(self, value: Any) -> bytes:
        """Raises `NotPlain` and `TooLarge`."""
        self._out.clear()
        self._value(value, 0)
        self._check_size()
        return bytes(self._out)

    def _check_size(self) -> None:
        if len(self._out) > self._max_bytes:
            raise TooLarge

    def _value(self, value: Any, depth: int) -> None:
        kind = type(value)
        write = _WRITERS.get(kind)
        if write is None:
            self._object(kind, value, depth)
        else:
            write(self, value, depth)

    def _open(self, tag: int, count: int, depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise NotPlain(f"it is nested more than {MAX_DEPTH} deep, or in itself")
        self._check_size()  # the same list in a list, and so on, doubles what is written at each level
        self._out.append(tag)
        self._out += LENGTH.pack(count)

    def _items(self, items: Sequence[Any], depth: int) -> None:
        """The values of a container, as one run where they are of one kind."""
        out = self._out
        if len(items) >= _SHORT_RUN:
            kinds = set(map(type, items))
            if len(kinds) == 1 and self._run(kinds.pop(), items):
                return
        for item in items:
            write = _WRITERS.get(type(item))
            if write is None:
                self._object(type(item), item, depth + 1)
            else:
                write(self, item, depth + 1)
        if len(out) > self._max_bytes:
            raise TooLarge

    def _run(self, kind: type, items: Sequence[Any]) -> bool:
        out, count = self._out, LENGTH.pack(len(items))
        if kind is float:
            out.append(Tag.FLOATS)
            out += count + struct.pack(f"<{len(items)}d", *items)
        elif kind is int and min(items) >= -(1 << 63) and max(items) < 1 << 63:
            out.append(Tag.INTS)
            out += count + struct.pack(f"<{len(items)}q", *items)
        elif kind is str:
            text = "".join(items).encode("utf-8", "surrogatepass")
            if len(text) >= 1 << 32:
                raise TooLarge
            out.append(Tag.TEXTS)
            out += count + LENGTH.pack(len(text)) + struct.pack(f"<{len(items)}I", *map(len, items)) + text
        else:
            return False
        return True

    def _object(self, kind: type, value: Any, depth: int) -> None:
        module = kind.__module__
        known = self._declared.get(("__main__" if module == "__plugwarden__" else module, kind.__qualname__))
        if known is None:
            raise NotPlain(f"{module}.{kind.__qualname__} is not plain data")
        number, (how, *details) = known
        self._open(Tag.OBJECT, number, depth)
        if how == "fields":
            value = tuple(getattr(value, name) for name in details)
        elif how == "items":
            value = tuple(value)
        elif how == "member":
            value = value.name
        elif how == "value":
            value = value.value
        elif how == "model":
            value = value.model_dump()
        else:
            value = details[0](value)
        self._value(value, depth + 1)


def _sized(tag: int, data: bytes | bytearray, encoder: Encoder) -> None:
    if len(data) >= 1 << 32 or len(data) > encoder._max_bytes:
        raise TooLarge
    encoder._out.append(tag)
    encoder._out += LENGTH.pack(len(data))
    encoder._out += data


def _int(encoder: Encoder, value: int, depth: int) -> None:
    if -(1 << 63) <= value < 1 << 63:
        encoder._out.append(Tag.INT)
        encoder._out += INT.pack(value)
        return
    size = value.bit_length() // 8 + 1
    if size > MAX_INT_BYTES:
        raise NotPlain(f"a number of {size} bytes is no plain value")
    _sized(Tag.BIG, value.to_bytes(size, "little", signed=True), encoder)


def _fixed(tag: int, pack: Callable[..., bytes], parts: Callable[[Any], tuple[Any, ...]]) -> Write:
    def write(encoder: Encoder, value: Any, depth: int) -> None:
        encoder._out.append(tag)
        encoder._out += pack(*parts(value))

    return write


def _text(tag: int, text: Callable[[Any], str], *, numbered: Sequence[type] = ()) -> Write:
    def write(encoder: Encoder, value: Any, depth: int) -> None:
        data = text(value).encode("utf-8", "surrogatepass")
        _sized(tag, bytes((numbered.index(type(value)),)) + data if numbered else data, encoder)

    return write


def _container(tag: int, parts: Callable[[Any], Sequence[Any]]) -> Write:
    def write(encoder: Encoder, value: Any, depth: int) -> None:
        items = parts(value)
        encoder._open(tag, len(items), depth)
        encoder._items(items, depth)

    return write


def _mapping(tag: int) -> Write:
    def write(encoder: Encoder, value: dict[Any, Any], depth: int) -> None:
        encoder._open(tag, len(value), depth)
        encoder._items(tuple(value), depth)
        encoder._items(tuple(value.values()), depth)

    return write


def _zoned(naive: int, zoned: int, pack: Callable[..., bytes], parts: Callable[[Any], tuple[Any, ...]]) -> Write:
    def write(encoder: Encoder, value: Any, depth: int) -> None:
        if value.tzinfo is None:
            encoder._out.append(naive)
            encoder._out += pack(*parts(value))
        else:
            encoder._open(zoned, 1, depth)
            encoder._out += pack(*parts(value))
            encoder._value(value.tzinfo, depth + 1)

    return write


def _zone(encoder: Encoder, value: Any, depth: int) -> None:
    if value.key is None:
        raise NotPlain("a ZoneInfo made from a file has no name")
    _sized(Tag.ZONE, value.key.encode(), encoder)


_time_parts = operator.attrgetter("hour", "minute", "second", "microsecond", "fold")
_moment_parts = operator.attrgetter("year", "month", "day", "hour", "minute", "second", "microsecond", "fold")


def _constant(tag: int) -> Write:
    return lambda encoder, value, depth: encoder._out.append(tag)


_WRITERS: dict[type, Write] = {
    type(None): _constant(Tag.NONE),
    bool: lambda encoder, value, depth: encoder._out.append(Tag.TRUE if value else Tag.FALSE),
    int: _int,
    float: _fixed(Tag.FLOAT, FLOAT.pack, lambda value: (value,)),
    str: _text(Tag.TEXT, lambda value: value),
    bytes: lambda encoder, value, depth: _sized(Tag.BYTES, value, encoder),
    bytearray: lambda encoder, value, depth: _sized(Tag.BYTEARRAY, value, encoder),
    list: _container(Tag.LIST, lambda value: value),
    tuple: _container(Tag.TUPLE, lambda value: value),
    set: _container(Tag.SET, tuple),
    frozenset: _container(Tag.FROZENSET, tuple),
    dict: _mapping(Tag.DICT),
    collections.OrderedDict: _mapping(Tag.ORDERED),
    collections.Counter: _mapping(Tag.COUNTER),
    collections.deque: _container(Tag.DEQUE, lambda value: (value.maxlen, *value)),
    complex: _fixed(Tag.COMPLEX, PAIR.pack, lambda value: (value.real, value.imag)),
    range: _container(Tag.RANGE, lambda value: (value.start, value.stop, value.step)),
    slice: _container(Tag.SLICE, lambda value: (value.start, value.stop, value.step)),
    decimal.Decimal: _text(Tag.DECIMAL, str),
    fractions.Fraction: _container(Tag.FRACTION, lambda value: (value.numerator, value.denominator)),
    uuid.UUID: _fixed(Tag.UUID, bytes, lambda value: (value.bytes,)),
    datetime.date: _fixed(Tag.DATE, DATE.pack, lambda value: (value.year, value.month, value.day)),
    datetime.timedelta: _fixed(Tag.SPAN, SPAN.pack, lambda value: (value.days, value.seconds, value.microseconds)),
    datetime.time: _zoned(Tag.TIME, Tag.ZONED_TIME, TIME.pack, _time_parts),
    datetime.datetime: _zoned(Tag.MOMENT, Tag.ZONED_MOMENT, MOMENT.pack, _moment_parts),
    datetime.timezone: _container(Tag.OFFSET, lambda value: value.__getinitargs__()),
    zoneinfo.ZoneInfo: _zone,
    **dict.fromkeys(PATHS, _text(Tag.PATH, str, numbered=PATHS)),
    **dict.fromkeys(ADDRESSES, _text(Tag.ADDRESS, str, numbered=ADDRESSES)),
}
