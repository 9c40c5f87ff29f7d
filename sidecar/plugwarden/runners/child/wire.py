"""What a worker process sent, made into values: bounded in bytes, items, depth and time, and nothing of it is run.

`tags.py` has the format. A byte chooses among the cases below and nothing else: no class, function or attribute is
ever found by a name that was sent. The types that a host declares come by number, and what makes them is the host's own.
"""

from __future__ import annotations

import codecs
import collections
import contextlib
import datetime
import decimal
import fractions
import importlib
import ipaddress
import pathlib
import struct
import uuid
import zoneinfo
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, islice
from time import perf_counter_ns, thread_time_ns
from typing import Any

from plugwarden.runners.child.tags import (
    DATE,
    FLOAT,
    INT,
    LENGTH,
    MAX_DEPTH,
    MAX_INT_BYTES,
    MOMENT,
    PAIR,
    SPAN,
    TIME,
    Tag,
)  # fmt: skip

__all__ = ["DecodingLate", "UnsafeResult", "loads_untrusted", "memory_for"]

_ITEM_BYTES = 8
_OVERHEAD_BYTES = {Tag.LIST: 56, Tag.TUPLE: 40}
"""In memory, by `sys.getsizeof` of CPython 3.11; an item takes 8 and itself."""
_MOST_OVERHEAD_BYTES = 232
"""A dictionary or a set with one key; in a frame they can be 5 bytes."""
_STRETCH = 4096
"""Items between two looks at the clock."""
_PIECE = 1 << 16
"""Items, or bytes of text times 16, that are made in one step, so that other threads of the host get their turn."""
_CHUNK = 32
"""Keys that go into a table between two looks at what they cost."""
_SLOW_NS = 200_000
"""Nanoseconds after which a chunk of keys is looked up again, to see whether they collide."""
_LOOKUP_NS = 4_000
"""Nanoseconds that a lookup takes longer than hashing its key where the keys were chosen to collide: some 150 of one hash, or
2,000 that only meet in the same places. An ordinary lookup takes 50 to 300."""
_MAX_KEY_ITEMS = 256
"""Items of one key: comparing two takes as long as they are large."""
_MAX_KEY_INT_BYTES = 1024
"""Bytes of a number in a key, for the same reason."""
_MAX_DIVIDED_BYTES = 1024
"""Bytes of the numbers of fractions and ranges: dividing them takes time by the square of their lengths."""
_MAX_DECIMAL_DIGITS = 4_300
"""As many digits as Python itself reads into an int."""
_MAX_ZONES = 32
"""Names of time zones in one frame: each unknown one is looked for on disk."""


with contextlib.suppress(Exception):
    importlib.import_module("importlib.readers")
    zoneinfo.ZoneInfo("no/such")  # what it imports to look for an unknown name is imported now, and not during a call


class UnsafeResult(Exception):
    """What was sent is no value, or larger, deeper or slower to read than it may be."""


class DecodingLate(Exception):
    """The call's deadline passed while its result was being read."""


def memory_for(max_bytes: int) -> int:
    """How many bytes of memory the containers of a frame may take: 16 times its own, as dictionaries of one short text do."""
    return 100_000 + 16 * max_bytes


def loads_untrusted(
    data: bytes,
    makers: Sequence[Callable[[Any], Any]] = (),
    *,
    memory_bytes: int | None = None,
    deadline_ns: int = 0,
) -> Any:
    """The one value of a frame. Raises `UnsafeResult` and `DecodingLate`.

    `makers`: by the number of a declared type, what makes an object of what its codec sent. `memory_bytes`: what
    containers may take; `memory_for` of the frame when left out. `deadline_ns`: by `perf_counter_ns`, 0 for none.
    """
    try:
        memory_bytes = memory_for(len(data)) if memory_bytes is None else memory_bytes
        return _Frame(data, makers, memory_bytes, deadline_ns).value()
    except (UnsafeResult, DecodingLate):
        raise
    except Exception as error:
        raise UnsafeResult(f"it cannot be read: {type(error).__name__}") from error


class _Frame:
    def __init__(
        self, data: bytes, makers: Sequence[Callable[[Any], Any]], memory_bytes: int, deadline_ns: int
    ) -> None:
        self._data = data
        self._makers = makers
        self._left = memory_bytes
        self._deadline_ns = deadline_ns
        self._zones: dict[str, zoneinfo.ZoneInfo] = {}
        self._large_int = False

    def value(self) -> Any:
        """Without recursion: `outer` holds the containers that are under way."""
        data, end = self._data, len(self._data)
        at, items, wanted, tag, told = 0, [], 1, -1, None  # type: tuple[int, list[Any], int, int, Any]
        outer: list[tuple[list[Any], int, int, Any]] = []
        while True:
            stretch = min(wanted, len(items) + _STRETCH)
            while len(items) < stretch:
                kind = data[at]
                at += 1
                if kind == Tag.TEXT:
                    after = at + 4 + LENGTH.unpack_from(data, at)[0]
                    if after > end:
                        raise UnsafeResult("it ends within a text")
                    items.append(_text(data, at + 4, after))
                    at = after
                elif kind == Tag.INT:
                    items.append(INT.unpack_from(data, at)[0])
                    at += 8
                elif kind <= Tag.FALSE:
                    items.append(None if kind == Tag.NONE else kind == Tag.TRUE)
                elif kind == Tag.FLOAT:
                    items.append(FLOAT.unpack_from(data, at)[0])
                    at += 8
                elif kind in _RUNS:
                    at = self._run(kind, at, items, wanted - len(items))
                elif kind in _CONTAINERS:
                    count = LENGTH.unpack_from(data, at)[0]
                    at += 4
                    outer.append((items, wanted, tag, told))
                    if len(outer) > MAX_DEPTH + 1:
                        raise UnsafeResult(f"it is nested more than {MAX_DEPTH} deep")
                    told, inside = None, count
                    if kind in _MAPPINGS:
                        inside = 2 * count
                    elif kind == Tag.OBJECT:
                        told, inside = self._makers[count], 1
                    elif kind in _ZONED:
                        form = _ZONED[kind][0]
                        told, inside = form.unpack_from(data, at), 1
                        at += form.size
                    self._left -= inside * _ITEM_BYTES + _OVERHEAD_BYTES.get(kind, _MOST_OVERHEAD_BYTES)
                    if self._left < 0:
                        raise UnsafeResult("it would take more memory than its size allows")
                    items, wanted, tag = [], inside, kind
                    break
                else:
                    value, at = self._scalar(kind, at)
                    items.append(value)
            if self._deadline_ns and perf_counter_ns() >= self._deadline_ns:
                raise DecodingLate
            while len(items) == wanted:
                if not outer:
                    if at != end:
                        raise UnsafeResult("something follows it")
                    return items[0]
                value = self._close(tag, items, told)
                items, wanted, tag, told = outer.pop()
                items.append(value)

    def _run(self, kind: int, at: int, items: list[Any], room: int) -> int:
        """Adds so many numbers or texts; return where it ends."""
        data = self._data
        size: int
        count: int = LENGTH.unpack_from(data, at)[0]
        at += 4
        if count > room:
            raise UnsafeResult("a run is longer than what it is in")
        if kind != Tag.TEXTS:
            letter = "q" if kind == Tag.INTS else "d"
            for start in range(0, count, _PIECE):
                size = min(_PIECE, count - start)
                items.extend(struct.unpack_from(f"<{size}{letter}", data, at))
                at += 8 * size
            return at
        size = LENGTH.unpack_from(data, at)[0]
        begins = at + 4 + 4 * count
        if begins + size > len(data):
            raise UnsafeResult("it ends within a text")
        text = _text(data, begins, begins + size)
        at += 4
        began = 0
        for start in range(0, count, _PIECE):
            ends = list(accumulate(struct.unpack_from(f"<{min(_PIECE, count - start)}I", data, at), initial=began))
            at += 4 * (len(ends) - 1)
            items.extend(text[one:two] for one, two in zip(ends, islice(ends, 1, None), strict=False))
            began = ends[-1]
        if began != len(text):
            raise UnsafeResult("the lengths of texts do not add up")
        return begins + size

    def _scalar(self, kind: int, at: int) -> tuple[Any, int]:
        """One of the rarer values, and where it ends."""
        data = self._data
        if kind in _FIXED:
            form, make = _FIXED[kind]
            return make(*form.unpack_from(data, at)), at + form.size
        if kind not in _SIZED:
            raise UnsafeResult(f"{kind} begins no value")
        begins = at + 4
        ends = begins + LENGTH.unpack_from(data, at)[0]
        if ends > len(data):
            raise UnsafeResult("it ends within a value")
        part = data[begins:ends]
        if kind == Tag.BIG:
            if len(part) > MAX_INT_BYTES:
                raise UnsafeResult(f"a number of {len(part)} bytes")
            self._large_int = True
            return int.from_bytes(part, "little", signed=True), ends
        if kind == Tag.ZONE:
            return self._zone(part.decode("ascii")), ends
        return _SIZED[kind](part), ends

    def _zone(self, name: str) -> zoneinfo.ZoneInfo:
        known = self._zones.get(name)
        if known is None:
            if len(self._zones) >= _MAX_ZONES or not 0 < len(name) <= 64 or not set(name) <= _ZONE_LETTERS:
                raise UnsafeResult("a time zone of no such name")
            self._zones[name] = known = zoneinfo.ZoneInfo(name)
        return known

    def _close(self, tag: int, items: list[Any], told: Any) -> Any:
        """The container that holds these items."""
        if tag == Tag.LIST:
            return items
        if tag == Tag.TUPLE:
            return tuple(items)
        if tag in _MAPPINGS:
            half = len(items) // 2
            keys, values = items[:half], items[half:]
            if tag == Tag.DICT:
                table: dict[Any, Any] = {}
                return self._fill(table, table.update, keys, values)
            made = _MAPPINGS[tag]()
            if isinstance(made, collections.Counter):
                return self._fill(made, lambda pairs: dict.update(made, pairs), keys, values)
            return self._fill(made, made.update, keys, values)
        if tag in (Tag.SET, Tag.FROZENSET):
            found: set[Any] = set()
            self._fill(found, found.update, items, None)
            return found if tag == Tag.SET else frozenset(found)
        if tag == Tag.OBJECT:
            return _made(told, items[0])
        if tag in _ZONED:
            return _ZONED[tag][1](*told, _zoned(items[0]))
        return _SMALL[tag](*items)

    def _fill(
        self, table: Any, add: Callable[[Iterable[Any]], None], keys: Sequence[Any], values: Sequence[Any] | None
    ) -> Any:
        """A dictionary or set of these keys. What collides on purpose is refused, however it is done."""
        if self._large_int or not set(map(type, keys)) <= _SMALL_KEYS:
            for key in keys:
                _check_key(key)
        if len(keys) <= 2 * _CHUNK:
            add(keys if values is None else zip(keys, values, strict=True))  # 60 µs where all collide
            keys_left = range(0)
        else:
            keys_left = range(0, len(keys), _CHUNK)
        for start in keys_left:
            some = keys[start : start + _CHUNK]
            began = thread_time_ns()
            add(some if values is None else zip(some, values[start : start + _CHUNK], strict=True))
            if thread_time_ns() - began > _SLOW_NS and _collide(table, some):
                raise UnsafeResult("its keys were chosen to collide")
        if len(table) != len(keys):
            raise UnsafeResult("a key stands twice in it")
        return table


def _made(make: Callable[[Any], Any], value: Any) -> Any:
    try:
        return make(value)
    except Exception as error:
        told = str(error).splitlines()
        raise UnsafeResult(
            f"it makes no object of its type: {type(error).__name__}: {told[0] if told else ''}"
        ) from error


def _collide(table: Any, keys: Sequence[Any]) -> bool:
    """Whether looking these keys up takes far longer than hashing them. The best of three: a pause is no collision."""
    worst = 1 << 62
    for _ in range(3):
        began = thread_time_ns()
        for key in keys:
            hash(key)
        hashed = thread_time_ns()
        for key in keys:
            key in table  # noqa: B015 - it is looked for, nothing else
        worst = min(worst, thread_time_ns() - hashed - 2 * (hashed - began))
    return worst > _LOOKUP_NS * len(keys)


def _check_key(key: Any) -> None:
    """Keys are compared where their hashes are equal, which a sender can arrange."""
    parts, items = [key], 0
    while parts:
        part = parts.pop()
        if isinstance(part, int) and part.bit_length() > 8 * _MAX_KEY_INT_BYTES:
            raise UnsafeResult("a key is too large")
        if isinstance(part, tuple | frozenset):
            items += len(part)
            if items > _MAX_KEY_ITEMS:
                raise UnsafeResult("a key is too large")
            parts.extend(part)


def _text(data: bytes, begins: int, ends: int) -> str:
    if ends - begins <= 16 * _PIECE:
        return str(data[begins:ends], "utf-8", "surrogatepass")
    reading = codecs.getincrementaldecoder("utf-8")("surrogatepass")
    steps = range(begins, ends, 16 * _PIECE)
    return "".join(reading.decode(data[at : min(at + 16 * _PIECE, ends)], at == steps[-1]) for at in steps)


def _decimal(part: bytes) -> decimal.Decimal:
    if len(part) > _MAX_DECIMAL_DIGITS + 30:
        raise UnsafeResult("a Decimal of too many digits")
    return decimal.Decimal(part.decode("ascii"))


def _fraction(*parts: Any) -> fractions.Fraction:
    _check_divided("Fraction", 2, parts)
    return fractions.Fraction(*parts)


def _range(*parts: Any) -> range:
    _check_divided("range", 3, parts)
    return range(*parts)


def _check_divided(what: str, count: int, parts: Sequence[Any]) -> None:
    if len(parts) != count or not all(type(part) is int for part in parts):
        raise UnsafeResult(f"a {what} of something other than {count} numbers")
    if any(part.bit_length() > 8 * _MAX_DIVIDED_BYTES for part in parts):
        raise UnsafeResult(f"a {what} of too many digits")


def _slice(*parts: Any) -> slice:
    if len(parts) != 3:
        raise UnsafeResult("a slice has three parts")
    return slice(*parts)


def _offset(*parts: Any) -> datetime.timezone:
    if not parts or type(parts[0]) is not datetime.timedelta or not all(type(part) is str for part in parts[1:]):
        raise UnsafeResult("a timezone of something other than an offset")
    return datetime.timezone(*parts)


def _deque(*parts: Any) -> collections.deque[Any]:
    if parts[0] is not None and type(parts[0]) is not int:
        raise UnsafeResult("a deque of no length")
    return collections.deque(parts[1:], parts[0])


def _zoned(zone: Any) -> datetime.tzinfo:
    if type(zone) not in (datetime.timezone, zoneinfo.ZoneInfo):
        raise UnsafeResult("a time in no time zone")
    found: datetime.tzinfo = zone
    return found


def _time(hour: int, minute: int, second: int, micro: int, fold: int, zone: Any = None) -> datetime.time:
    return datetime.time(hour, minute, second, micro, zone, fold=fold)


def _moment(
    year: int, month: int, day: int, hour: int, minute: int, second: int, micro: int, fold: int, zone: Any = None
) -> datetime.datetime:
    return datetime.datetime(year, month, day, hour, minute, second, micro, zone, fold=fold)


def _one_of(kinds: Sequence[Callable[[str], Any]]) -> Callable[[bytes], Any]:
    def make(part: bytes) -> Any:
        if len(part) > 4096:
            raise UnsafeResult("a path or address longer than any is")  # PATH_MAX
        return kinds[part[0]](str(part[1:], "utf-8", "surrogatepass"))

    return make


_RUNS = frozenset({Tag.INTS, Tag.FLOATS, Tag.TEXTS})
_MAPPINGS: dict[int, Callable[[], Any]] = {
    Tag.DICT: dict, Tag.ORDERED: collections.OrderedDict, Tag.COUNTER: collections.Counter,
}  # fmt: skip
_ZONED: dict[int, tuple[struct.Struct, Callable[..., Any]]] = {
    Tag.ZONED_TIME: (TIME, _time), Tag.ZONED_MOMENT: (MOMENT, _moment),
}  # fmt: skip
_SMALL: dict[int, Callable[..., Any]] = {
    Tag.OFFSET: _offset, Tag.RANGE: _range, Tag.SLICE: _slice, Tag.FRACTION: _fraction,
    Tag.DEQUE: _deque,
}  # fmt: skip
_CONTAINERS = frozenset({Tag.LIST, Tag.TUPLE, Tag.SET, Tag.FROZENSET, Tag.OBJECT, *_MAPPINGS, *_ZONED, *_SMALL})
_FIXED: dict[int, tuple[struct.Struct, Callable[..., Any]]] = {
    Tag.COMPLEX: (PAIR, complex),
    Tag.DATE: (DATE, datetime.date),
    Tag.TIME: (TIME, _time),
    Tag.MOMENT: (MOMENT, _moment),
    Tag.SPAN: (SPAN, datetime.timedelta),
    Tag.UUID: (struct.Struct("16s"), lambda data: uuid.UUID(bytes=data)),
}
_PATHS: Sequence[Any] = (
    pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath, pathlib.WindowsPath,
)  # fmt: skip
_ADDRESSES: Sequence[Any] = (
    ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network, ipaddress.IPv6Network,
)  # fmt: skip
_SIZED: dict[int, Callable[[bytes], Any]] = {
    Tag.BIG: bytes,
    Tag.ZONE: bytes,
    Tag.BYTES: bytes,
    Tag.BYTEARRAY: bytearray,
    Tag.DECIMAL: _decimal,
    Tag.PATH: _one_of(_PATHS),
    Tag.ADDRESS: _one_of(_ADDRESSES),
}
_SMALL_KEYS = frozenset({str, int, bytes, float, bool, type(None), datetime.date, datetime.datetime, uuid.UUID})
_ZONE_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/")
